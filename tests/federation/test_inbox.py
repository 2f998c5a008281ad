"""What another server pushes: good and bad events, doubles, what is missing, and too much of it."""

from collections.abc import Iterator

import pytest

from tests.federation.peer import Peer, PeerRoom
from tests.support.client import Client, Json, joined, seg, timeline
from tests.support.hearth import HearthProcess
from tests.support.network import Network

ONE = "one.test"


@pytest.fixture
def peer(network: Network) -> Iterator[Peer]:
    with Peer(network) as peer:
        yield peer


@pytest.fixture
def room(alice: Client, one: HearthProcess, peer: Peer) -> PeerRoom:
    """A room of Alice's with Mallory in it, whose server answers what it is asked about it."""
    room = peer.join(one, ONE, alice.create_room(preset="public_chat", room_version="10"))
    room.serve()
    alice.sync_until(lambda sync: joined(sync, room.room_id))
    return room


def texts(who: Client, room: PeerRoom) -> list[str]:
    """What was said in a room, the first first."""
    found = who.messages(room.room_id, limit=100)["chunk"]
    return [event["content"]["body"] for event in reversed(found) if event["type"] == "m.room.message"]


def test_each_event_is_judged_on_its_own_and_doubles_are_answered_alike(
    alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    good = room.say("good")
    unsigned = room.say("unsigned")
    unsigned.pdu["signatures"] = {}
    unallowed = room.event("m.room.power_levels", {"users": {peer.user(): 100}}, "")
    elsewhere = {**room.say("elsewhere").pdu, "room_id": "!nowhere:peer.test"}
    body = {"pdus": [unsigned.pdu, unallowed.pdu, {"x": 1}, elsewhere, good.pdu], "edus": []}
    answers = [peer.ask(one, ONE, "PUT", "/v1/send/again", body) for _ in range(2)]
    one.kill()  # before what was answered is noted, perhaps
    one.start()
    answers.append(peer.ask(one, ONE, "PUT", "/v1/send/again", body))
    one.stop()  # by then it is
    one.start()
    answers.append(peer.ask(one, ONE, "PUT", "/v1/send/again", body))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert all(answer.json() == answers[0].json() for answer in answers)
    told = answers[0].json()["pdus"]
    assert set(told) == {good.event_id, unsigned.event_id, unallowed.event_id}
    assert (told[good.event_id], told[unallowed.event_id]) == ({}, {})
    assert "error" in told[unsigned.event_id]
    alice.sync_until_text(room.room_id, "good")
    assert texts(alice, room) == ["good"]
    assert alice.state(room.room_id, "m.room.power_levels")["users"] == {alice.user_id: 100}


def nested(levels: int) -> Json:
    """An object in an object, and so on."""
    value: Json = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_what_is_nested_deep_keeps_nothing_else_from_coming_in(
    alice: Client, bob: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    """Nothing bounds how deep an event is nested but its size: other servers take, and send, hundreds of levels."""
    deep = room.put(room.event("m.room.message", {"body": "deep", "msgtype": "m.text", "x": nested(150)}))
    bottomless = {**room.say("bottomless").pdu, "content": {"x": nested(700)}}
    good = room.put(room.say("good"))
    other = {"edu_type": "m.direct_to_device", "content": {"x": nested(700)}}
    read = {peer.user(): {"event_ids": [good.event_id], "data": {"ts": 1}}}
    edu = {"edu_type": "m.receipt", "content": {room.room_id: {"m.read": read}}}
    alice.sync()
    assert peer.send(one, ONE, bottomless, deep, good, edus=[other, edu]) == {deep.event_id: {}, good.event_id: {}}
    alice.sync_until(lambda sync: peer.user() in str(joined(sync, room.room_id).get("ephemeral")))
    assert texts(alice, room) == ["deep", "good"]
    assert alice.event(room.room_id, deep.event_id)["content"]["x"] == nested(150)
    # Nor does it keep people out of a room, wherever it stands in that.
    theirs = peer.found("11")
    theirs.put(theirs.event("org.example", {"x": nested(150)}, ""))
    for who in (alice, bob):
        who.must("POST", f"/join/{seg(theirs.room_id)}?via={peer.name}", {})
        assert who.state(theirs.room_id, "org.example") == {"x": nested(150)}
        who.since = None
        assert theirs.room_id in who.sync()["rooms"]["join"]


def test_too_much_and_what_is_none_is_refused(one: HearthProcess, peer: Peer, room: PeerRoom) -> None:
    for body in (
        {"pdus": [room.say("x").pdu] * 51},
        {"pdus": [], "edus": [{"edu_type": "x", "content": {}}] * 101},
        {"pdus": {}},
        {"pdus": [], "edus": "x"},
    ):
        answer = peer.ask(one, ONE, "PUT", "/v1/send/x1", body)
        assert (answer.status_code, answer.json()["errcode"]) == (400, "M_BAD_JSON")
    answer = peer.ask(one, ONE, "PUT", f"/v1/send/{'x' * 256}", {"pdus": []})
    assert (answer.status_code, answer.json()["errcode"]) == (400, "M_INVALID_PARAM")
    assert (
        peer.http.put(f"https://127.0.0.1:{one.federation}/_matrix/federation/v1/send/x2", json={}).status_code == 401
    )


def test_what_lies_between_is_asked_for(alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom) -> None:
    said = [room.put(room.say(f"message {number}")) for number in range(30)]
    assert peer.send(one, ONE, said[-1]) == {said[-1].event_id: {}}
    alice.sync_until_text(room.room_id, "message 29")
    assert texts(alice, room) == [f"message {number}" for number in range(30)]
    assert not any("/state" in question.path for question in peer.asked)


def test_who_tells_only_what_waits_already_is_not_the_last_to_be_asked(
    alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    """A server that came into the room later than what is missing passes events on, and knows nothing before them."""
    said = [room.put(room.say(f"message {number}")) for number in range(4)]
    with Peer(peer.network) as late:
        late.join(one, ONE, room.room_id, late.user("moll")).serve()
        known = {"events": [said[2].pdu]}
        late.answer("POST", ".*/get_missing_events/.*", lambda question: (200, known))
        late.send(one, ONE, *said[1:])
        alice.sync_until_text(room.room_id, "message 3")
    assert texts(alice, room) == [f"message {number}" for number in range(4)]
    assert not any("/state" in question.path for question in peer.asked)


def test_whoever_reads_back_from_a_short_sync_misses_nothing(
    alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    """What comes late stands further back in the history than what was said here meanwhile; the sync that tells of it
    has a place for that alone, and the rest is before it.
    """
    since = alice.sync()["next_batch"]
    late = room.say("late")
    before = [alice.send(room.room_id, f"before {number}") for number in range(4)]
    peer.send(one, ONE, late)
    after = [alice.send(room.room_id, f"after {number}") for number in range(3)]
    answer = alice.must("GET", "/sync", since=since, filter='{"room":{"timeline":{"limit":4}}}')
    assert [event["event_id"] for event in timeline(answer, room.room_id)] == [late.event_id, *after]
    pages, start = [], joined(answer, room.room_id)["timeline"]["prev_batch"]
    for _ in range(2):
        page = alice.messages(room.room_id, **{"from": start}, limit=2)
        pages += [event["event_id"] for event in page["chunk"]]
        start = page["end"]
    assert pages == before[::-1]
    assert late.event_id not in {
        event["event_id"] for event in alice.messages(room.room_id, **{"from": start})["chunk"]
    }


def test_where_too_much_is_missing_the_state_is_asked_for(
    alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    before: list[Json] = []
    peer.answer("POST", ".*/get_missing_events/.*", lambda question: (200, {"events": before[-1:]}))
    for number in range(5):
        room.put(room.event("m.room.member", {"membership": "join", "displayname": f"M{number}"}, peer.user()))
    before.append(room.put(room.say("before")).pdu)
    last = room.put(room.say("last"))
    peer.send(one, ONE, last)
    assert alice.sync_until_text(room.room_id, "last")["event_id"] == last.event_id
    assert alice.must("GET", f"/rooms/{seg(room.room_id)}/state/m.room.member/{seg(peer.user())}") == {
        "membership": "join",
        "displayname": "M4",
    }


def test_where_nobody_says_what_an_event_stands_on_it_is_not_built_upon(
    alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom
) -> None:
    peer.answer("POST", ".*/get_missing_events/.*", lambda question: (200, {"events": []}))
    known = room.ends
    room.put(room.say("kept back"))
    hanging = room.put(room.say("hanging"))
    assert peer.send(one, ONE, hanging) == {hanging.event_id: {}}
    good = room.say("good", parents=known)
    peer.send(one, ONE, good)
    alice.sync_until_text(room.room_id, "good")
    assert texts(alice, room) == ["good"]
    assert not any("/state" in question.path for question in peer.asked)


def test_what_allows_an_event_is_asked_for(alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom) -> None:
    other = peer.user("trudy")
    join = room.put(room.event("m.room.member", {"membership": "join"}, other, sender=other))
    # The message stands on what is known, and only what allows it is missing.
    known = list(join.prev_events)
    message = room.say("hello", sender=other, parents=known)
    room.know(message)
    peer.send(one, ONE, message)
    peer_asked = alice.sync_until(lambda sync: any("/event_auth/" in question.path for question in peer.asked))
    assert peer_asked
    peer.send(one, ONE, join)
    alice.sync_until(lambda sync: any(e["type"] == "m.room.member" for e in timeline(sync, room.room_id)))
    assert "hello" not in texts(alice, room)  # it came before its sender did


def test_events_that_wait_are_taken_up_after_a_kill(network: Network, peer: Peer) -> None:
    three = network.hearth("seven.test")
    alice = Client.register(three.url)
    room = peer.join(three, "seven.test", alice.create_room(preset="public_chat", room_version="10"))
    first, second = room.put(room.say("first")), room.put(room.say("second"))
    assert peer.send(three, "seven.test", second) == {second.event_id: {}}
    three.kill()
    room.serve()
    three.start()
    alice.sync_until_text(room.room_id, "second")
    assert texts(alice, room) == ["first", "second"]
    assert first.event_id in {event["event_id"] for event in alice.messages(room.room_id)["chunk"]}


def test_a_server_that_is_kept_out_is_not_heard(alice: Client, one: HearthProcess, peer: Peer, room: PeerRoom) -> None:
    alice.set_state(room.room_id, "m.room.server_acl", {"allow": ["*"], "deny": [peer.name]})
    event = room.say("hello")
    assert "error" in peer.send(one, ONE, event)[event.event_id]
    for path in (
        f"/v1/make_join/{seg(room.room_id)}/{seg(peer.user('other'))}?ver=10",
        f"/v1/make_leave/{seg(room.room_id)}/{seg(peer.user())}",
        f"/v1/state/{seg(room.room_id)}?event_id={seg(event.event_id)}",
        f"/v1/state_ids/{seg(room.room_id)}?event_id={seg(event.event_id)}",
        f"/v1/backfill/{seg(room.room_id)}?v={seg(event.event_id)}&limit=5",
        f"/v1/event_auth/{seg(room.room_id)}/{seg(event.event_id)}",
    ):
        answer = peer.ask(one, ONE, "GET", path)
        assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN"), path
