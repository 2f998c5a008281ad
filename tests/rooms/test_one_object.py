"""Of each room there is one object in memory: two would fork the room, and one of them would never learn of that."""

import asyncio

import pytest

from appliance.rooms.graph.appending import Draft
from appliance.rooms.room import Room
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio


async def test_who_waited_for_the_lock_of_a_room_that_made_place_builds_on_the_one_that_is_there(home: House) -> None:
    rooms, before = home.living.graph.rooms, await home.room()

    def work(draft: Draft) -> str:
        return draft.add("m.room.message", ALICE, {"body": "hello"}).event_id

    async with before.lock:
        task = asyncio.ensure_future(home.living.acts.appender.append(before.room_id, work))
        await asyncio.sleep(0)
        rooms.drop(before)
        after = await home.found(before.room_id)
        assert after is not before
    event_id = await task
    assert [end.event_id for end in after.published.extremities] == [event_id]
    assert after.published is after.head


async def test_a_room_that_is_taken_in_while_it_is_being_read_is_not_read_over_it(home: House) -> None:
    """Somebody asks for a room of an invitation at the moment in which the invited comes in."""
    rooms, room = home.living.graph.rooms, await home.room()
    rooms.drop(room)
    reading = asyncio.ensure_future(rooms.find(room.room_id))
    await asyncio.sleep(0)
    rooms.add(room)
    found: Room | None = await reading
    assert found is room
    assert rooms.loaded(room.room_id) is room
