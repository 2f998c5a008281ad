"""Events that cannot be checked when they come, as a server that signed them does not tell its keys."""

from collections.abc import Iterator

import pytest

from appliance.protocol import hashes
from appliance.protocol.events import Event
from appliance.protocol.signing import SigningKey
from tests.federation.peer import Peer, PeerRoom
from tests.support.client import Client, seg
from tests.support.hearth import HearthProcess
from tests.support.network import Network

NAME = "patient.test"
KEYS = "/_matrix/key/v2/server"


@pytest.fixture(scope="module")
def server(network: Network) -> Iterator[HearthProcess]:
    """A server that is killed in the story."""
    server = network.hearth(NAME)
    yield server
    server.end()


def signed_by(peer: Peer, event: Event, key: SigningKey | None = None) -> Event:
    """An event with the signature of another server than that which made it, or one by a key of nobody's."""
    key = key or peer.key
    signature = key.sign(hashes.signed_form(event.version, {**event.pdu, "signatures": {}}))
    return Event.from_pdu(event.version, {**event.pdu, "signatures": {peer.name: {key.key_id: signature}}})


def membership(who: Client, room: PeerRoom, user_id: str) -> str:
    """How somebody stands to a room; "" where nothing is known of them."""
    answer = who.ask("GET", f"/rooms/{seg(room.room_id)}/state/m.room.member/{seg(user_id)}")
    return str(answer.json().get("membership", ""))


def texts(who: Client, room: PeerRoom) -> list[str]:
    """What was said in a room."""
    found = who.messages(room.room_id, limit=100)["chunk"]
    return sorted(event["content"]["body"] for event in found if event["type"] == "m.room.message")


@pytest.mark.parametrize("removed", [False, True])
def test_a_member_whose_server_is_away_stops_no_room_and_counts_later(
    network: Network, server: HearthProcess, *, removed: bool
) -> None:
    """A third server's join and message come by way of another, while its keys cannot be had: the room goes on, also
    through a restart; when it is back, all of it counts, and so does it that somebody has removed the member meanwhile.
    """
    alice = Client.register(server.url)
    with Peer(network) as peer, Peer(network) as away:
        levels = {"users": {alice.user_id: 100, peer.user(): 100}}
        wanted = {"preset": "public_chat", "room_version": "11", "power_level_content_override": levels}
        room = peer.join(server, NAME, alice.create_room(**wanted))
        room.serve()
        away.answer("GET", KEYS, lambda question: (503, {"errcode": "M_UNKNOWN", "error": "Not now."}))
        member = away.user("otto")
        join = signed_by(away, room.event("m.room.member", {"membership": "join"}, member, sender=member))
        room.put(join)
        hello = room.put(signed_by(away, room.say("hello", sender=member)))
        first = room.put(room.say("first"))
        forged = signed_by(away, room.say("forged", sender=member), SigningKey.generate())
        told = peer.send(server, NAME, join, hello, first, forged)
        assert told == {event.event_id: {} for event in (join, hello, first, forged)}
        alice.sync_until_text(room.room_id, "first")
        assert membership(alice, room, member) == ""
        # What is said here stands on what is known, and the room goes on.
        alice.send(room.room_id, "indeed")
        more = []
        if removed:
            # This names the join as what allows it, so that it cannot be judged now.
            more.append(room.put(room.event("m.room.member", {"membership": "leave"}, member)))
        peer.send(server, NAME, *more, room.put(room.say("second")))
        alice.sync_until_text(room.room_id, "second")
        server.kill()
        away.answer("GET", KEYS, lambda question: (200, away.keys()))
        server.start()
        alice.sync_until(lambda sync: membership(alice, room, member) == ("leave" if removed else "join"))
        if removed:
            return
        alice.sync_until(lambda sync: texts(alice, room) == ["first", "hello", "indeed", "second"])
        # Its server has heard of what was said here by now, and goes on from there.
        end = alice.send(room.room_id, "here you are")
        later = signed_by(away, room.say("later", sender=member, parents=[end], depth=20))
        assert away.send(server, NAME, later) == {later.event_id: {}}
        assert alice.sync_until_text(room.room_id, "later")["event_id"] == later.event_id
