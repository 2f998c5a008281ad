"""Events that cannot be checked when they come, as a server that signed them does not tell its keys."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.federation import awaited_keys
from appliance.protocol import hashes
from appliance.protocol.events import Event
from appliance.protocol.signing import SigningKey
from appliance.rooms.incoming.accepting import Verdict
from appliance.storage.waiting import WaitingEvent
from tests.federation.peer import Peer, PeerRoom
from tests.federation.test_memberships import enter
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


def test_members_whose_server_is_away_when_a_room_is_joined_come_into_its_state_later(
    network: Network, server: HearthProcess
) -> None:
    """And so do those whom they let in; what changed meanwhile stays as it is; all of it also through restarts."""
    alice = Client.register(server.url)
    with Peer(network) as peer, Peer(network) as away:
        room = peer.found("11", join_rule="invite")
        away.answer("GET", KEYS, lambda question: (503, {"errcode": "M_UNKNOWN", "error": "Not now."}))

        def member(user_id: str, how: str, by: Peer, sender: str = "") -> Event:
            made = room.event("m.room.member", {"membership": how}, user_id, sender=sender or user_id)
            return room.put(signed_by(by, made))

        otto, anna, carol, dora = away.user("otto"), away.user("anna"), peer.user("carol"), peer.user("dora")
        for user_id in (otto, anna, dora):
            member(user_id, "invite", peer, peer.user())
        for user_id in (otto, anna):
            member(user_id, "join", away)
        member(carol, "invite", away, otto)
        member(carol, "join", peer)
        member(dora, "join", peer)
        levels = {"users": {peer.user(): 100, otto: 50}}
        room.put(room.event("m.room.power_levels", levels, ""))
        room.put(room.event("m.room.join_rules", {"join_rule": "public"}, ""))
        forged = room.event("m.room.topic", {"topic": "forged"}, "", sender=otto)
        room.put(signed_by(away, forged, SigningKey.generate()))
        enter(alice, room.room_id, peer.name)
        assert [membership(alice, room, one) for one in (otto, anna, carol, dora)] == ["", "", "", "join"]
        # What comes meanwhile stands on what is known; one of those who are not is removed.
        peer.send(
            server,
            NAME,
            room.put(
                room.event(
                    "m.room.member",
                    {"membership": "ban"},
                    anna,
                    auth=[
                        room.state["m.room.create", ""],
                        room.state["m.room.power_levels", ""],
                        room.state["m.room.member", peer.user()],
                    ],
                )
            ),
        )
        alice.sync_until(lambda sync: membership(alice, room, anna) == "ban")
        mine = alice.send(room.room_id, "indeed")
        server.kill()
        away.answer("GET", KEYS, lambda question: (200, away.keys()))
        server.start()
        alice.sync_until(lambda sync: membership(alice, room, otto) == "join")
        wanted = {alice.user_id, peer.user(), otto, carol, dora}
        for _ in range(2):
            assert set(alice.must("GET", f"/rooms/{seg(room.room_id)}/joined_members")["joined"]) == wanted
            assert membership(alice, room, anna) == "ban"
            assert alice.ask("GET", f"/rooms/{seg(room.room_id)}/state/m.room.topic").status_code == 404
            # What stands on what was here then, and on what was said meanwhile, is judged with them in the room.
            said = signed_by(away, room.say("here I am", sender=otto, parents=[mine], depth=30))
            assert away.send(server, NAME, said) == {said.event_id: {}}
            alice.sync_until_text(room.room_id, "here I am")
            mine = alice.send(room.room_id, "again")
            server.kill()
            server.start()
        whole = alice.must("GET", "/sync")["rooms"]["join"][room.room_id]
        told = [*whole["state"]["events"], *whole["timeline"]["events"]]
        assert {event["state_key"] for event in told if event["type"] == "m.room.member"} >= wanted


class Patience:
    """What waits for ever, and keys that nobody tells."""

    def __init__(self) -> None:
        self.keys_wanted: list[Any] = []
        self.learned: list[Any] = []
        self.told: set[str] = set()
        self.taken: list[str] = []

    def may_wait(self) -> bool:
        return True

    def is_waited_for(self, server: str) -> bool:
        return server not in self.told

    async def waiting_for_keys(self, server: str, after: str) -> list[WaitingEvent]:
        return [] if after or server in self.told else [WaitingEvent(f"$of_{server}", "!r", "o", 0, b"{}")]

    async def servers_wanted(self) -> list[tuple[str, str]]:
        return []

    async def rooms_without(self, server: str) -> list[str]:
        return []

    async def accept(self, room_id: str, pdu: Any, origin: str) -> Verdict:
        return Verdict.ACCEPTED

    async def drop(self, event_id: str) -> None:
        raise AssertionError

    async def refresh(self, server: str) -> None:
        return None

    def rest(self, server: str) -> float:
        return 3600.0


def test_nobody_takes_all_the_places_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends events of servers that do not exist cannot keep others' from being asked for."""
    monkeypatch.setattr(awaited_keys, "MOST_SERVERS", 10)

    async def story() -> None:
        fake: Any = Patience()
        awaited = awaited_keys.AwaitedKeys(fake, fake, fake, fake)
        for number in range(50):
            awaited.want(f"none{number}.test", "hostile.test")
        assert len(awaited.wanted) == 10
        for number in range(20):
            awaited.want(f"away{number}.test", "honest.test")
            awaited.want(f"more{number}.test", "hostile.test")
        awaited.want("third.test", "friend.test")
        shares = Counter(awaited.wanted.values())
        assert shares == {"hostile.test": 5, "honest.test": 4, "friend.test": 1} or shares == {
            "hostile.test": 4,
            "honest.test": 5,
            "friend.test": 1,
        }
        # One that has no place is done as soon as it tells its keys, whoever has the places.
        assert "none0.test" not in awaited.wanted

        async def taken(room_id: str, pdu: Any, origin: str) -> Verdict:
            fake.told.add("none0.test")
            done.set()
            return Verdict.ACCEPTED

        done = asyncio.Event()
        fake.accept = taken
        for learned in fake.learned:
            learned("none0.test")
        await asyncio.wait_for(done.wait(), 10)
        while "none0.test" in awaited.wanted:
            await asyncio.sleep(0)
        await awaited.stop()
        assert not awaited.wanted

    asyncio.run(story())
