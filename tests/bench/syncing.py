"""What syncs, windows, pages and messages cost, and what that does not depend on: how many rooms did not change, how
old a room is, how many are in it.

Measured without listeners: what it takes to make the answer.
"""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from appliance.protocol import canonical, hashes
from appliance.protocol.filters import Filter, read_filter
from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Room
from appliance.rooms.signs.receipts import READ
from appliance.rooms.snapshot import Transaction
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.events import NewEvent
from appliance.storage.notifications import Shared, put_notifications
from appliance.storage.tokens import ConnectionToken, SyncToken
from appliance.sync.sections import Options
from appliance.sync.sliding.service import Answered
from appliance.sync.sliding.wishes import ListWish, RequiredState, RoomConfig, Wishes
from tests.bench.figures import Figure
from tests.federation.house import ALICE, HERE, House, house

BOB = f"@bob:{HERE}"
MESSAGE = {"msgtype": "m.text", "body": "The kettle is on, and there is cake for everybody who comes in time. " * 3}
ROOM = RoomConfig(20, RequiredState({"m.room.name": frozenset(("",)), "m.room.member": frozenset()}, lazy=True))
LAZY = read_filter({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 20}}})


async def measure(folder: Path, rooms: tuple[int, int], events: tuple[int, int], members: int) -> list[Figure]:
    """Measure each with few and with many.

    Args:
        folder: an empty one.
        rooms: how many rooms the user is in.
        events: how many events a room has seen.
        members: how many local members a room has.
    """
    figures = []
    async with house(folder) as home:
        busy = await _room_of_two(home)
        for count in rooms:
            while len(home.living.graph.standings.of(ALICE).joined) < count:
                await home.room()
            figures += await _costs(home, busy, f"{count} rooms")
    for count in events:
        async with house(folder) as home:
            await _age(home, busy, count)
        async with house(folder) as home:
            await home.living.signs.receipts.read(ALICE, busy.room_id, READ, _last(home, busy))
            figures += await _costs(home, busy, f"{count} events")
    async with house(folder) as home:
        for count in (2, members):
            room = await home.found(busy.room_id)
            for number in range(count - room.published.members.joined):
                await home.living.acts.membership.join(f"@member{number}:{HERE}", room.room_id)
            figures.append(await _send(home, busy, f"{count} local members"))
    return figures


async def _costs(home: House, busy: Room, name: str) -> list[Figure]:
    """All that is asked for again and again, in one room among others."""
    return [
        *await _syncs(home, busy, name),
        *await _windows(home, busy, name),
        Figure(f"a page of messages, {name}", await _cpu(lambda: _page(home, busy), 100), "ms", 1),
        await _send(home, busy, name),
    ]


async def _windows(home: House, busy: Room, name: str) -> list[Figure]:
    """Sliding sync, with a window of twenty rooms."""
    begin = (await _window(home)).token
    await _say(home, busy)
    end = (await _window(home, begin)).token

    async def first() -> None:
        assert (await _window(home, connection="first")).rooms

    async def nothing() -> None:
        assert (await _window(home, end)).empty

    async def one_message() -> None:
        assert (await _window(home, begin)).rooms.keys() == {busy.room_id}

    return [
        Figure(f"sliding sync, {name}: first window", await _cpu(first, 20), "ms", 5),
        Figure(f"sliding sync, {name}: nothing new", await _cpu(nothing, 200), "ms", 0.3),
        Figure(f"sliding sync, {name}: one message", await _cpu(one_message, 50), "ms", 1),
    ]


async def _window(home: House, token: ConnectionToken | None = None, connection: str = "next") -> Answered:
    asker, sliding = Asker(ALICE, "DEVICE"), home.living.syncing.sliding
    wishes = Wishes(connection, {"all": ListWish(ROOM, ((0, 19),))})
    return await sliding.answer(await sliding.connection(asker, connection, token), asker, token, wishes)


async def _page(home: House, room: Room) -> None:
    page = home.living.reads.timeline.page(
        room.nid, ALICE, home.living.reads.timeline.point(room.nid, None), 50, backwards=True
    )
    home.living.reads.serving.serve(page.events, Asker(ALICE), room.room_id, bundled=True)


async def _syncs(home: House, busy: Room, name: str) -> list[Figure]:
    first = await _sync(home)
    await _say(home, busy)
    begin = await _sync(home, first)
    await _say(home, busy)
    return [
        Figure(f"sync, {name}: nothing new", await _cpu(lambda: _sync(home, begin, nothing=True), 200), "ms", 0.2),
        Figure(f"sync, {name}: one message", await _cpu(lambda: _sync(home, begin), 100), "ms", 0.5),
    ]


async def _send(home: House, busy: Room, name: str) -> Figure:
    return Figure(f"sending in-process, {name}", await _cpu(lambda: _say(home, busy), 100), "ms", 1)


async def _sync(home: House, since: SyncToken | None = None, *, nothing: bool = False) -> SyncToken:
    """A sync of Alice's, who loads members lazily; from the present on for nothing."""
    if nothing and since is not None:
        since = SyncToken(home.owning.database.position, boot=since.boot, serial=since.serial, chain=since.chain)
    answer = await home.living.syncing.sync.answer(Asker(ALICE), since, Options(LAZY if since else Filter()))
    assert answer.empty == nothing
    return answer.token


async def _say(home: House, room: Room) -> None:
    number = str(time.perf_counter_ns())
    await home.living.acts.sending.send(
        BOB, room.room_id, "m.room.message", MESSAGE, Transaction(BOB, "D", f"send {room.room_id}", number)
    )


async def _cpu(work: Callable[[], Awaitable[Any]], times: int) -> float:
    """CPU of one time, in milliseconds, all threads."""
    for _ in range(max(1, times // 10)):
        await work()
    begin = time.process_time()
    for _ in range(times):
        await work()
    return (time.process_time() - begin) / times * 1000


async def _room_of_two(home: House) -> Room:
    room = await home.room()
    await home.living.acts.membership.join(BOB, room.room_id)
    return room


def _last(home: House, room: Room) -> str:
    rows = home.owning.database.read(
        "SELECT event_id FROM events WHERE room_nid = ? AND position IS NOT NULL ORDER BY position DESC LIMIT 1",
        (room.nid,),
    )
    return str(rows[0][0])


async def _age(home: House, busy: Room, count: int) -> None:
    """Let a room have seen so many messages, written straight into the database."""
    room = await home.found(busy.room_id)
    end = room.published.extremities[0]
    group = home.owning.database.read("SELECT after_nid FROM event_states WHERE event_nid = ?", (end.nid,))[0][0]
    numbers = [home.living.graph.numbers.event() for _ in range(count)]

    def write(tx: Tx) -> None:
        parent, ordering, gone = end.event_id, end.ordering, end.nid
        for nid in numbers:
            ordering += 1
            pdu: dict[str, Any] = {
                "type": "m.room.message", "sender": BOB, "content": MESSAGE, "depth": ordering,
                "origin_server_ts": ordering, "room_id": room.room_id, "prev_events": [parent], "auth_events": [],
                "hashes": {"sha256": "a" * 43}, "signatures": {HERE: {"ed25519:key": "s" * 86}},
            }  # fmt: skip
            parent = hashes.event_id(room.version, pdu)
            position = tx.position()
            row = NewEvent(
                nid, parent, room.nid, "m.room.message", None, BOB, ordering, canonical.encode(pdu), (gone,), ()
            )
            event_rows.insert(tx, row, position)
            put_notifications(tx, room.nid, position, "", nid, BOB, [Shared(0, False, '["notify"]')], [])
            gone = nid
        state_rows.set_event_groups(tx, gone, group, group)
        event_rows.move_extremities(tx, room.nid, (end.nid,), gone)

    await home.owning.database.write(write)
