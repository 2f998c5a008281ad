"""Twenty people talk in one room while every n-th unit of the writer fails: what was acknowledged is there, whole, and
nothing else is; whoever reads meanwhile sees only what was committed.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.rooms.room import Room
from appliance.rooms.snapshot import Transaction
from appliance.storage.database import Database, Tx
from appliance.storage.errors import LaneBroken
from tests.federation.house import ALICE, House, house

SENDERS, EACH = 20, 6


class Failing:
    """Lets every n-th unit of a database fail after it has done its work."""

    def __init__(self, database: Database, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.every = every
        self.count = self.failed = 0
        self._submit = database.submit
        monkeypatch.setattr(database, "submit", self.submit)

    def submit(self, work: Callable[[Tx], Any], **more: Any) -> "asyncio.Future[Any]":
        """Submit a unit, spoilt if it is its turn."""
        self.count += 1
        if self.count % self.every:
            return self._submit(work, **more)
        self.failed += 1

        def spoilt(tx: Tx) -> Any:
            work(tx)
            raise sqlite3.IntegrityError("spoilt for the test")

        return self._submit(spoilt, **more)


async def say(home: House, room_id: str, who: int, number: int) -> str | None:
    """Send a message; None where it was answered with an error."""
    transaction = Transaction(ALICE, f"DEVICE{who}", f"send/{room_id}", str(number))
    content = {"msgtype": "m.text", "body": f"{who}.{number}"}
    try:
        return await home.living.acts.sending.send(ALICE, room_id, "m.room.message", content, transaction)
    except (sqlite3.IntegrityError, LaneBroken):
        return None


async def change_state(home: House, room_id: str, number: int) -> None:
    """Set the topic, so that states change in between; an error is no matter."""
    try:
        await home.living.acts.sending.set_state(ALICE, room_id, "m.room.topic", "", {"topic": str(number)})
    except (sqlite3.IntegrityError, LaneBroken):
        return


def seen(home: House, room: Room) -> set[str]:
    """What a reader sees now, each event of which must be committed."""
    point = home.living.reads.timeline.point(room.nid, None)
    page = home.living.reads.timeline.page(room.nid, ALICE, point, 500, backwards=True)
    ids = {event.event_id for event in page.events}
    position = home.owning.database.position
    assert all(event.position is not None and event.position <= position for event in page.events)
    return ids


def check_whole(home: House, room: Room) -> set[str]:
    """Every stored event has its parents, its state and its position; the graph has one end, and the state is one."""
    read = home.owning.database.read
    events = read("SELECT event_nid, event_id, position, state_key FROM events WHERE room_nid = ?", (room.nid,))
    nids = {row[0] for row in events}
    parents: dict[int, set[int]] = {}
    for child, parent in read("SELECT event_nid, other_nid FROM edges WHERE kind = 0"):
        parents.setdefault(child, set()).add(parent)
    for nid, _, position, _ in events:
        assert position is not None
        assert parents.get(nid, set()) <= nids
        assert len(read("SELECT 1 FROM event_states WHERE event_nid = ?", (nid,))) == 1
    assert sum(nid not in parents for nid in nids) == 1, "one event stands on nothing: the first"
    childless = nids - {parent for of_one in parents.values() for parent in of_one}
    ends = {row[0] for row in read("SELECT event_nid FROM forward_extremities WHERE room_nid = ?", (room.nid,))}
    assert ends == childless
    assert len(ends) == 1
    current = {row[0] for row in read("SELECT event_nid FROM current_state WHERE room_nid = ?", (room.nid,))}
    assert current <= nids
    return {row[1] for row in events}


@pytest.mark.parametrize("every", [2, 3, 5, 7, 11, 19, 23])
def test_every_nth_unit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """What was answered with success is in the room, what was answered with an error is not, and nothing is half."""

    async def live() -> None:
        async with house(tmp_path) as home:
            room_id = (await home.room()).room_id
            failing = Failing(home.owning.database, every, monkeypatch)
            acknowledged: set[str] = set()
            watched: set[str] = set()
            running = True

            async def talk(who: int) -> None:
                for number in range(EACH):
                    event_id = await say(home, room_id, who, number)
                    if event_id is not None:
                        acknowledged.add(event_id)
                    if who == 0:
                        await change_state(home, room_id, number)

            async def watch() -> None:
                while running:
                    room = await home.living.graph.rooms.find(room_id)
                    assert room is not None
                    watched.update(seen(home, room))
                    await asyncio.sleep(0)

            watching = asyncio.create_task(watch())
            await asyncio.gather(*(talk(who) for who in range(SENDERS)))
            running = False
            await watching
            assert failing.failed > 0
            again = await home.living.graph.rooms.find(room_id)
            assert again is not None
            stored = check_whole(home, again)
            assert acknowledged <= stored
            assert watched <= stored
            messages = {
                row[0] for row in home.owning.database.read("SELECT event_id FROM events WHERE type = 'm.room.message'")
            }
            assert messages == acknowledged
            failing.every = 10**9
            fresh = await home.room()  # other rooms are none the worse
            assert fresh.published.members.joined == 1

    asyncio.run(live())
