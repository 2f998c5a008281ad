"""What was said before somebody came, read from other servers; and what other servers may read here."""

from collections.abc import Iterator

import pytest

from tests.federation.peer import Peer
from tests.federation.test_memberships import VERSIONS, enter
from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess
from tests.support.network import Network

ONE = "one.test"


@pytest.fixture
def peer(network: Network) -> Iterator[Peer]:
    with Peer(network) as peer:
        yield peer


def walk_back(who: Client, room: str, limit: int = 40) -> list[Json]:
    """All that somebody can read of a room, the latest first."""
    found: list[Json] = []
    token: str | None = None
    while True:
        page = who.messages(room, limit=limit, **({} if token is None else {"from": token}))
        found += page["chunk"]
        token = page.get("end")
        if token is None:
            return found


@pytest.mark.parametrize("version", VERSIONS)
def test_a_late_comer_reads_all_that_was_said(alice: Client, bob: Client, version: str) -> None:
    room = alice.create_room(preset="public_chat", room_version=version)
    said = [alice.send(room, f"message {number}") for number in range(130)]
    enter(bob, room, ONE)
    told = walk_back(bob, room)
    assert [event["event_id"] for event in told if event["type"] == "m.room.message"] == said[::-1]
    assert told[-1]["type"] == "m.room.create"
    assert [event["event_id"] for event in told] == [event["event_id"] for event in walk_back(alice, room)]


def test_a_late_comer_reads_nothing_that_is_not_for_them(alice: Client, bob: Client) -> None:
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room = alice.create_room(preset="public_chat", initial_state=[hidden])
    for number in range(20):
        alice.send(room, f"secret {number}")
    enter(bob, room, ONE)
    assert "secret" not in str(walk_back(bob, room))


def test_a_late_comer_finds_what_was_said_at_a_time(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    said = [alice.event(room, alice.send(room, f"message {number}")) for number in range(130)]
    enter(bob, room, ONE)
    path = f"/_matrix/client/v1/rooms/{seg(room)}/timestamp_to_event"
    for which in (3, 60):
        times = said[which]["origin_server_ts"]
        for direction in "fb":
            near = bob.must("GET", path, ts=times, dir=direction)
            assert near == alice.must("GET", path, ts=times, dir=direction)
            assert bob.event(room, near["event_id"])["origin_server_ts"] == times


def test_where_nobody_tells_the_past_the_present_is_told(bob: Client, two: HearthProcess, peer: Peer) -> None:
    room = peer.found("10")
    for number in range(5):
        room.put(room.say(f"message {number}"))
    enter(bob, room.room_id, peer.name)
    peer.answer("GET", ".*/backfill/.*", lambda question: (500, {"errcode": "M_UNKNOWN", "error": "No."}))
    assert [event["type"] for event in walk_back(bob, room.room_id)] == ["m.room.member"]
    asked = [question for question in peer.asked if "/backfill/" in question.path]
    assert len(asked) == 1  # and not again for a while


@pytest.mark.parametrize("version", ["10", "12"])
def test_what_a_server_may_read(alice: Client, one: HearthProcess, peer: Peer, version: str) -> None:
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    wanted = {"preset": "public_chat", "room_version": version, "initial_state": [hidden]}
    room_id = alice.create_room(**wanted, name="Tea")
    secret = alice.send(room_id, "secret")
    room = peer.join(one, ONE, room_id)
    shown = alice.send(room_id, "shown")
    at, event_ids = seg(room_id), f"v={seg(shown)}"
    told = peer.ask(one, ONE, "GET", f"/v1/backfill/{at}?{event_ids}&limit=100").json()
    assert told["origin"] == ONE
    bodies = [pdu["content"].get("body") for pdu in told["pdus"] if pdu["type"] == "m.room.message"]
    assert bodies == ["shown", None]  # what was said before is there in its redacted form
    assert peer.ask(one, ONE, "GET", f"/v1/backfill/{at}?{event_ids}&limit=1").json()["pdus"][0]["content"] == {
        "msgtype": "m.text",
        "body": "shown",
    }
    for path in (f"/v1/backfill/{at}?limit=5", f"/v1/backfill/{at}?{event_ids}", f"/v1/state/{at}"):
        assert peer.ask(one, ONE, "GET", path).json()["errcode"] == "M_MISSING_PARAM"
    # Alone, too: what stands on it and what it allows must be judged by whoever asks.
    (pdu,) = peer.ask(one, ONE, "GET", f"/v1/event/{seg(secret)}").json()["pdus"]
    assert (pdu["content"], pdu["type"]) == ({}, "m.room.message")
    # What is state now is no secret to whoever is in the room, and would be lost to them if it came spoilt.
    (pdu,) = peer.ask(one, ONE, "GET", f"/v1/event/{seg(room.state['m.room.name', ''])}").json()["pdus"]
    assert pdu["content"] == {"name": "Tea"}
    (pdu,) = peer.ask(one, ONE, "GET", f"/v1/event/{seg(shown)}").json()["pdus"]
    assert pdu["content"]["body"] == "shown"
    assert peer.ask(one, ONE, "GET", f"/v1/event/{seg('$nothing')}").status_code == 404
    # The state before an event, whole and by ids, and what allows it.
    ids = peer.ask(one, ONE, "GET", f"/v1/state_ids/{at}?event_id={seg(shown)}").json()
    whole = peer.ask(one, ONE, "GET", f"/v1/state/{at}?event_id={seg(shown)}").json()
    assert set(ids["pdu_ids"]) == set(room.state.values())
    assert len(whole["pdus"]) == len(ids["pdu_ids"])
    assert len(whole["auth_chain"]) == len(ids["auth_chain_ids"])
    create = room.state["m.room.create", ""]
    assert create in ids["auth_chain_ids"]
    own = peer.ask(one, ONE, "GET", f"/v1/event_auth/{at}/{seg(create)}").json()
    assert own == {"auth_chain": []}
    chain = peer.ask(one, ONE, "GET", f"/v1/event_auth/{at}/{seg(shown)}").json()["auth_chain"]
    assert {pdu["type"] for pdu in chain} >= {"m.room.create", "m.room.power_levels", "m.room.member"}
    between = {"latest_events": [shown], "earliest_events": [secret], "limit": 10}
    events = peer.ask(one, ONE, "POST", f"/v1/get_missing_events/{at}", between).json()["events"]
    assert [event["type"] for event in events] == ["m.room.member"]
    # Others are told nothing.
    with Peer(peer.network) as stranger:
        for path in (
            f"/v1/backfill/{at}?{event_ids}&limit=5",
            f"/v1/event/{seg(shown)}",
            f"/v1/state_ids/{at}?event_id={seg(shown)}",
            f"/v1/event_auth/{at}/{seg(shown)}",
        ):
            assert stranger.ask(one, ONE, "GET", path).status_code == 403, path


def test_the_last_words_of_a_server_that_left(alice: Client, one: HearthProcess, peer: Peer) -> None:
    """Whoever was away when the last of a server said something and left needs what the leaving stands on, and nobody
    else has it; nobody comes into the room through a server that is not in it."""
    room_id = alice.create_room(preset="public_chat")
    with Peer(peer.network) as stranger:
        room = peer.join(one, ONE, room_id)
        said = alice.send(room_id, "farewell")
        alice.leave(room_id)
        left = alice.messages(room_id, limit=1)["chunk"][0]["event_id"]
        at = seg(room_id)
        paths = (
            f"/v1/event/{seg(left)}",
            f"/v1/backfill/{at}?v={seg(left)}&limit=5",
            f"/v1/event_auth/{at}/{seg(left)}",
        )
        paths += (f"/v1/state_ids/{at}?event_id={seg(left)}", f"/v1/state/{at}?event_id={seg(left)}")
        for path in paths:
            assert peer.ask(one, ONE, "GET", path).status_code == 200, path
            assert stranger.ask(one, ONE, "GET", path).json()["errcode"] == "M_FORBIDDEN", path
        between = {"latest_events": [left], "earliest_events": [room.ends[0]], "limit": 10}
        events = peer.ask(one, ONE, "POST", f"/v1/get_missing_events/{at}", between).json()["events"]
        assert [event["content"]["body"] for event in events] == ["farewell"]
        (pdu,) = peer.ask(one, ONE, "GET", f"/v1/event/{seg(said)}").json()["pdus"]
        assert pdu["content"]["body"] == "farewell"
        for who in (peer, stranger):
            path = f"/v1/make_join/{at}/{seg(who.user())}?ver=12"
            assert who.ask(one, ONE, "GET", path).json()["errcode"] == "M_NOT_FOUND"


def test_who_was_erased_is_told_emptied_to_servers_that_come_later(
    alice: Client, one: HearthProcess, peer: Peer
) -> None:
    """client-server API, POST /account/deactivate, ``erase``: "any users (or servers) which join the room after the
    erasure request are served redacted copies"; those that were there may have their copies again."""
    room_id = alice.create_room(preset="public_chat", room_version="11")
    gone = Client.register(one.url)
    gone.join(room_id)
    peer.join(one, ONE, room_id)
    said = gone.send(room_id, "forget this")
    path, auth = "/account/deactivate", {"type": "m.login.password", "password": "wonderland"}
    auth |= {"identifier": {"type": "m.id.user", "user": gone.user_id}}
    gone.must("POST", path, {"erase": True, "auth": auth})
    with Peer(peer.network) as late:
        late.join(one, ONE, room_id)
        for who, content in ((peer, {"msgtype": "m.text", "body": "forget this"}), (late, {})):
            (pdu,) = who.ask(one, ONE, "GET", f"/v1/event/{seg(said)}").json()["pdus"]
            assert pdu["content"] == content
            query = f"v={seg(said)}&limit=1"
            (pdu,) = who.ask(one, ONE, "GET", f"/v1/backfill/{seg(room_id)}?{query}").json()["pdus"]
            assert pdu["content"] == content
