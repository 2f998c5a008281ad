"""Rooms with a policy server: what it refuses does not go out, and what came without its word is not shown."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.protocol import hashes
from appliance.protocol.events import Event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS
from tests.federation.peer import Peer, PeerRoom, Question
from tests.federation.test_inbox import texts
from tests.support.client import Client, joined, seg, unique
from tests.support.hearth import HearthProcess
from tests.support.network import Network

ONE, SIGN = "one.test", "/_matrix/policy/v1/sign"


class Police:
    """A policy server: signs whatever does not hold the word "bad"."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.key = SigningKey.generate()
        self.asked: list[Any] = []
        peer.answer("POST", SIGN, self.sign)

    def sign(self, question: Question) -> tuple[int, Any]:
        """Its answer to the question for its word."""
        self.asked.append(question.body)
        if "bad" in str(question.body["content"]):
            return 400, {"errcode": "M_FORBIDDEN", "error": "Mind your language."}
        return 200, {self.peer.name: {"ed25519:policy_server": self.signature(question.body)}}

    def signature(self, pdu: Any) -> str:
        """Its word for an event."""
        return self.key.sign(hashes.signed_form(VERSIONS["11"], pdu))

    def endorsed(self, event: Event) -> Event:
        """An event with that."""
        signatures = {**event.pdu["signatures"]}
        own = signatures.get(self.peer.name, {})
        signatures[self.peer.name] = {**own, "ed25519:policy_server": self.signature(event.pdu)}
        return Event.from_pdu(event.version, {**event.pdu, "signatures": signatures})


@pytest.fixture
def peer(network: Network) -> Iterator[Peer]:
    with Peer(network) as peer:
        yield peer


@pytest.fixture
def police(peer: Peer) -> Police:
    return Police(peer)


@pytest.fixture
def room(alice: Client, one: HearthProcess, peer: Peer, police: Police) -> PeerRoom:
    """A room of Alice's which the policy server is in."""
    room = peer.join(one, ONE, alice.create_room(preset="public_chat", room_version="11"))
    room.serve()
    alice.sync_until(lambda sync: joined(sync, room.room_id))
    assert not police.asked
    policy = {"via": peer.name, "public_keys": {"ed25519": police.key.public_key}}
    alice.set_state(room.room_id, "m.room.policy", policy)
    return room


def test_what_is_refused_does_not_go_out(alice: Client, police: Police, room: PeerRoom) -> None:
    assert not police.asked  # the event that says who is asked goes out by itself
    alice.send(room.room_id, "good")
    path = f"/rooms/{seg(room.room_id)}/send/m.room.message/{unique('txn')}"
    told = alice.refused("M_FORBIDDEN", 400, "PUT", path, {"msgtype": "m.text", "body": "bad"})
    assert told["error"] == "Mind your language."
    alice.set_state(room.room_id, "m.room.topic", {"topic": "Tea"})
    assert [pdu["type"] for pdu in police.asked] == ["m.room.message", "m.room.message", "m.room.topic"]
    assert texts(alice, room) == ["good"]
    # Nobody there: nothing goes out.
    police.peer.answer("POST", SIGN, lambda question: (500, {}))
    path = f"/rooms/{seg(room.room_id)}/send/m.room.message/{unique('txn')}"
    assert alice.ask("PUT", path, {"body": "hello"}).status_code >= 400
    # A room whose policy server has left is a room without one.
    leave = {"type": "m.room.policy", "content": {}}
    alice.set_state(room.room_id, leave["type"], {})
    alice.send(room.room_id, "bad, and free")


def test_what_came_without_its_word_is_not_shown(
    alice: Client, one: HearthProcess, peer: Peer, police: Police, room: PeerRoom
) -> None:
    (policy,) = [e for e in alice.must("GET", f"/rooms/{seg(room.room_id)}/state") if e["type"] == "m.room.policy"]
    last = [policy["event_id"]]
    depth = 100
    endorsed = police.endorsed(room.say("endorsed", parents=last, depth=depth))
    asked_for = room.say("asked for", parents=last, depth=depth)
    bad = room.say("bad", parents=last, depth=depth)
    forged = room.say("bad, and forged", parents=last, depth=depth)
    forged.pdu["signatures"][peer.name]["ed25519:policy_server"] = "A" * 86
    told = peer.send(one, ONE, bad, forged, endorsed, asked_for)
    assert all(verdict == {} for verdict in told.values())
    alice.sync_until_text(room.room_id, "asked for")
    assert set(texts(alice, room)) == {"endorsed", "asked for"}
    assert [pdu["content"]["body"] for pdu in police.asked] == ["bad", "bad, and forged", "asked for"]


def test_rooms_that_still_name_theirs_as_the_proposal_did(
    alice: Client, one: HearthProcess, police: Police, room: PeerRoom
) -> None:
    """MSC4284 before it was accepted: another type of event, with the key in another place, and another path."""
    police.peer.answer("POST", SIGN, lambda question: (404, {"errcode": "M_UNRECOGNIZED", "error": "What?"}))
    police.peer.answer("POST", "/_matrix/policy/unstable/org.matrix.msc4284/sign", police.sign)
    of_old = {"via": police.peer.name, "public_key": police.key.public_key}
    alice.set_state(room.room_id, "org.matrix.msc4284.policy", of_old)
    assert not police.asked  # neither event says itself who is asked about it
    path = f"/rooms/{seg(room.room_id)}/send/m.room.message/"
    alice.refused("M_FORBIDDEN", 400, "PUT", path + unique("txn"), {"body": "bad"})  # by the one that is in force
    alice.set_state(room.room_id, "m.room.policy", {})
    alice.must("PUT", path + unique("txn"), {"body": "bad"})  # which is nobody now
    elsewhere = alice.create_room(preset="public_chat", room_version="11")
    police.peer.join(one, ONE, elsewhere).serve()
    alice.set_state(elsewhere, "org.matrix.msc4284.policy", of_old)
    path = f"/rooms/{seg(elsewhere)}/send/m.room.message/"
    alice.refused("M_FORBIDDEN", 400, "PUT", path + unique("txn"), {"body": "bad"})
    event = alice.event(elsewhere, alice.must("PUT", path + unique("txn"), {"body": "good"})["event_id"])
    assert event["content"] == {"body": "good"}
    assert police.asked[-1]["content"] == {"body": "good"}


def test_a_room_that_names_this_server_can_be_spoken_in(alice: Client, police: Police, room: PeerRoom) -> None:
    """There is no policy server here unless the owner says so."""
    alice.set_state(room.room_id, "m.room.policy", {"via": ONE, "public_keys": {"ed25519": police.key.public_key}})
    alice.send(room.room_id, "heard")
    assert texts(alice, room) == ["heard"]
