"""Resolution over the database gives what it gives over events in memory, with few queries."""

import gc
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.protocol import canonical
from appliance.protocol.resolution.resolver import resolve
from appliance.protocol.slim import PlainMember, plain_columns
from appliance.rooms.graph.resolving import Fresh, Resolving, StoredEvents
from appliance.storage import events as event_rows
from appliance.storage import rooms as room_rows
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.events import NewEvent
from appliance.storage.migrate import STEPS
from appliance.storage.rooms import RoomRow
from tests.protocol.resolution.cases import State
from tests.protocol.resolution.histories import History, honest, hostile, states

pytestmark = pytest.mark.anyio

FIRST = 1000
"""The number of the first event: others than their places in the history."""


def store(tx: Tx, history: History, count: int) -> None:
    """Store the first events of a history."""
    room_rows.insert(tx, RoomRow(1, history.create.room_id, history.version.identifier, history.create.sender, 0))
    for place, event in enumerate(history.lookup.events[:count]):
        row = NewEvent(
            nid=FIRST + place,
            event_id=event.event_id,
            room_nid=1,
            type=event.type,
            state_key=event.state_key,
            sender=event.sender,
            ordering=event.depth,
            json=canonical.encode(event.pdu),
            parents=(),
            auth=tuple(FIRST + one for one in history.lookup.named[place]),
            rejected=place in history.lookup.rejected,
            plain=plain_columns(event),
        )
        event_rows.insert(tx, row, tx.position())


def moved(state: State) -> State:
    """A state with the numbers that its events have in the database."""
    return {slot: FIRST + place for slot, place in state.items()}


def store_as_before(tx: Tx, history: History, count: int) -> None:
    """The same as it was done before there were columns for memberships."""
    room_rows.insert(tx, RoomRow(1, history.create.room_id, history.version.identifier, history.create.sender, 0))
    for place, event in enumerate(history.lookup.events[:count]):
        auth = event_rows.pack_auth(FIRST + one for one in history.lookup.named[place])
        tx.execute(
            "INSERT INTO events (event_nid, event_id, room_nid, type, state_key, sender, ordering, position, rejected,"
            " json, auth) VALUES (?,?,1,?,?,?,?,?,?,?,?)",
            (FIRST + place, event.event_id, event.type, event.state_key, event.sender, event.depth, tx.position(),
             place in history.lookup.rejected, canonical.encode(event.pdu), auth),
        )  # fmt: skip
        edges = [(FIRST + place, event_rows.AUTH, FIRST + one) for one in history.lookup.named[place]]
        tx.execute_many("INSERT INTO edges VALUES (?,?,?)", edges)


async def test_a_room_from_before_resolves_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    draws = [(place % 4, place % 7, place % 3, place % 5, place, place % 3, place % 2, 0) for place in range(40)]
    history = honest("12", draws)
    history.lookup.named = [tuple(sorted(set(named))) for named in history.lookup.named]
    several = states(history, [[place] for place in (1, 7, 19)])
    database = await Database.open(path, steps=STEPS[: STEPS.index("m0011_plain_members")])
    await database.write(lambda tx: store_as_before(tx, history, len(history.lookup.events)))
    await database.close()
    database = await Database.open(path)
    try:
        found = await Resolving(database).resolve(history.version, history.create, [moved(state) for state in several])
        lookup = StoredEvents(database, history.create, {}, [], [])
        kinds = {type(lookup.event(FIRST + place)) for place in range(len(history.lookup.events))}
    finally:
        await database.close()
    assert found == moved(resolve(history.version, several, history.lookup, history.create))
    assert PlainMember not in kinds


async def test_of_plain_memberships_no_json_is_read(tmp_path: Path) -> None:
    history = honest("12", [(place % 4, place % 7, place % 3, place % 5, 1, 0, 0, 0) for place in range(40)])
    events = history.lookup.events
    database = await Database.open(tmp_path / "hearth.db")
    try:
        await database.write(lambda tx: store(tx, history, len(events)))
        await database.write(lambda tx: tx.execute("UPDATE events SET json = '' WHERE membership IS NOT NULL"))
        lookup = StoredEvents(database, history.create, {}, [], [])
        creator, plain = history.create.sender, 0
        for place, event in enumerate(events):
            if event.type != "m.room.member" or event.state_key == creator:
                continue
            found = lookup.event(FIRST + place)
            assert isinstance(found, PlainMember)
            for name in ("type", "state_key", "sender", "membership", "room_id", "event_id", "origin_server_ts"):
                assert getattr(found, name) == getattr(event, name)
            plain += 1
    finally:
        await database.close()
    assert plain > 5


@pytest.mark.parametrize("version", ["1", "2", "6", "11", "12"])
@pytest.mark.parametrize("make", [honest, hostile])
async def test_as_in_memory(tmp_path: Path, version: str, make: Any) -> None:
    chance = random.Random(version)  # noqa: S311 - histories, no secrets
    for number in range(6):
        draws = [tuple(chance.randrange(24) for _ in range(8)) for _ in range(30)]
        history = make(version, draws)
        # The order in which an event names others is not kept: it matters only where two have one place in the state,
        # and such an event is never let into a state.
        history.lookup.named = [tuple(sorted(set(named))) for named in history.lookup.named]
        several = states(history, [[chance.randrange(20) for _ in range(chance.randrange(1, 5))] for _ in range(3)])
        events = history.lookup.events
        stored = len(events) if number % 2 else len(events) - 1
        if len(events) - 1 in history.lookup.rejected:
            stored = len(events)  # what is on its way is not rejected
        fresh: Fresh = {
            FIRST + place: (events[place], [FIRST + one for one in history.lookup.named[place]])
            for place in range(stored, len(events))
        }
        database = await Database.open(tmp_path / f"{number}.db")
        try:
            await database.write(lambda tx, history=history, stored=stored: store(tx, history, stored))
            found = await Resolving(database).resolve(
                history.version, history.create, [moved(state) for state in several], fresh
            )
        finally:
            await database.close()
        assert found == moved(resolve(history.version, several, history.lookup, history.create))


class Counted:
    """A reader that counts its queries."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.queries = 0

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        self.queries += 1
        return self._reads.read(sql, parameters)


async def test_what_is_named_is_read_many_at_a_time(tmp_path: Path) -> None:
    draws = [(place % 4, 5, 0, 0, place, place, 0, 0) for place in range(85)]
    history = honest("11", draws)
    count = len(history.lookup.events)
    assert count > 80
    database = await Database.open(tmp_path / "hearth.db")
    try:
        await database.write(lambda tx: store(tx, history, count))
        counted = Counted(database)
        lookup = StoredEvents(counted, history.create, {}, [FIRST + count - 1], range(FIRST, FIRST + 20))
        for place in reversed(range(count)):
            expected = history.lookup.events[place]
            assert list(lookup.auth(FIRST + place)) == sorted({FIRST + one for one in history.lookup.named[place]})
            assert lookup.slot(FIRST + place) == history.lookup.slot(place)
            assert lookup.membership(FIRST + place) == expected.membership
            assert lookup.event(FIRST + place).event_id == expected.event_id
            assert not lookup.is_rejected(FIRST + place)
        lookup.release()
    finally:
        await database.close()
    assert counted.queries < count


async def test_the_search_for_garbage_goes_on_afterwards(tmp_path: Path) -> None:
    history = honest("11", [])
    database = await Database.open(tmp_path / "hearth.db")
    try:
        broken: State = {("m.room.topic", ""): 1}
        with pytest.raises(KeyError):
            await Resolving(database).resolve(history.version, history.create, [broken, {}])
    finally:
        await database.close()
    assert gc.isenabled()
