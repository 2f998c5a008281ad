"""What this server asks of others and gets: honest answers, and every other kind; what others bring, good and bad."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from appliance.protocol.events import Event
from tests.federation.peer import Peer, PeerRoom, Question
from tests.federation.test_memberships import VERSIONS, enter
from tests.support.client import Client, Json, joined, seg, timeline
from tests.support.hearth import HearthProcess
from tests.support.network import Network

ONE, TWO = "one.test", "two.test"


@pytest.fixture
def peer(network: Network) -> Iterator[Peer]:
    with Peer(network) as peer:
        yield peer


def join_path(room: PeerRoom, *servers: str) -> str:
    """The path for joining a room through some servers."""
    return f"/join/{seg(room.room_id)}?" + "&".join(f"via={server}" for server in servers or (room.peer.name,))


@pytest.mark.parametrize("version", ["1", "2", "5", *VERSIONS])
def test_a_room_of_an_honest_server(bob: Client, peer: Peer, version: str) -> None:
    room = peer.found(version)
    room.put(room.event("m.room.name", {"name": "Tea"}, ""))
    enter(bob, room.room_id, peer.name)
    assert bob.state(room.room_id, "m.room.name") == {"name": "Tea"}
    # What the user says is built upon it.
    bob.send(room.room_id, "hello")
    assert joined(bob.sync(), room.room_id)["timeline"]["events"][-1]["content"]["body"] == "hello"


def test_what_is_brought_to_another_server_says_where_it_comes_from(bob: Client, peer: Peer) -> None:
    """The server-server API requires an ``origin`` of the events in ``send_join``, ``send_knock`` and ``invite``, as
    nowhere else; Conduit refuses a join without it.
    """
    public, knocked = peer.found("11"), peer.found("10", join_rule="knock")
    enter(bob, public.room_id, peer.name)
    bob.must("POST", f"/knock/{seg(knocked.room_id)}?via={peer.name}", {})
    peer.answer("PUT", ".*/v2/invite/.*", lambda question: (403, {"errcode": "M_FORBIDDEN", "error": "No."}))
    bob.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(bob.create_room())}/invite", {"user_id": peer.user("otto")})
    brought = {
        question.path.split("/")[4]: question.body.get("event", question.body)
        for question in peer.asked
        if question.method == "PUT"
    }
    assert brought.keys() == {"send_join", "send_knock", "invite"}
    assert {event["origin"] for event in brought.values()} == {TWO}
    seen = joined(bob.sync(full_state=True), public.room_id)
    assert "origin" not in {field for event in seen["state"]["events"] for field in event}


def test_the_past_comes_from_a_server_that_leaves_out_what_it_is_asked_about(bob: Client, peer: Peer) -> None:
    """GET /backfill answers the events that are named and what lies before them; Conduit leaves the former out."""
    room = peer.found("11")
    said = [room.put(room.say(f"{number}")).event_id for number in range(5)]
    honest = peer.answers["GET", f"/_matrix/federation/v1/backfill/{_plain(room)}"]

    def without_the_named(question: Question) -> tuple[int, Any]:
        named = room.pdus(question.query["v"])
        status, told = honest(question)
        return status, {**told, "pdus": [pdu for pdu in told["pdus"] if pdu not in named]}

    peer.answer("GET", f"/_matrix/federation/v1/backfill/{_plain(room)}", without_the_named)
    enter(bob, room.room_id, peer.name)
    assert set(said) <= {event["event_id"] for event in bob.messages(room.room_id, limit=20)["chunk"]}


def test_who_cannot_be_let_in_is_told_so_in_words_for_people(bob: Client, peer: Peer) -> None:
    room = peer.found("11")
    no = {"errcode": "M_UNABLE_TO_AUTHORISE_JOIN", "error": "You are in no required room."}
    peer.answer("GET", ".*/make_join/.*", lambda question: (400, no))
    bob.refused("M_FORBIDDEN", 403, "POST", join_path(room), {})


def test_one_server_after_the_other_is_asked(network: Network, bob: Client, peer: Peer) -> None:
    room = peer.found("11")
    with Peer(network) as broken, Peer(network) as unknowing:
        broken.answer("GET", ".*", lambda question: (500, b"{"))
        bob.must("POST", join_path(room, "nowhere.test", broken.name, unknowing.name, peer.name), {})
        assert any("/make_join/" in question.path for question in broken.asked)
        assert any("/make_join/" in question.path for question in unknowing.asked)
    assert bob.must("GET", "/joined_rooms")["joined_rooms"] == [room.room_id]


def _other(**changed: Any) -> Callable[[Json], Json]:
    return lambda made: {**made, "event": {**made["event"], **changed}}


@pytest.mark.parametrize(
    "spoil",
    [
        _other(sender="@somebody:else.test"),
        _other(state_key="@somebody:else.test"),
        _other(type="m.room.power_levels"),
        _other(content={"membership": "ban"}),
        _other(room_id="!another:room.test"),
        _other(depth="deep"),
        _other(prev_events={"x": 1}),
        _other(prev_events=[]),
        lambda made: {**made, "room_version": "none"},
        lambda made: {},
    ],
)
def test_a_template_that_is_none_is_not_signed(bob: Client, peer: Peer, spoil: Callable[[Json], Json]) -> None:
    room = peer.found("10")
    make = peer.answers["GET", f"/_matrix/federation/v1/make_(join|leave|knock)/{_plain(room)}/(.*)"]
    peer.answer("GET", ".*/make_join/(.*)/(.*)", lambda question: (200, spoil(make(_as_made(question))[1])))
    assert bob.ask("POST", join_path(room), {}).status_code == 502
    assert not any("/send_join/" in question.path for question in peer.asked[:-1]) or spoil.__name__ == "<lambda>"
    assert bob.must("GET", "/joined_rooms")["joined_rooms"] == []
    assert room.room_id not in str(bob.sync())


def _plain(room: PeerRoom) -> str:
    return re.escape(seg(room.room_id))


def _as_made(question: Question) -> Question:
    return Question(question.method, question.path, ["join", question.groups[1]], question.query, question.body)


def _without(slot: tuple[str, str]) -> Callable[[PeerRoom, Json], Json]:
    def spoil(room: PeerRoom, told: Json) -> Json:
        gone = room.events[room.state[slot]].pdu
        return {part: [pdu for pdu in told[part] if pdu != gone] for part in ("state", "auth_chain")}

    return spoil


def _two_of_one_place(room: PeerRoom, told: Json) -> Json:
    another = room.event("m.room.join_rules", {"join_rule": "public", "x": 1}, "")
    return {**told, "state": [*told["state"], another.pdu]}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda room, told: {},
        lambda room, told: {**told, "state": "all of it"},
        lambda room, told: {**told, "members_omitted": True},
        lambda room, told: {"state": [], "auth_chain": []},
        lambda room, told: {"state": [1, None, {}, {"type": []}], "auth_chain": [[]]},
        _without(("m.room.create", "")),
        _without(("m.room.join_rules", "")),
        _two_of_one_place,
    ],
)
def test_a_state_that_cannot_be_believed_leaves_nothing(
    bob: Client, peer: Peer, spoil: Callable[[PeerRoom, Json], Json]
) -> None:
    room = peer.found("10")
    send = f"/_matrix/federation/v[12]/send_(join|leave|knock)/{_plain(room)}/(.*)"
    honest = peer.answers["PUT", send]
    peer.answer("PUT", send, lambda question: (200, spoil(room, honest(question)[1])))
    assert bob.ask("POST", join_path(room), {}).status_code == 502
    assert bob.must("GET", "/joined_rooms")["joined_rooms"] == []
    assert room.room_id not in str(bob.sync())
    peer.answer("PUT", send, honest)
    enter(bob, room.room_id, peer.name)


def test_bad_events_among_good_ones_are_left_out(bob: Client, peer: Peer) -> None:
    room = peer.found("10")
    good = room.put(room.event("m.room.name", {"name": "Tea"}, ""))
    unsigned = room.event("m.room.topic", {"topic": "unsigned"}, "")
    unsigned.pdu["signatures"] = {}
    forged = room.event("m.room.avatar", {"url": "mxc://forged/x"}, "")
    forged.pdu["content"] = {"url": "mxc://forged/y"}
    unallowed = room.event("m.room.server_acl", {"allow": []}, "", auth=[])
    send = f"/_matrix/federation/v[12]/send_(join|leave|knock)/{_plain(room)}/(.*)"
    honest = peer.answers["PUT", send]

    def answer(question: Question) -> tuple[int, Any]:
        status, told = honest(question)
        return status, {
            **told,
            "state": [*told["state"], unsigned.pdu, forged.pdu, unallowed.pdu, {"sender": "@stranger:peer.test"}],
        }

    peer.answer("PUT", send, answer)
    enter(bob, room.room_id, peer.name)
    state = {
        (event["type"], event["state_key"]): event for event in bob.must("GET", f"/rooms/{seg(room.room_id)}/state")
    }
    assert state["m.room.name", ""]["event_id"] == good.event_id
    assert ("m.room.topic", "") not in state
    assert ("m.room.server_acl", "") not in state
    assert state["m.room.avatar", ""]["content"] == {}  # what is left of an event whose hash is wrong


def test_a_server_killed_in_the_middle_of_a_join_joins_again(network: Network, peer: Peer) -> None:
    four = network.hearth("eight.test")
    carol = Client.register(four.url)
    room = peer.found("12")
    send = f"/_matrix/federation/v[12]/send_(join|leave|knock)/{_plain(room)}/(.*)"
    honest = peer.answers["PUT", send]

    dead = threading.Event()

    def kill(question: Question) -> tuple[int, Any]:
        answer = honest(question)
        four.kill()
        dead.set()
        return answer

    peer.answer("PUT", send, kill)
    with pytest.raises(httpx.HTTPError):
        carol.must("POST", join_path(room), {})
    assert dead.wait(20)
    peer.answer("PUT", send, honest)
    four.start()
    assert carol.must("GET", "/joined_rooms")["joined_rooms"] == []
    assert room.room_id not in str(carol.sync())
    enter(carol, room.room_id, peer.name)
    assert carol.member(room.room_id)["membership"] == "join"


# What others bring ----------------------------------------------------------------------------------------------------


def bring(
    peer: Peer, server: HearthProcess, room: PeerRoom, event: Event, state: list[Json] | None = None, **changed: Any
) -> tuple[int, str]:
    """Bring an invitation, and say what became of it."""
    shown = room.pdus(list(room.state.values())) if state is None else state
    body = {"room_version": room.version.identifier, "event": event.pdu, "invite_room_state": shown, **changed}
    answer = peer.ask(server, TWO, "PUT", f"/v2/invite/{seg(room.room_id)}/{seg(event.event_id)}", body)
    return answer.status_code, answer.json().get("errcode", "")


def invitation(room: PeerRoom, user_id: str, **more: Any) -> Event:
    """An invitation into a room."""
    return room.event("m.room.member", {"membership": "invite"}, user_id, **more)


def test_invitations_that_are_none(bob: Client, two: HearthProcess, peer: Peer) -> None:
    room = peer.found("12")
    good = invitation(room, bob.user_id)
    refused = (400, "M_INVALID_PARAM")
    unsigned = invitation(room, bob.user_id)
    unsigned.pdu["signatures"] = {}
    for event in (
        unsigned,
        room.event("m.room.member", {"membership": "ban"}, bob.user_id),
        room.event("m.room.message", {"membership": "invite"}, bob.user_id),
        invitation(room, "@bob:elsewhere.test"),
        invitation(room, bob.user_id, sender="@somebody:elsewhere.test"),
    ):
        assert bring(peer, two, room, event) == refused
    assert bring(peer, two, room, invitation(room, f"@nobody:{TWO}")) == (404, "M_NOT_FOUND")
    assert bring(peer, two, room, good, room_version="none") == (400, "M_INCOMPATIBLE_ROOM_VERSION")
    assert bring(peer, two, room, good, []) == (400, "M_MISSING_PARAM")
    without_create = [pdu for pdu in room.pdus(list(room.state.values())) if pdu["type"] != "m.room.create"]
    assert bring(peer, two, room, good, without_create) == refused
    assert bring(peer, two, room, good, [{"type": "m.room.create"}]) == refused
    assert bring(peer, two, room, good, peer.found("12").pdus(list(room.state.values())[:0])) == (
        400,
        "M_MISSING_PARAM",
    )
    assert "invite" not in bob.sync().get("rooms", {})
    assert bring(peer, two, room, good) == (200, "")
    assert room.room_id in bob.sync()["rooms"]["invite"]


def test_an_invitation_to_a_new_room_with_stripped_state(bob: Client, two: HearthProcess, peer: Peer) -> None:
    """As servers send it that do not know better; not where the create event is missing, or something is whole."""
    room = peer.found("12")
    event, whole = invitation(room, bob.user_id), room.pdus(list(room.state.values()))
    stripped = [{field: pdu[field] for field in ("type", "state_key", "sender", "content")} for pdu in whole]
    forged = {**whole[0], "content": {"room_version": "12", "type": "m.space"}}
    for shown in (stripped[1:], [*stripped, forged]):
        assert bring(peer, two, room, event, shown) == (400, "M_INVALID_PARAM")
    assert bring(peer, two, room, event, stripped) == (200, "")
    shown = bob.sync()["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [one for one in shown if one["type"] != "m.room.member"] == [
        one for one in stripped if one["type"] != "m.room.member"
    ]


def test_an_invitation_to_a_room_whose_makers_are_gone(
    network: Network, bob: Client, two: HearthProcess, peer: Peer
) -> None:
    """What of a room cannot be checked now, as its server is gone, is left out; the create event is known by its hash,
    which is the room's id."""
    with Peer(network) as gone:
        room = gone.found("12")
        room.put(room.event("m.room.topic", {"topic": "Leaves"}, ""))
    room.peer = peer
    room.put(room.event("m.room.name", {"name": "Tea"}, ""))
    assert bring(peer, two, room, invitation(room, bob.user_id)) == (200, "")
    shown = bob.sync()["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [event["type"] for event in shown] == ["m.room.create", "m.room.name", "m.room.member"]


def test_blocked_invitations(bob: Client, two: HearthProcess, peer: Peer) -> None:
    room = peer.found("11")
    config = f"/user/{seg(bob.user_id)}/account_data/m.invite_permission_config"
    bob.must("PUT", config, {"default_action": "block"})
    assert bring(peer, two, room, invitation(room, bob.user_id)) == (403, "M_INVITE_BLOCKED")
    bob.must("PUT", config, {})
    assert bring(peer, two, room, invitation(room, bob.user_id)) == (200, "")


def test_an_invitation_is_taken_back(bob: Client, two: HearthProcess, peer: Peer) -> None:
    room = peer.found("10")
    event = room.put(invitation(room, bob.user_id))
    assert bring(peer, two, room, event) == (200, "")
    bob.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("invite", {}))
    # Not by somebody else's server.
    with Peer(peer.network) as other:
        forged = room.event("m.room.member", {"membership": "leave"}, bob.user_id)
        assert other.send(two, TWO, forged) == {}
    gone = room.put(room.event("m.room.member", {"membership": "leave"}, bob.user_id))
    assert peer.send(two, TWO, gone) == {gone.event_id: {}}
    seen = bob.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("leave", {}))
    assert timeline(seen, room.room_id, "leave")[-1]["event_id"] == gone.event_id


def test_an_invitation_by_a_server_that_is_gone_is_rejected(network: Network, bob: Client, two: HearthProcess) -> None:
    with Peer(network) as peer:
        room = peer.found("12")
        assert bring(peer, two, room, invitation(room, bob.user_id)) == (200, "")
    bob.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("invite", {}))
    assert bob.ask("POST", f"/join/{seg(room.room_id)}", {}).status_code == 502
    bob.leave(room.room_id)
    bob.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("leave", {}))
    bob.leave(room.room_id)
    bob.forget(room.room_id)


@pytest.mark.parametrize("kind", ["join", "leave", "knock"])
def test_only_what_is_meant_is_taken(alice: Client, one: HearthProcess, peer: Peer, kind: str) -> None:
    """Nothing but the right membership comes in by send_join, send_leave and send_knock."""
    room = peer.join(one, ONE, alice.create_room(preset="public_chat", room_version="10"))
    user = peer.user("trudy")
    others = [one for one in ("join", "leave", "knock", "invite", "ban") if one != kind]
    events = [room.event("m.room.member", {"membership": other}, user, sender=user) for other in others]
    events += [
        room.say("hello", sender=user),
        room.event("m.room.member", {"membership": kind}, user),
        room.event("m.room.member", {"membership": kind}, alice.user_id, sender=alice.user_id),
    ]
    version = "v1" if kind == "knock" else "v2"
    for event in events:
        path = f"/{version}/send_{kind}/{seg(room.room_id)}/{seg(event.event_id)}"
        answer = peer.ask(one, ONE, "PUT", path, event.pdu)
        assert (answer.status_code, answer.json()["errcode"]) == (400, "M_INVALID_PARAM"), event
    good = room.event("m.room.member", {"membership": kind}, user, sender=user)
    wrong = peer.ask(one, ONE, "PUT", f"/{version}/send_{kind}/{seg(room.room_id)}/$wrong", good.pdu)
    assert (wrong.status_code, wrong.json()["errcode"]) == (400, "M_INVALID_PARAM")
    path = f"/v1/make_{kind}/{seg(room.room_id)}/{seg(alice.user_id)}?ver=10"
    assert peer.ask(one, ONE, "GET", path).json()["errcode"] == "M_FORBIDDEN"
    if kind != "leave":
        answer = peer.ask(one, ONE, "GET", f"/v1/make_{kind}/{seg(room.room_id)}/{seg(user)}?ver=1&ver=99").json()
        assert (answer["errcode"], answer["room_version"]) == ("M_INCOMPATIBLE_ROOM_VERSION", "10")
