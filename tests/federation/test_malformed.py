"""What a hostile server may send to a room: malformed, forged, odd. None of it comes in that must not."""

from collections.abc import Callable
from typing import Any

import pytest

from appliance.protocol.events import Event
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER
from tests.federation.adversary import (
    MALLORY,
    MAUD,
    MOSES,
    Siege,
    another_room,
    end_of,
    every_version,
    in_a_siege,
    rows,
    says,
)
from tests.federation.house import ELSEWHERE
from tests.federation.resident import Server

# What must not come in --------------------------------------------------------------------------------------------


def _spoil(event: Event, **other: Any) -> dict[str, Any]:
    return {**event.pdu, **other}


def _nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


MALFORMED: dict[str, dict[str, Any]] = {
    "no signature": {"signatures": {}},
    "a signature of another key": {"signatures": {ELSEWHERE: {"ed25519:9": "A" * 86}}},
    "signatures that are none": {"signatures": {ELSEWHERE: {"ed25519:1": 7}}},
    "signatures of no form": {"signatures": [1]},
    "a depth below nothing": {"depth": -1},
    "a depth beyond all": {"depth": 2**53},
    "a depth that is true": {"depth": True},
    "a depth with a fraction": {"depth": 1.5},
    "a depth in words": {"depth": "deep"},
    "a time that is none": {"origin_server_ts": "now"},
    "hashes of no form": {"hashes": "x"},
    "no hash": {"hashes": {}},
    "parents of no form": {"prev_events": "x"},
    "parents that are none": {"prev_events": [7, None]},
    "too many parents": {"prev_events": ["$" + f"{number:043}" for number in range(21)]},
    "too many vouchers": {"auth_events": ["$" + f"{number:043}" for number in range(11)]},
    "another room": {"room_id": "!" + "A" * 43},
    "a room without a form": {"room_id": "here"},
    "a sender who is none": {"sender": "mallory"},
    "a content that is none": {"content": [1]},
    "a type too long": {"type": "x" * 256},
    "a key too long": {"state_key": "é" * 128},
    "a number too large": {"content": {"n": 2**53}},
    "a fraction": {"content": {"n": 0.5}},
    "not a number": {"content": {"n": float("nan")}},
    "half a character": {"content": {"n": "\ud800"}},
    "no bottom": {"content": {"n": _nested(3_000)}},
    "too large": {"content": {"body": "x" * 65_536}},
}


@pytest.mark.parametrize("how", list(MALFORMED))
@in_a_siege
async def test_what_is_malformed_leaves_no_trace(siege: Siege, b: Server, c: Server, how: str) -> None:
    """It is refused with a sentence, and not one row is written."""
    good = siege.adversary.upon(b.house, [await end_of(b)], "m.room.message", {"body": "x"})
    before = rows(b)
    verdict = await siege.tell_pdu(b, _spoil(good, **MALFORMED[how]))
    assert isinstance(verdict, str)
    assert rows(b) == before
    assert await siege.tell(b, good) is Verdict.ACCEPTED


@in_a_siege
async def test_nobody_speaks_for_others(siege: Siege, b: Server, c: Server) -> None:
    """What claims to be of a Hearth's user must be signed by that Hearth."""
    before = rows(b)
    for victim in (b.anchor, c.anchor):
        forged = siege.adversary.upon(b.house, [await end_of(b)], "m.room.message", {"body": "x"}, sender=victim)
        assert "signed" in str(await siege.tell(b, forged))
    borrowed = siege.adversary.upon(b.house, [await end_of(b)], "m.room.message", {"body": "x"})
    theirs = {**borrowed.pdu, "sender": c.anchor, "signatures": {"c.example": {"ed25519:1": "A" * 86}}}
    assert "signed" in str(await siege.tell_pdu(b, theirs))
    assert rows(b) == before


FORGED: dict[str, Callable[[Room, list[str]], list[str]]] = {
    "none": lambda room, named: [],
    "no create event": lambda room, named: named[1:],
    "one of them twice": lambda room, named: [*named, named[-1]],
    "somebody else's membership": lambda room, named: [*named[:-1], _in(room, MEMBER, MAUD)],
    "one more than needed": lambda room, named: [*named, _in(room, "m.room.join_rules")],
    "an old one and a new one": lambda room, named: [*named, _first_levels(room)],
    "a message": lambda room, named: [*named, room.head.extremities[0].event_id],
}


def _in(room: Room, event_type: str, key: str = "") -> str:
    return room.store.event(room.head.state[event_type, key]).event_id


def _first_levels(room: Room) -> str:
    return room.store.event(room.head.state["m.room.power_levels", ""]).auth_events[-2]


@pytest.mark.parametrize("how", list(FORGED))
@in_a_siege
@pytest.mark.parametrize("version", ["10"])
async def test_forged_vouchers_are_rejected(siege: Siege, b: Server, c: Server, how: str) -> None:
    """What names other events than those that allow it is rejected by both, and what stands on it is judged rightly."""
    await says(siege, b, [await end_of(b)], "m.room.message", {"body": "an end"})
    await siege.agree()
    room = await b.room()
    end = await end_of(b)
    good = siege.adversary.upon(b.house, [end], "m.room.topic", {"topic": "x"}, "")
    forged = siege.adversary.upon(
        b.house, [end], "m.room.topic", {"topic": "x"}, "", auth=FORGED[how](room, list(good.auth_events))
    )
    before = await b.state()
    for server in (b, c):
        assert await siege.tell(server, forged) is Verdict.REJECTED
        assert await siege.tell(server, forged) is Verdict.KNOWN
    assert await b.state() == before == await c.state()
    built = siege.adversary.upon(b.house, [forged.event_id], "m.room.message", {"body": "on top"})
    for server in (b, c):
        assert await siege.tell(server, built) is Verdict.ACCEPTED
        assert await server.ends() == {built.event_id}


@in_a_siege
@every_version
async def test_a_room_is_created_once(siege: Siege, b: Server, c: Server) -> None:
    """Another create event, on top of the room or beside it, changes nothing."""
    before, ends = await b.state(), await b.ends()
    room = await b.room()
    content = {**room.create.content, "creator": MALLORY}
    creates = [
        siege.adversary.upon(b.house, [await end_of(b)], "m.room.create", content, "", auth=auth)
        for auth in ([], [room.create.event_id])
        if not room.version.hash_room_ids
    ]
    own = {"event_id": f"$another:{ELSEWHERE}"} if room.version.event_ids == "field" else {}
    creates += [siege.adversary.signed(room.version, {**one.pdu, **own, "prev_events": []}) for one in creates[:1]]
    topic = siege.adversary.upon(b.house, [await end_of(b)], "m.room.topic", {}, "")
    creates.append(siege.adversary.signed(room.version, {**topic.pdu, "prev_events": []}))
    for create in creates:
        verdict = await siege.tell(b, create)
        assert verdict is Verdict.REJECTED or isinstance(verdict, str)
    assert (await b.state(), await b.ends()) == (before, ends)


@in_a_siege
async def test_another_rooms_events_change_nothing(siege: Siege, b: Server, c: Server) -> None:
    """State of one room, sent for another one, is refused there, and both rooms go on."""
    home = b.house
    room_id = await another_room(siege, b, 1)
    before = rows(b)
    event = siege.adversary.upon(home, [await end_of(b)], "m.room.topic", {"topic": "x"}, "")
    moved = siege.adversary.signed(event.version, {**event.pdu, "room_id": room_id})
    for pdu in (event.pdu, moved.pdu):
        with pytest.raises(Unacceptable, match="another room"):
            await home.accepting.accept(room_id, pdu, ELSEWHERE)
    assert rows(b) == before
    assert await siege.tell(b, event) is Verdict.ACCEPTED


# Odd, and allowed --------------------------------------------------------------------------------------------------


@in_a_siege
@pytest.mark.parametrize("version", ["1", "3", "5"])
async def test_odd_numbers_of_old_rooms(siege: Siege, b: Server, c: Server) -> None:
    """Old rooms hold fractions, huge integers and levels as text: both Hearths keep the very bytes and agree."""
    end = await end_of(b)
    odd = {"body": "x", "float": 1.5, "exponent": 1e100, "huge": 10**40, "negative": -(2**63), "zero": 0.0}
    event = await says(siege, b, [end], "m.room.message", odd, depth=2**63 - 1)
    assert await siege.tell(c, event) is Verdict.ACCEPTED
    room = await b.room()
    levels = room.state_event(room.head, "m.room.power_levels")
    assert levels is not None
    content = {**levels.content, "users": {**levels.content["users"], MOSES: " 25 "}, "events": {"x": "+10"}}
    changed = siege.adversary.upon(b.house, [event.event_id], "m.room.power_levels", content, "")
    for server in (b, c):
        assert await siege.tell(server, changed) is Verdict.ACCEPTED
        now = await server.room()
        assert now.power(now.head).user(MOSES) == 25
        found = now.store.find(event.event_id)
        assert found is not None
        assert found[0].json == event.json
        assert found[0].ordering < 1_000
    await siege.agree()


@in_a_siege
async def test_depths_do_not_matter(siege: Siege, b: Server, c: Server) -> None:
    """However deep or shallow events say they are, they come after what they stand on, and those after them too."""
    parent = await end_of(b)
    for depth in (2**53 - 1, 0, 2**53 - 1, 1, 7):
        event = siege.adversary.upon(b.house, [parent], "m.room.message", {"body": str(depth)}, depth=depth)
        for server in (b, c):
            assert await siege.tell(server, event) is Verdict.ACCEPTED
        parent = event.event_id
    await siege.agree()
    for server in (b, c):
        room = await server.room()
        assert room.head.extremities[0].ordering < 1_000
        assert room.store.event(room.head.extremities[0].nid).depth < 1_000


@in_a_siege
async def test_the_same_parent_many_times(siege: Siege, b: Server, c: Server) -> None:
    """An event that names its parent twenty times has one parent."""
    event = siege.adversary.upon(b.house, [await end_of(b)] * 20, "m.room.topic", {"topic": "x"}, "")
    for server in (b, c):
        assert await siege.tell(server, event) is Verdict.ACCEPTED
        assert await server.ends() == {event.event_id}
    await siege.agree()


@in_a_siege
async def test_the_largest_event_that_may_be(siege: Siege, b: Server, c: Server) -> None:
    """One of exactly 65,536 bytes is taken, with whatever it carries along unsigned left behind; one more is not."""
    parents = [await end_of(b)]
    base = len(siege.adversary.upon(b.house, parents, "m.room.message", {"body": ""}).json)
    body = "x" * (65_536 - base)
    event = siege.adversary.upon(b.house, parents, "m.room.message", {"body": body})
    while len(event.json) != 65_536:  # the time in it may have one digit more
        body = body[: len(body) - (len(event.json) - 65_536)]
        event = siege.adversary.upon(b.house, parents, "m.room.message", {"body": body})
    before = rows(b)["events"]
    assert await siege.tell_pdu(b, {**event.pdu, "unsigned": {"x": "y" * 10**6}}) is Verdict.ACCEPTED
    size = b.house.owning.database.read("SELECT MAX(LENGTH(json)) FROM events")[0][0]
    assert (size, rows(b)["events"]) == (65_536, before + 1)
    larger = siege.adversary.signed(event.version, {**event.pdu, "content": {"body": body}})
    assert isinstance(await siege.tell_pdu(b, {**larger.pdu, "content": {"body": body + "x"}}), str)
