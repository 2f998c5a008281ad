"""Hostile answers to what this server asks about rooms: each costs little, is told in the log, and harms no other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from appliance.federation.failures import Unreachable
from appliance.federation.remote import Remote
from tests.federation.peer import Answer, Peer, PeerRoom
from tests.federation.test_memberships import enter
from tests.support.client import Client, Json, joined
from tests.support.hearth import HearthProcess
from tests.support.network import Network

ONE = "one.test"
ROOM, USER, EVENT = "!r:x.test", "@u:x.test", "$e"


# The shape of an answer -------------------------------------------------------------------------------------------


class Saying:
    """A client that always gets the same answer."""

    def __init__(self, answer: Json) -> None:
        self.answer = answer

    async def request(self, destination: str, method: str, path: str, **more: Any) -> Json:
        """Ask nobody."""
        return self.answer


QUESTIONS: dict[str, Callable[[Remote], Awaitable[Any]]] = {
    "make_join": lambda remote: remote.template("x.test", "join", ROOM, USER),
    "make_leave": lambda remote: remote.template("x.test", "leave", ROOM, USER),
    "make_knock": lambda remote: remote.template("x.test", "knock", ROOM, USER),
    "invite": lambda remote: remote.invite("x.test", "12", ROOM, EVENT, {}, []),
    "get_missing_events": lambda remote: remote.missing("x.test", ROOM, [EVENT], [], 10),
    "state_ids": lambda remote: remote.state_ids("x.test", ROOM, EVENT),
    "state": lambda remote: remote.state("x.test", ROOM, EVENT),
    "event": lambda remote: remote.event("x.test", EVENT),
    "event_auth": lambda remote: remote.event_auth("x.test", ROOM, EVENT),
    "backfill": lambda remote: remote.backfill("x.test", ROOM, [EVENT], 10),
    "timestamp_to_event": lambda remote: remote.at_time("x.test", ROOM, 1, "f"),
    "directory": lambda remote: remote.alias("x.test", "#a:x.test"),
}
FIELDS = (
    *("event", "room_version", "events", "pdu_ids", "auth_chain_ids", "pdus", "auth_chain", "event_id"),
    *("origin_server_ts", "room_id", "servers", "state"),
)
WRONG: dict[str, Any] = {"null": None, "a number": 7, "a text": "x", "true": True, "an empty object": {}}


@pytest.mark.parametrize("wrong", [*WRONG, "nothing", "lists of anything"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_of_the_wrong_shape_is_none(question: str, wrong: str) -> None:
    """It is one that was not understood, and never goes further as something that it is not."""
    values: dict[str, Any] = {**WRONG, "lists of anything": [None, 7, "x", [], {"a": [1]}]}
    answer = {} if wrong == "nothing" else dict.fromkeys(FIELDS, values[wrong])

    async def ask() -> Any:
        return await QUESTIONS[question](Remote(Saying(answer)))

    try:
        found = asyncio.run(ask())
    except Unreachable as problem:
        assert str(problem).startswith("It")
        return
    # What lists hold is looked at where it is taken in; ids are texts.
    assert (wrong, question) in {
        *(("lists of anything", one) for one in ("get_missing_events", "state", "event_auth", "backfill")),
        ("lists of anything", "state_ids"),
        ("an empty object", "invite"),
    }
    if question == "state_ids":
        assert found == (["x"], ["x"])


# What is said of a room -------------------------------------------------------------------------------------------


def everything(pdus: Any, ids: Any) -> Json:
    """An answer to any question about a room."""
    lists = dict.fromkeys(("events", "pdus", "auth_chain", "state"), pdus)
    return {**lists, **dict.fromkeys(("pdu_ids", "auth_chain_ids"), ids), "origin": "x.test"}


def _ids(pdus: list[Json]) -> list[str]:
    return [f"${number:043}" for number in range(len(pdus))]


def _forged(room: PeerRoom, alice: Client) -> Json:
    events = [room.event("m.room.topic", {"topic": "forged"}, "", sender=alice.user_id) for _ in range(3)]
    return everything([one.pdu for one in events], [one.event_id for one in events])


def _of_another(room: PeerRoom, alice: Client) -> Json:
    other = room.peer.found("10")
    return everything(other.pdus(list(other.state.values())), list(other.state.values()))


def _many(room: PeerRoom, alice: Client) -> Json:
    events = [room.say(f"{number}", parents=[f"${number:043}"]) for number in range(2_000)]
    return everything([one.pdu for one in events], [one.event_id for one in events])


def _same(room: PeerRoom, alice: Client) -> Json:
    pdus = [room.say("once").pdu] * 5_000
    return everything(pdus, _ids(pdus[:1]) * 5_000)


def _dripping() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(1)


def _endless() -> Iterator[bytes]:
    yield b'{"events":['
    while True:
        yield b"{}," * 20_000


def _cut() -> Iterator[bytes]:
    yield b'{"events":[{"type":"m.room.message"'


HOSTILE: dict[str, Callable[[PeerRoom, Client], Any]] = {
    "nothing": lambda room, alice: {},
    "another kind": lambda room, alice: everything("x", 7),
    "what are no events": lambda room, alice: everything([7, None, [], {"type": {}}, "x"], [None, {}, 7]),
    "made-up ids": lambda room, alice: everything([], [f"$made-up-{number}" for number in range(20_000)]),
    "forged signatures": _forged,
    "another room": _of_another,
    "thousands of events": _many,
    "one event many times": _same,
    "no bottom": lambda room, alice: b'{"events":' + b"[" * 100_000,
    "no end": lambda room, alice: _endless(),
    "cut off": lambda room, alice: _cut(),
    "a byte a second": lambda room, alice: _dripping(),
    "an error page": lambda room, alice: b"<html>",
}


@pytest.fixture
def peer(network: Network) -> Iterator[Peer]:
    with Peer(network) as peer:
        yield peer


@pytest.mark.parametrize("how", HOSTILE)
def test_a_room_goes_on_whatever_is_said_of_it(alice: Client, one: HearthProcess, peer: Peer, how: str) -> None:
    """An event hangs in the air, and whoever sent it answers with lies what it stands on: it is not taken in, what
    others say there is, and another room notices nothing.
    """
    rooms = [peer.join(one, ONE, alice.create_room(preset="public_chat", room_version="10")) for _ in range(2)]
    alice.sync_until(lambda sync: joined(sync, rooms[1].room_id))
    room, other = rooms
    lie: Answer = lambda question: (200, HOSTILE[how](room, alice))  # noqa: E731
    for method in ("GET", "POST"):
        peer.answer(method, "/_matrix/federation/v1/(get_missing|event|state|backfill).*", lie)
    known = room.ends
    room.put(room.say("kept back"))
    hanging = room.put(room.say("hanging"))
    assert peer.send(one, ONE, hanging) == {hanging.event_id: {}}
    alice.sync_until(lambda sync: peer.asked)
    peer.send(one, ONE, other.say("elsewhere"), room.say("good", parents=known))
    alice.since = None
    alice.sync_until_text(other.room_id, "elsewhere")
    alice.send(room.room_id, "indeed")
    found = alice.messages(room.room_id, limit=100)["chunk"]
    said = {event["content"].get("body") for event in found}
    assert {"good", "indeed"} <= said
    assert not said & {"hanging", "kept back", "once", "forged", "0"}
    if how != "a byte a second":  # that takes half a minute
        alice.sync_until(lambda sync: room.room_id in told_of(one))


def told_of(server: HearthProcess) -> str:
    """What the log says of other servers."""
    lines = server.log.read_text(errors="replace").splitlines()
    return "\n".join(line for line in lines if " federation: " in line)


@pytest.mark.parametrize("how", [how for how in HOSTILE if how not in ("no end", "a byte a second")])
def test_the_past_is_what_can_be_believed_of_it(bob: Client, two: HearthProcess, peer: Peer, how: str) -> None:
    """Whoever reads back as far as a hole, and is lied to about what is before it, sees what is here."""
    room = peer.found("10")
    for number in range(3):
        room.put(room.say(f"before {number}"))
    enter(bob, room.room_id, peer.name)
    lie: Answer = lambda question: (200, HOSTILE[how](room, bob))  # noqa: E731
    peer.answer("GET", "/_matrix/federation/v1/(event|state|backfill).*", lie)
    found = bob.messages(room.room_id, limit=100)["chunk"]
    assert [event["type"] for event in found] == ["m.room.member"]
    assert bob.send(room.room_id, "I am here")
    bob.sync_until(lambda sync: room.room_id in told_of(two))
