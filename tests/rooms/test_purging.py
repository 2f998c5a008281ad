"""Rooms that everybody here left: they go whole, nobody builds on them meanwhile, and they can come back."""

import asyncio
from pathlib import Path

import pytest

from appliance.errors import MatrixError
from appliance.protocol.filters import Filter
from appliance.rooms.incoming.naming import Unacceptable
from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Room
from appliance.rooms.standings import Standings
from appliance.rooms.upkeep.purging import Purging, RoomInUse
from appliance.storage import purge, state
from appliance.storage.database import Database
from appliance.sync.sections import Options
from tests.federation.house import ALICE, MALLORY, House, house

pytestmark = pytest.mark.anyio

BOB = "@bob:here.example"


def purging_of(home: House) -> Purging:
    """What takes rooms out of a house."""
    return Purging(home.owning.database, home.living.graph.rooms, home.living.graph.standings, lambda: 7)


async def left_room(home: House, *, forget: bool = True) -> Room:
    """A room that Alice left, and Mallory, of another server, did not."""
    room = await home.with_mallory()
    for number in range(5):
        await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": f"number {number}"})
    await home.living.acts.membership.leave(ALICE, room.room_id)
    if forget:
        await home.living.acts.membership.forget(ALICE, room.room_id)
    return room


async def sweep(purging: Purging) -> None:
    """All of a purge's chores."""
    for chore in (purging.marked_rooms, purging.left_rooms, purging.marked_rooms, purging.slots):
        async for _ in chore():
            pass


def what_is_left(database: Database) -> dict[str, int]:
    """The tables in which there is anything of any room, with the number of rows."""
    names = (
        "rooms events edges event_states state_groups state_group_entries state_snapshots current_state state_changes"
        " memberships membership_changes forward_extremities redactions redacted_originals transaction_ids purges"
        " unused_slots waiting_events waiting_for"
    )
    counts = {name: database.read(f"SELECT COUNT(*) FROM {name}")[0][0] for name in names.split()}
    return {name: count for name, count in counts.items() if count}


def known(home: House) -> list[str]:
    """The ids of the rooms that the house knows."""
    return [room_id for (room_id,) in home.owning.database.read("SELECT room_id FROM rooms ORDER BY room_nid")]


async def test_a_room_that_everybody_left_and_forgot_goes_whole(home: House) -> None:
    room = await left_room(home)
    purging = purging_of(home)
    gone: list[tuple[int, str]] = []
    purging.gone.append(lambda nid, room_id: gone.append((nid, room_id)))
    await sweep(purging)
    assert what_is_left(home.owning.database) == {}
    assert gone == [(room.nid, room.room_id)]
    assert await home.living.graph.rooms.find(room.room_id) is None
    # Of the slots the one with the highest number stays.
    assert home.owning.database.read("SELECT COUNT(*) FROM slots") == [(1,)]


async def test_who_was_in_a_room_that_is_on_its_way_out_is_known(home: House) -> None:
    """At whatever moment a kill interrupts a purge: whoever comes first after the start is asked how they stand."""
    stays, room = await home.with_mallory(), await left_room(home)
    purging, database = purging_of(home), home.owning.database
    assert await purging.mark(room.room_id)
    slices = 0
    async for _ in purging.marked_rooms():
        slices += 1
        user = Standings(database, home.living.graph.store).of(ALICE)
        assert set(user.histories) == {stays.nid}
        assert not user.forgotten
    assert slices > 10


async def test_other_rooms_stay_as_they_are(home: House) -> None:
    mine, theirs = await home.with_mallory(), await left_room(home, forget=False)
    invited = await home.with_mallory()
    await home.owning.accounts.create("bob", "builder")
    await home.living.acts.membership.invite(ALICE, invited.room_id, BOB)
    await home.living.acts.membership.leave(ALICE, invited.room_id)
    await home.living.acts.membership.forget(ALICE, invited.room_id)
    before = {room.room_id: state.current(home.owning.database, room.nid) for room in (mine, theirs, invited)}
    left = await left_room(home)
    await sweep(purging_of(home))
    assert known(home) == [mine.room_id, theirs.room_id, invited.room_id]
    database = home.owning.database
    for room in (mine, theirs, invited):
        assert state.current(database, room.nid) == before[room.room_id]
        groups = state.groups_of(database, room.published.extremities[0].nid)
        assert groups is not None
        assert state.group(database, groups[1]) == before[room.room_id]
    assert left.room_id not in known(home)
    await home.living.acts.sending.set_state(ALICE, mine.room_id, "m.room.topic", "", {"topic": "we are still here"})


async def test_the_rooms_of_an_ended_account_go(home: House) -> None:
    room = await left_room(home, forget=False)
    await sweep(purging_of(home))
    assert known(home) == [room.room_id]
    await home.owning.database.write(lambda tx: tx.execute("UPDATE accounts SET deactivated = 1"))
    await sweep(purging_of(home))
    assert known(home) == []


async def test_nothing_can_be_built_upon_a_room_that_is_marked(home: House) -> None:
    room = await left_room(home)
    event = home.remote.event(room, "m.room.message", {"msgtype": "m.text", "body": "anybody there?"})
    join = home.remote.event(room, "m.room.member", {"membership": "join", "displayname": "M"}, MALLORY)
    purging = purging_of(home)
    # Both wait for the room's lock when the mark is made.
    await room.lock.acquire()
    marked = asyncio.ensure_future(purging.mark(room.room_id))
    await asyncio.sleep(0)
    accepted = asyncio.ensure_future(home.accepting.accept(room.room_id, event.pdu, "elsewhere.example"))
    joined = asyncio.ensure_future(home.living.acts.membership.join(ALICE, room.room_id))
    await asyncio.sleep(0)
    room.lock.release()
    assert await marked
    with pytest.raises(Unacceptable):
        await accepted
    with pytest.raises(MatrixError):
        await joined
    with pytest.raises(Unacceptable):
        await home.accepting.accept(room.room_id, join.pdu, "elsewhere.example")
    await sweep(purging)
    assert what_is_left(home.owning.database) == {}


async def test_who_comes_back_in_time_keeps_the_room(home: House) -> None:
    room = await left_room(home)
    purging = purging_of(home)
    await room.lock.acquire()
    back = {"membership": "join"}
    joined = asyncio.ensure_future(
        home.living.acts.appender.append(room.room_id, lambda draft: draft.add("m.room.member", ALICE, back, ALICE))
    )
    await asyncio.sleep(0)
    marked = asyncio.ensure_future(purging.mark(room.room_id))
    await asyncio.sleep(0)
    room.lock.release()
    await joined
    assert not await marked
    assert (await home.living.graph.rooms.joined(room.room_id, ALICE)).room_id == room.room_id


async def test_a_sync_goes_on_while_a_room_goes(home: House) -> None:
    kept, left = await home.with_mallory(), await left_room(home)
    asker, options = Asker(ALICE, "DEVICE"), Options(Filter())
    first = await home.living.syncing.sync.answer(asker, None, options)
    purging = purging_of(home)
    assert await purging.mark(left.room_id)
    for since in (None, first.token):
        answer = await asyncio.wait_for(home.living.syncing.sync.answer(asker, since, options), 20)
        assert left.room_id.encode() not in answer.body
    await sweep(purging)
    answer = await asyncio.wait_for(home.living.syncing.sync.answer(asker, None, options), 20)
    assert kept.room_id.encode() in answer.body


async def test_a_purge_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        room = await left_room(home)
        purging = purging_of(home)
        assert await purging.mark(room.room_id)
        slices = purging.marked_rooms()
        for _ in range(3):
            await anext(slices)
        await slices.aclose()
    async with house(tmp_path) as home:
        assert purge.is_marked(home.owning.database, room.room_id)
        assert await home.living.graph.rooms.find(room.room_id) is None
        # What is made meanwhile has numbers of its own.
        other = await home.room()
        assert other.nid > room.nid
        assert other.published.extremities[0].nid > room.published.extremities[0].nid
        await sweep(purging_of(home))
        await home.living.acts.membership.leave(ALICE, other.room_id)
        await home.living.acts.membership.forget(ALICE, other.room_id)
        await sweep(purging_of(home))
        assert what_is_left(home.owning.database) == {}


# Asked for --------------------------------------------------------------------------------------------------------


async def test_a_room_can_be_purged_that_was_not_forgotten(home: House) -> None:
    room = await left_room(home, forget=False)
    await purging_of(home).purge(room.room_id)
    assert known(home) == []
    with pytest.raises(MatrixError):
        await home.living.reads.reading.view(ALICE, room.room_id)
    await sweep(purging_of(home))
    assert what_is_left(home.owning.database) == {}
    await purging_of(home).purge(room.room_id)
    await purging_of(home).purge("!never:here.example")


async def test_a_room_that_somebody_is_in_is_not_purged(home: House) -> None:
    room = await home.with_mallory()
    with pytest.raises(RoomInUse, match="must leave it first"):
        await purging_of(home).purge(room.room_id)
    assert not await purging_of(home).mark(room.room_id)
    await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "still here"})


async def test_a_room_that_somebody_is_just_joining_is_left(home: House) -> None:
    room = await left_room(home)
    purging = purging_of(home)
    async with purging.kept(room.room_id), purging.kept(room.room_id):
        assert not await purging.mark(room.room_id)
        with pytest.raises(RoomInUse, match="joining"):
            await purging.purge(room.room_id)
        await sweep(purging)
    assert known(home) == [room.room_id]
    assert await purging.mark(room.room_id)


async def test_who_brings_a_room_back_finds_nothing_of_before(home: House) -> None:
    room = await left_room(home)
    purging = purging_of(home)
    marked = asyncio.ensure_future(purging.mark(room.room_id))
    await asyncio.sleep(0)
    async with purging.kept(room.room_id):
        assert marked.done()
        assert what_is_left(home.owning.database).keys() <= {"unused_slots"}
