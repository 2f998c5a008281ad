"""Looking into rooms without being in them (client-server API, module "Room previews")."""

import threading
from typing import Any

from tests.support.client import Client, Json, body, seg

WORLD = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]


def test_a_readable_room(alice: Client, bob: Client) -> None:
    """What everybody may read, everybody finds: history, state, members, single events and what is around them."""
    room = alice.create_room(initial_state=WORLD, name="Kitchen")
    said = alice.send(room, "hello")
    assert body(bob.messages(room)["chunk"][0]) == "hello"
    assert bob.state(room, "m.room.name") == {"name": "Kitchen"}
    assert bob.must("GET", f"/rooms/{seg(room)}/state") != []
    assert len(bob.must("GET", f"/rooms/{seg(room)}/members")["chunk"]) == 1
    assert body(bob.event(room, said)) == "hello"
    assert body(bob.must("GET", f"/rooms/{seg(room)}/context/{seg(said)}")["event"]) == "hello"
    found = bob.must("GET", f"/rooms/{seg(room)}/initialSync", limit=3)
    assert body(found["messages"]["chunk"][-1]) == "hello"
    assert len(found["messages"]["chunk"]) == 3
    assert (found["room_id"], found["visibility"], found["account_data"]) == (room, "private", [])
    assert {event["type"] for event in found["state"]} >= {"m.room.create", "m.room.name"}
    earlier = bob.messages(room, "b", limit=1, **{"from": found["messages"]["start"]})["chunk"]
    assert earlier[0]["event_id"] not in [event["event_id"] for event in found["messages"]["chunk"]]
    bob.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/{seg(room)}/send/m.room.message/t", {"body": "x"})


def test_other_rooms(alice: Client, bob: Client) -> None:
    """They are closed to those outside; members and former members find theirs."""
    room = alice.create_room(preset="public_chat", visibility="public")
    path = f"/rooms/{seg(room)}/initialSync"
    bob.refused("M_FORBIDDEN", 403, "GET", path)
    bob.refused("M_FORBIDDEN", 403, "GET", "/events", room_id=room, timeout=0)
    bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg('!nowhere:x')}/initialSync")
    alice.must("PUT", f"/user/{seg(alice.user_id)}/rooms/{seg(room)}/account_data/a.type", {"a": 1})
    found = alice.must("GET", path)
    assert (found["membership"], found["visibility"]) == ("join", "public")
    assert found["account_data"] == [{"type": "a.type", "content": {"a": 1}}]
    bob.join(room)
    bob.leave(room)
    alice.send(room, "later")
    found = bob.must("GET", path)
    assert found["membership"] == "leave"
    assert found["messages"]["chunk"][-1]["content"]["membership"] == "leave"


def test_following_a_room(alice: Client, bob: Client) -> None:
    """Whoever looks on is told what happens, at once or when it does."""
    room = alice.create_room(initial_state=WORLD)
    since = bob.must("GET", f"/rooms/{seg(room)}/initialSync")["messages"]["end"]
    assert bob.must("GET", "/events", room_id=room, timeout=0, **{"from": since})["chunk"] == []
    alice.send(room, "one")
    found = bob.must("GET", "/events", room_id=room, timeout=0, **{"from": since})
    assert ([body(event) for event in found["chunk"]], found["start"]) == (["one"], since)
    answers: list[Any] = []

    def wait() -> None:
        answers.append(bob.must("GET", "/events", room_id=room, timeout=15000, **{"from": found["end"]}))

    waiting = threading.Thread(target=wait)
    waiting.start()
    alice.send(room, "two")
    waiting.join(20)
    (answer,) = answers
    assert [body(event) for event in answer["chunk"]] == ["two"]
    bob.refused("M_MISSING_PARAM", 400, "GET", "/events", timeout=0)
    bob.refused("M_INVALID_PARAM", 400, "GET", "/events", room_id=room, timeout=0, **{"from": "x"})


def test_what_users_report(alice: Client, bob: Client) -> None:
    """Events of one's rooms, rooms, and users can be reported; the owner reads it elsewhere."""
    room = alice.create_room(preset="public_chat")
    said = alice.send(room, "nasty")
    path = f"/rooms/{seg(room)}/report"
    bob.refused("M_NOT_FOUND", 404, "POST", f"{path}/{seg(said)}", {"reason": "x"})
    bob.join(room)
    assert bob.must("POST", f"{path}/{seg(said)}", {"reason": "spam", "score": -100}) == {}
    assert bob.must("POST", f"{path}/{seg(said)}", {}) == {}
    bob.refused("M_NOT_FOUND", 404, "POST", f"{path}/{seg('$nothing')}", {})
    bob.refused("M_BAD_JSON", 400, "POST", f"{path}/{seg(said)}", {"reason": 7})
    assert bob.must("POST", path, {"reason": ""}) == {}
    bob.refused("M_MISSING_PARAM", 400, "POST", path, {})
    bob.refused("M_NOT_FOUND", 404, "POST", f"/rooms/{seg('!nowhere:x')}/report", {"reason": "x"})
    for user_id in (alice.user_id, "@nobody:hearth.example", "@somebody:elsewhere.example"):
        assert bob.must("POST", f"/users/{seg(user_id)}/report", {"reason": "rude"}) == {}
    bob.refused("M_INVALID_PARAM", 400, "POST", "/users/nobody/report", {"reason": "x"})


def test_rooms_in_common(alice: Client, bob: Client) -> None:
    """Those that both are in, and no others."""
    both = [alice.create_room(preset="public_chat") for _ in range(2)]
    mine, invited, left = (alice.create_room(preset="public_chat") for _ in range(3))
    for room in (*both, left):
        bob.join(room)
    bob.leave(left)
    alice.invite(invited, bob)
    v1, unstable = "/_matrix/client/v1/mutual_rooms", "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"

    def shared(who: Client, other: str, path: str = v1, **query: str) -> Json:
        return who.must("GET", path, user_id=other, **query)

    assert shared(alice, bob.user_id) == {"joined": both, "count": 2}
    assert shared(bob, alice.user_id)["count"] == 2
    assert mine not in shared(bob, alice.user_id)["joined"]
    assert bob.ask("GET", unstable, user_id=alice.user_id).json()["count"] == 2
    assert shared(alice, "@nobody:elsewhere.example") == {"joined": [], "count": 0}
    alice.refused("M_MISSING_PARAM", 400, "GET", v1)
    alice.refused("M_INVALID_PARAM", 400, "GET", v1, user_id=alice.user_id)
    alice.refused("M_INVALID_PARAM", 400, "GET", v1, user_id="nobody")
    alice.refused("M_INVALID_PARAM", 400, "GET", v1, user_id=bob.user_id, **{"from": "x"})
