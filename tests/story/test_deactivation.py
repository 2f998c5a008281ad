"""Ending an account (client-server API, "Account deactivation"), and what is left of what its user said."""

from typing import Any

from tests.support.client import Client, Json, seg, timeline
from tests.support.hearth import HearthProcess


def end(user: Client, **wish: Any) -> Json:
    """End an account with its password."""
    identifier = {"type": "m.id.user", "user": user.user_id}
    auth = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}
    return user.must("POST", "/account/deactivate", {"auth": auth, **wish})


def said(client: Client, room: str, sender: Client) -> list[Any]:
    """The contents of somebody's messages in the history."""
    chunk = client.messages(room, limit=100)["chunk"]
    return [one["content"] for one in chunk if one["type"] == "m.room.message" and one["sender"] == sender.user_id]


def test_an_account_ends_with_the_right_password(alice: Client, bob: Client) -> None:
    """Not with a wrong one; afterwards nobody can log in, the name stays taken, and the profile is gone."""
    room = bob.create_room(preset="public_chat", invite=[alice.user_id])
    other = bob.create_room(preset="public_chat")
    alice.join(other)
    alice.must("PUT", f"/profile/{seg(alice.user_id)}/displayname", {"displayname": "Alice"})
    wrong = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id}, "password": "no"}
    alice.refused("M_FORBIDDEN", 401, "POST", "/account/deactivate", {"auth": wrong})
    assert end(alice) == {"id_server_unbind_result": "success"}
    alice.refused("M_UNKNOWN_TOKEN", 401, "GET", "/account/whoami")
    login = {**wrong, "password": "wonderland"}
    alice.refused("M_USER_DEACTIVATED", 403, "POST", "/login", login)
    bob.refused("M_NOT_FOUND", 404, "GET", f"/profile/{seg(alice.user_id)}")
    name = alice.user_id[1:].partition(":")[0]
    Client(alice.url).refused("M_USER_IN_USE", 400, "GET", "/register/available", username=name)

    def gone(answer: Json) -> bool:
        left = {room_id: bob.member(room_id, alice)["membership"] for room_id in (room, other)}
        return set(left.values()) == {"leave"}

    bob.sync_until(gone)


def test_newcomers_do_not_see_what_somebody_said_who_asked_to_be_forgotten(
    hearth: HearthProcess, alice: Client, bob: Client
) -> None:
    """They see that there was something; whoever was in the room then sees it as before."""
    room = bob.create_room(preset="public_chat")
    alice.join(room)
    event_id = alice.send(room, "my secret")
    bob.send(room, "what Bob said")
    assert said(bob, room, alice) == [{"msgtype": "m.text", "body": "my secret"}]
    end(alice, erase=True)
    carol = Client.register(hearth.url)
    carol.join(room)
    assert said(carol, room, alice) == [{}]
    assert said(carol, room, bob) == [{"msgtype": "m.text", "body": "what Bob said"}]
    assert carol.event(room, event_id)["content"] == {}
    answer = carol.sync(filter='{"room":{"timeline":{"limit":100}}}')
    shown = {one["event_id"]: one["content"] for one in timeline(answer, room)}
    assert shown[event_id] == {}
    assert bob.event(room, event_id)["content"]["body"] == "my secret"
    assert said(bob, room, alice) == [{"msgtype": "m.text", "body": "my secret"}]


def test_without_erasure_newcomers_see_it(hearth: HearthProcess, alice: Client, bob: Client) -> None:
    """What was said stays what it is."""
    room = bob.create_room(preset="public_chat")
    alice.join(room)
    alice.send(room, "for all to read")
    end(alice)
    carol = Client.register(hearth.url)
    carol.join(room)
    assert said(carol, room, alice) == [{"msgtype": "m.text", "body": "for all to read"}]
