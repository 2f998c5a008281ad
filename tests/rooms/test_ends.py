"""The ends of rooms in memory say what the rows say, whatever came in which order."""

import asyncio
import random
from pathlib import Path
from typing import Any, cast

from appliance.protocol import canonical
from appliance.protocol.events import Event
from appliance.rooms.reading import ends as ends_module
from appliance.rooms.reading.ends import KEPT, Ends
from appliance.rooms.snapshot import Members, Snapshot, Step
from appliance.storage import events as rows
from appliance.storage import gaps
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Tx
from appliance.storage.events import NewEvent
from appliance.storage.rooms import RoomRow
from appliance.storage.state import Changes, Slot

ROOM = 1
SNAPSHOT = Snapshot((), 0, {}, Members({}))


class Walk:
    """A room to which things happen, in the database and in memory."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.random = database, random.Random(seed)  # noqa: S311 - a walk
        self.ends = Ends(database)
        self.nid, self.depth = 0, 1
        self.state: dict[Slot, int] = {}
        self.asked = self.held = 0

    async def happen(self) -> None:
        """One thing: mostly a message at the end; or one aside, a state, a state alone, one of the past, a hole."""
        kinds = {"say": 12, "aside": 4, "state": 4, "alone": 1, "past": 1, "gap": 1, "outlier": 1}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        self.nid += 1
        nid = self.nid
        ordering = self.depth + 1 if kind not in ("aside", "past") else self.random.randint(1, self.depth)
        self.depth = max(self.depth, ordering)
        changes: Changes = {}
        if kind in ("state", "alone"):
            slot = ("m.room.member", f"@user{self.random.randint(1, 5)}:here")
            changes = {slot: (self.state.get(slot), nid)}
            self.state[slot] = nid
        pdu: dict[str, Any] = {"type": "m.room.message"}
        row = NewEvent(nid, f"${nid}", ROOM, "m.room.message", None, "@a:here", ordering, canonical.encode(pdu), (), ())
        step = Step(
            *(ROOM, "!room", nid, cast("Event", None), SNAPSHOT, SNAPSHOT, changes, None, None),
            None if kind == "alone" else ordering,
            kind == "gap",
        )

        def unit(tx: Tx) -> int:
            if kind == "outlier":
                rows.insert(tx, row, None)
                return 0
            position = tx.past_position() if kind == "past" else tx.position()
            if kind != "alone":
                rows.insert(tx, row, position)
            if kind == "gap":
                gaps.note(tx, ROOM, nid, ordering, position, [f"$missing{nid}"])
            state_rows.change_current(tx, ROOM, position, changes)
            return position

        def published(position: int) -> None:
            if kind == "past":
                self.ends.published_past(step, position)
            elif kind != "outlier":
                self.ends.published(step, position)

        await self.database.write(unit, published=published)

    def compare(self) -> None:
        """Ask both the same."""
        ends, database, choose = self.ends, self.database, self.random
        last = database.position
        since, upto = sorted((choose.randint(0, last), choose.randint(0, last)))
        most = choose.choice((1, 5, 21, KEPT, KEPT + 1))
        assert ends.latest(ROOM, upto) == rows.latest_point(database, ROOM, upto)
        point = choose.choice([ends.latest(ROOM, upto), (choose.randint(0, self.depth + 1), choose.randint(-5, last))])
        self.asked += 1
        back = ends.back(ROOM, *point, upto, most)
        if back is not None:
            assert back == [row.nid for row in rows.page_back(database, ROOM, *point, upto, most)]
        arrived = ends.arrived(ROOM, since, upto, most)
        if arrived is not None:
            self.held += 1
            assert arrived == [row.nid for row in rows.page_arrived(database, ROOM, since, upto, most)]
        at = choose.randint(0, last)
        assert ends.changes(ROOM, since, at, upto) == state_rows.changes(database, ROOM, since, at, upto)
        assert ends.undone(ROOM, since, upto) == state_rows.undo_changes(database, ROOM, since, upto)
        assert ends.holes(ROOM) == gaps.of_room(database, ROOM)


async def walked(folder: Path, seed: int, steps: int) -> Walk:
    """A room after so many things."""
    database = await Database.open(folder / f"{seed}.db")
    try:
        await database.write(lambda tx: room_rows.insert(tx, RoomRow(ROOM, "!room", "12", "@a:here", 0)))
        walk = Walk(database, seed)
        for _ in range(steps):
            await walk.happen()
            walk.compare()
        return walk
    finally:
        await database.close()


def test_walks(tmp_path: Path) -> None:
    """What memory holds is what the rows hold, and some of it is asked of memory alone."""
    for seed in range(2):
        walk = asyncio.run(walked(tmp_path, seed, 3 * KEPT))
        assert walk.held > walk.asked // 10


def test_bounds(tmp_path: Path) -> None:
    """Neither grows beyond its bound, and a room that is gone is kept no longer."""
    walk = asyncio.run(walked(tmp_path, 7, 3 * KEPT))
    recent, tail = walk.ends._recent.get(ROOM), walk.ends._tails.get(ROOM)
    assert recent is not None and len(recent.arrivals) == KEPT
    assert tail is None or len(tail.points) <= 2 * KEPT
    walk.ends.forget(ROOM, "!room")
    assert all(len(kept) == 0 for kept in (walk.ends._recent, walk.ends._tails, walk.ends._unbroken))
    assert ends_module.ROOMS_KEPT * KEPT <= 40_000
