"""Rooms that one has left, and forgotten (client-server API, "Leaving rooms")."""

import pytest

from tests.support.client import Client, body, seg, state_of, timeline

LEFT = '{"room":{"include_leave":true}}'
RESTRICTED = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}


def test_leaving_is_told_once(alice: Client) -> None:
    """A room that was left is in the next sync and in none after it; a first sync has it only when asked."""
    room = alice.create_room()
    full = alice.sync()["next_batch"]
    alice.leave(room)
    answer = alice.sync()
    assert answer["rooms"].keys() == {"leave"}
    section = answer["rooms"]["leave"][room]
    assert section.keys() == {"timeline", "state"}
    assert [event["content"] for event in section["timeline"]["events"]] == [{"membership": "leave"}]
    assert section["state"]["events"] == []
    assert "rooms" not in alice.sync()
    assert "rooms" not in alice.sync(filter=LEFT)
    assert room in alice.must("GET", "/sync", since=full, full_state="true")["rooms"]["leave"]
    fresh = alice.login()
    assert "rooms" not in fresh.must("GET", "/sync")
    assert room in fresh.must("GET", "/sync", filter=LEFT)["rooms"]["leave"]


def test_a_room_ends_where_one_left(alice: Client, bob: Client) -> None:
    """What was said and set before is there, with the leaving, and nothing of what came after."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    alice.send(room, "before")
    alice.set_state(room, "a.type", {"my_key": "before"})
    bob.leave(room)
    alice.send(room, "after")
    alice.set_state(room, "a.type", {"my_key": "after"})
    wanted = (
        '{"room":{"timeline":{"types":["m.room.message","a.type"]},"state":{"types":["a.type"]},"include_leave":true}}'
    )
    for answer in (bob.must("GET", "/sync", filter=wanted), bob.must("GET", "/sync", filter=wanted, since=bob.since)):
        events = timeline(answer, room, "leave")
        assert [event["type"] for event in events] == ["m.room.message", "a.type"]
        assert body(events[0]) == "before"
        assert events[1]["content"] == {"my_key": "before"}
        assert state_of(answer, room, "leave") == {}


@pytest.mark.parametrize("since", [True, False])
def test_a_left_room_without_timeline(alice: Client, bob: Client, since: bool) -> None:
    """With no place in the timeline, the state says how things stood, the leaving included."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    token = bob.sync()["next_batch"]
    alice.set_state(room, "a.type", {"my_key": "before"})
    bob.leave(room)
    alice.set_state(room, "a.type", {"my_key": "after"})
    query = {"filter": '{"room":{"timeline":{"limit":0},"include_leave":true}}', **({"since": token} if since else {})}
    answer = bob.must("GET", "/sync", **query)
    assert timeline(answer, room, "leave") == []
    state = state_of(answer, room, "leave")
    assert state["a.type", ""]["content"] == {"my_key": "before"}
    assert state["m.room.member", bob.user_id]["content"]["membership"] == "leave"
    assert (("m.room.create", "") in state) is not since


def test_the_leaving_is_seen_in_a_closed_history(alice: Client, bob: Client) -> None:
    """One's own leaving is one's own to see, and the only thing."""
    room = alice.create_room(preset="public_chat", initial_state=[RESTRICTED])
    bob.join(room)
    alice.sync()
    alice.leave(room)
    bob.send(room, "after")
    answer = alice.sync(filter=LEFT)
    (event,) = timeline(answer, room, "leave")
    assert (event["sender"], event["content"]) == (alice.user_id, {"membership": "leave"})
    assert state_of(answer, room, "leave") == {}


def test_a_refused_invitation_in_a_closed_history(alice: Client, bob: Client) -> None:
    """Refusing tells nothing of the room but that one is out of it."""
    room = alice.create_room(initial_state=[RESTRICTED])
    bob.sync()
    alice.invite(room, bob)
    bob.sync()
    alice.send(room, "not for Bob")
    alice.set_state(room, "m.room.name", {"name": "not for Bob"})
    bob.leave(room)
    answer = bob.sync()
    assert [event["content"] for event in timeline(answer, room, "leave")] == [{"membership": "leave"}]
    assert "not for Bob" not in str(answer)
    alice.invite(room, bob)
    bob.leave(room)
    assert "not for Bob" not in str(bob.must("GET", "/sync", filter=LEFT))


def test_bans_after_leaving(alice: Client, bob: Client) -> None:
    """What is done to somebody who is out is told to them, each thing once."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    bob.leave(room)
    bob.sync()
    alice.send(room, "not for Bob")
    alice.ban(room, bob, reason="spam")
    answer = bob.sync()
    assert [event["content"] for event in timeline(answer, room, "leave")] == [{"membership": "ban", "reason": "spam"}]
    alice.set_state(room, "m.room.name", {"name": "not for Bob"})
    alice.unban(room, bob)
    answer = bob.sync()
    assert [event["content"] for event in timeline(answer, room, "leave")] == [{"membership": "leave"}]
    assert "not for Bob" not in str(answer)
    assert "rooms" not in bob.sync()


def test_a_first_sync_tells_of_bans(alice: Client, bob: Client) -> None:
    """Rooms that one left are history; that one is banned is how things are, until one forgets the room."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.kick(room, bob)
    assert "rooms" not in bob.must("GET", "/sync")
    alice.ban(room, bob, reason="spam")
    answer = bob.must("GET", "/sync")
    assert answer["rooms"].keys() == {"leave"}
    assert timeline(answer, room, "leave")[-1]["content"] == {"membership": "ban", "reason": "spam"}
    bob.forget(room)
    assert "rooms" not in bob.must("GET", "/sync")


def test_what_others_do_there_wakes_nobody_who_left(alice: Client, bob: Client) -> None:
    """A left room is quiet."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    bob.sync()
    alice.send(room, "hello")
    assert "rooms" not in bob.sync(timeout=200)


# Forgetting -------------------------------------------------------------------------------------------------------


def test_only_what_was_left_can_be_forgotten(alice: Client, bob: Client) -> None:
    """Neither a room that one is in or invited to, nor one that one never had to do with."""
    room = alice.create_room()

    def refused(client: Client, where: str = room) -> None:
        client.refused("M_UNKNOWN", 400, "POST", f"/rooms/{seg(where)}/forget", {})

    refused(alice)
    refused(bob)
    refused(bob, "!nowhere:elsewhere.example")
    alice.invite(room, bob)
    refused(bob)
    bob.leave(room)
    bob.forget(room)
    bob.forget(room)
    alice.leave(room)
    assert alice.raw("POST", f"/rooms/{seg(room)}/forget", b"").status_code == 200


def test_a_forgotten_room_cannot_be_read(alice: Client, bob: Client) -> None:
    """History, state, members and single events are gone, for the one who forgot."""
    room = alice.create_room(preset="public_chat")
    event_id = alice.send(room, "hello")
    bob.join(room)
    alice.leave(room)
    assert body(alice.event(room, event_id)) == "hello"
    assert alice.messages(room)["chunk"]
    alice.forget(room)
    for path in ("messages?dir=b", "state", "state/m.room.create", "members", "joined_members"):
        alice.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/{path}")
    alice.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/event/{seg(event_id)}")
    assert body(bob.event(room, event_id)) == "hello"


def test_a_forgotten_room_is_in_no_sync(alice: Client, bob: Client) -> None:
    """Not even where left rooms are asked for, whatever happens there."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.leave(room)
    alice.forget(room)
    bob.send(room, "hello")
    assert "rooms" not in alice.sync(filter=LEFT)
    bob.send(room, "hello again")
    assert "rooms" not in alice.sync(filter=LEFT)


def test_other_devices_learn_that_a_forgotten_room_is_gone(alice: Client, bob: Client) -> None:
    """A device that still shows the room must hear of the leaving; it hears nothing else."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    alice.leave(room)
    alice.forget(room)
    bob.send(room, "hello")
    answer = alice.sync()
    assert answer["rooms"].keys() == {"leave"}
    assert timeline(answer, room, "leave") == []
    assert state_of(answer, room, "leave") == {}
    assert "rooms" not in alice.sync()


@pytest.mark.parametrize("out", ["leave", "kick", "ban"])
def test_a_forgotten_room_comes_back(alice: Client, bob: Client, out: str) -> None:
    """An invitation and a joining make the room known again, with all of its history."""
    room = alice.create_room()
    alice.invite(room, bob)
    bob.join(room)
    message = alice.send(room, "before")
    if out == "leave":
        bob.leave(room)
    elif out == "kick":
        alice.kick(room, bob)
    else:
        alice.ban(room, bob)
    bob.forget(room)
    bob.sync()
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}", {})
    if out == "ban":
        alice.unban(room, bob)
        bob.sync()
    alice.invite(room, bob)
    assert room in bob.sync()["rooms"]["invite"]
    bob.join(room)
    assert room in bob.sync()["rooms"]["join"]
    assert message in [event["event_id"] for event in bob.messages(room, limit=100)["chunk"]]
    alice.send(room, "after")
    assert [body(event) for event in timeline(bob.sync(), room)] == ["after"]


def test_forgetting_lasts(alice: Client, bob: Client) -> None:
    """A ban that comes after forgetting brings nothing of the room back to be read."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.leave(room)
    bob.forget(room)
    bob.sync()
    alice.ban(room, bob)
    assert "messages" not in str(bob.sync())
    alice.leave(room)
