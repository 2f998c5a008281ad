"""Events that arrive at once, in the wrong order, doubled or spoilt: nothing is lost, stuck or taken twice."""

import asyncio
from typing import Any

import pytest

from appliance.protocol.events import Event
from appliance.rooms.incoming import holding
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.room import Room
from tests.federation.house import ALICE, MALLORY, House
from tests.federation.test_accepting import in_house, text


def message(home: House, room: Room, words: str, **where: Any) -> Event:
    """A message of Mallory's."""
    return home.remote.event(room, "m.room.message", text(words), **where)


def waiting(home: House) -> list[tuple[str, str]]:
    """Which events wait, and for what."""
    return home.owning.database.read(
        "SELECT w.event_id, f.missing_event_id FROM waiting_events w LEFT JOIN waiting_for f USING (event_id)"
    )


@in_house
async def test_the_same_event_many_times_at_once(home: House) -> None:
    """Whatever the verdict, one of them stores it and the others find it."""
    room = await home.with_mallory()
    accepted = message(home, room, "one")
    rejected = home.remote.event(room, "m.room.power_levels", {"users": {MALLORY: 100}}, "")
    outlier = home.remote.event(room, "m.room.member", {"membership": "join", "displayname": "M"}, MALLORY)
    late = message(home, room, "late")
    for event, verdict in ((accepted, Verdict.ACCEPTED), (rejected, Verdict.REJECTED)):
        verdicts = await asyncio.gather(*(home.accepting.accept(room.room_id, event.pdu) for _ in range(5)))
        assert sorted(verdicts, key=str) == sorted([verdict, *[Verdict.KNOWN] * 4], key=str)
    verdicts = await asyncio.gather(*(home.accepting.accept_outlier(room.room_id, outlier.pdu) for _ in range(5)))
    assert verdicts.count(Verdict.KNOWN) == 4
    await home.living.acts.membership.ban(ALICE, room.room_id, MALLORY)
    verdicts = await asyncio.gather(*(home.accepting.accept(room.room_id, late.pdu) for _ in range(5)))
    assert verdicts.count(Verdict.SOFT_FAILED) == 1
    await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "still here"})
    assert home.living.graph.rooms.loaded(room.room_id) is room


@in_house
async def test_child_and_parent_at_once(home: House) -> None:
    """A child that is put down to wait while its parent comes does not wait for ever."""
    room = await home.with_mallory()
    chain = [message(home, room, "0")]
    for number in range(1, 12):
        chain.append(message(home, room, str(number), parents=[chain[-1].event_id]))
    await asyncio.gather(*(home.accepting.accept(room.room_id, one.pdu) for one in reversed(chain)))
    assert waiting(home) == []
    assert [end.event_id for end in room.published.extremities] == [chain[-1].event_id]


@in_house
async def test_an_event_that_waits_for_several_waits_for_all(home: House) -> None:
    """It is looked at again once the last of them is here, and not for each."""
    room = await home.with_mallory()
    parents = [message(home, room, f"parent {number}") for number in range(4)]
    last = message(home, room, "last", parents=[one.event_id for one in parents])
    assert await home.accepting.accept(room.room_id, last.pdu) is Verdict.WAITING
    looked: list[str] = []
    again = home.accepting._again

    async def counted(event_id: str) -> bool:
        looked.append(event_id)
        return await again(event_id)

    home.accepting._again = counted  # type: ignore[method-assign]
    for parent in parents:
        assert last.event_id not in looked
        await home.accepting.accept(room.room_id, parent.pdu)
    assert looked == [last.event_id]
    assert [end.event_id for end in room.published.extremities] == [last.event_id]
    assert waiting(home) == []


@in_house
async def test_parents_and_vouchers_are_waited_for_together(home: House) -> None:
    """What an event waits for is all that it lacks, so that it can be asked for at once."""
    room = await home.with_mallory()
    parent, voucher = "$" + "P" * 43, "$" + "V" * 43
    event = message(home, room, "x", parents=[parent], auth=[voucher])
    assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.WAITING
    assert sorted(waiting(home)) == [(event.event_id, parent), (event.event_id, voucher)]
    assert sorted(await home.holding.missing(room.room_id, 10)) == [parent, voucher]


@in_house
async def test_what_stands_on_a_rejected_event_covers_what_that_stands_on(home: House) -> None:
    """An end of the graph on which a rejected event stands is no end once something stands on that."""
    room = await home.with_mallory()
    grab = home.remote.event(room, "m.room.power_levels", {"users": {MALLORY: 100}}, "")
    await home.accepting.accept(room.room_id, grab.pdu)
    more = message(home, room, "grabbed again", parents=[grab.event_id], auth=[grab.event_id])
    assert await home.accepting.accept(room.room_id, more.pdu) is Verdict.REJECTED
    built = message(home, room, "as if nothing had been", parents=[more.event_id])
    assert await home.accepting.accept(room.room_id, built.pdu) is Verdict.ACCEPTED
    assert [end.event_id for end in room.published.extremities] == [built.event_id]
    assert home.owning.database.read("SELECT COUNT(*) FROM forward_extremities WHERE room_nid = ?", (room.nid,)) == [
        (1,)
    ]


@in_house
async def test_vouchers_of_another_room_do_not_vouch(home: House) -> None:
    """An event that names another room's events as allowing it is rejected; what stands on it may be fine."""
    room = await home.with_mallory()
    other = await home.with_mallory()
    theirs = [other.store.event(other.published.state["m.room.member", MALLORY]).event_id]
    event = message(home, room, "by their leave", auth=theirs)
    assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.REJECTED
    elsewhere = message(home, room, "on their ground", parents=[other.published.extremities[0].event_id])
    with pytest.raises(Unacceptable, match="another room"):
        await home.accepting.accept(room.room_id, elsewhere.pdu)


@in_house
async def test_a_spoilt_outlier_is_mended(home: House) -> None:
    """An event that somebody handed on with a forged content keeps none, until it comes as it was made."""
    room = await home.with_mallory()
    named = {"membership": "join", "displayname": "M"}
    member = home.remote.event(room, "m.room.member", named, MALLORY)
    spoilt = {**member.pdu, "content": {**named, "displayname": "forged"}}
    await home.accepting.accept_outlier(room.room_id, spoilt)
    assert room.store.find(member.event_id)[1].content == {"membership": "join"}  # type: ignore[index]
    assert await home.accepting.accept(room.room_id, member.pdu) is Verdict.ACCEPTED
    assert room.store.find(member.event_id)[1].content == named  # type: ignore[index]


@in_house
async def test_ids_that_servers_choose_themselves(home: House) -> None:
    """In room versions 1 and 2 an id may be used again: for another room's event, or for another event of the room."""
    room = await home.with_mallory(room_version="2")
    other = await home.with_mallory(room_version="2")
    first = message(home, room, "one")
    assert await home.accepting.accept_outlier(room.room_id, first.pdu) is Verdict.ACCEPTED
    for where, words in ((other, "elsewhere"), (room, "another")):
        twin = home.remote.event(where, "m.room.message", text(words), event_id=first.event_id)
        with pytest.raises(Unacceptable, match="id"):
            await home.accepting.accept(where.room_id, twin.pdu)
    assert await home.accepting.accept(room.room_id, first.pdu) is Verdict.ACCEPTED


@in_house
async def test_a_circle_waits_and_harms_nobody(home: House) -> None:
    """Events that stand on each other, or on themselves, never come in; where ids are chosen, that can be done."""
    room = await home.with_mallory(room_version="1")
    name = home.remote.name
    circle = [
        message(home, room, "a", parents=[f"$b:{name}"], event_id=f"$a:{name}"),
        message(home, room, "b", parents=[f"$a:{name}"], event_id=f"$b:{name}"),
        message(home, room, "self", parents=[f"$self:{name}"], event_id=f"$self:{name}"),
    ]
    for event in circle:
        assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.WAITING
    await home.accepting.look()
    assert len(waiting(home)) == 3
    assert await home.accepting.accept(room.room_id, message(home, room, "and on").pdu) is Verdict.ACCEPTED


@in_house
async def test_a_flood_of_waiting_events_pushes_out_itself(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded for a room and for a server; an honest server's event stays."""
    most = 40
    room = await home.with_mallory()
    monkeypatch.setattr(holding, "MOST_OF_ROOM", most)
    monkeypatch.setattr(holding, "MOST_OF_ORIGIN", 2 * most)
    honest = message(home, room, "honest", parents=["$" + "H" * 43])
    await home.accepting.accept(room.room_id, honest.pdu, "honest.example")
    for number in range(3 * most):
        lost = [f"${number:03}{other:02}" + "F" * 38 for other in range(20)]
        await home.accepting.accept(room.room_id, message(home, room, "x", parents=lost).pdu, "flood.example")
    database = home.owning.database
    assert database.read("SELECT COUNT(*) FROM waiting_events")[0][0] <= most
    assert database.read("SELECT COUNT(*) FROM waiting_for")[0][0] <= 20 * most
    assert home.holding.waiting(honest.event_id) is not None
