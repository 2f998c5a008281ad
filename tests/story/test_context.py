"""What is around an event, and near a time (client-server API, "Event context", "Getting events for a room")."""

import json
from typing import Any

from tests.support.client import Client, Json, body, seg
from tests.support.related import V1, bundle, edit


def context(client: Client, room: str, event_id: str, **query: Any) -> Json:
    """What is around an event."""
    return client.must("GET", f"/rooms/{seg(room)}/context/{seg(event_id)}", **query)


def texts(events: list[Json]) -> list[str]:
    """What some messages say."""
    return [body(event) for event in events]


def test_before_and_after(alice: Client) -> None:
    """The nearest first on either side, the limit for both together; tokens lead on in both directions."""
    room = alice.create_room()
    ids = [alice.send(room, str(number)) for number in range(20)]
    found = context(alice, room, ids[10])
    assert found["event"]["event_id"] == ids[10]
    assert texts(found["events_before"]) == ["9", "8", "7", "6", "5"]
    assert texts(found["events_after"]) == ["11", "12", "13", "14", "15"]
    assert {event["type"] for event in found["state"]} >= {"m.room.create", "m.room.member"}
    assert all(event["room_id"] == room for event in found["state"])
    assert texts(alice.messages(room, "b", limit=2, **{"from": found["start"]})["chunk"]) == ["4", "3"]
    assert texts(alice.messages(room, "f", limit=2, **{"from": found["end"]})["chunk"]) == ["16", "17"]
    found = context(alice, room, ids[10], limit=3)
    assert (texts(found["events_before"]), texts(found["events_after"])) == (["9"], ["11", "12"])
    found = context(alice, room, ids[10], limit=0)
    assert (found["events_before"], found["events_after"], body(found["event"])) == ([], [], "10")
    assert texts(alice.messages(room, "b", limit=1, **{"from": found["start"]})["chunk"]) == ["9"]
    assert texts(alice.messages(room, "f", limit=1, **{"from": found["end"]})["chunk"]) == ["11"]
    assert texts(context(alice, room, ids[19], limit=10)["events_after"]) == []
    alice.refused("M_INVALID_PARAM", 400, "GET", f"/rooms/{seg(room)}/context/{seg(ids[0])}", filter="{")


def test_with_a_filter(alice: Client, bob: Client) -> None:
    """The filter is for what is around the event and for the state, not for the event itself."""
    room = alice.create_room(preset="public_chat")
    carol = Client.register(alice.url)
    bob.join(room)
    carol.join(room)
    alice.send(room, "a")
    bob.send(room, "b")
    middle = alice.send(room, "middle")
    bob.send(room, "c")
    alice.set_state(room, "m.room.name", {"name": "later"})

    def found(**rule: Any) -> Json:
        return context(alice, room, middle, limit=8, filter=json.dumps(rule))

    answer = found(senders=[bob.user_id], types=["m.room.message"])
    assert (texts(answer["events_before"]), texts(answer["events_after"])) == (["b"], ["c"])
    assert (body(answer["event"]), answer["state"]) == ("middle", [])
    answer = context(alice, room, middle, limit=2, filter='{"lazy_load_members":true}')
    members = {event["state_key"] for event in answer["state"] if event["type"] == "m.room.member"}
    assert members == {alice.user_id, bob.user_id}
    names = [event for event in answer["state"] if event["type"] == "m.room.name"]
    assert names == []
    answer = found(rooms=[])
    assert (answer["events_before"], answer["events_after"], answer["state"]) == ([], [], [])


def test_who_may_look(alice: Client, bob: Client) -> None:
    """Whoever may see the event; with what they may see around it, and its children told with it."""
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
    ])  # fmt: skip
    unseen = alice.send(room, "unseen")
    path = f"/rooms/{seg(room)}/context/{seg(unseen)}"
    bob.refused("M_FORBIDDEN", 403, "GET", path)
    bob.join(room)
    bob.refused("M_NOT_FOUND", 404, "GET", path)
    seen = alice.send(room, "seen")
    edit(alice, room, seen, "better")
    found = context(bob, room, seen)
    assert texts(found["events_before"])[:1] == [None]
    assert "unseen" not in texts(found["events_before"])
    assert bundle(found["event"])["m.replace"]["content"]["body"] == "* better"
    bob.leave(room)
    alice.send(room, "after")
    assert "after" not in texts(context(bob, room, seen)["events_after"])
    bob.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/context/{seg('$nothing')}")


def test_near_a_time(alice: Client, bob: Client) -> None:
    """The nearest event in either direction, among those that the asker may see."""
    room = alice.create_room()
    first, second = (alice.event(room, alice.send(room, text)) for text in ("first", "second"))
    path = f"{V1}/rooms/{seg(room)}/timestamp_to_event"

    def near(ts: int, direction: str) -> Json:
        return alice.must("GET", path, ts=ts, dir=direction)

    ts = first["origin_server_ts"]
    later = second["origin_server_ts"]
    assert near(later + 1000, "b") == {"event_id": second["event_id"], "origin_server_ts": later}
    assert near(0, "f")["event_id"] == alice.messages(room, "f", limit=1)["chunk"][0]["event_id"]
    assert near(ts, "f")["origin_server_ts"] == ts
    assert near(later, "b")["event_id"] == second["event_id"]
    alice.refused("M_NOT_FOUND", 404, "GET", path, ts=0, dir="b")
    alice.refused("M_NOT_FOUND", 404, "GET", path, ts=later + 1, dir="f")
    alice.refused("M_MISSING_PARAM", 400, "GET", path, dir="f")
    alice.refused("M_MISSING_PARAM", 400, "GET", path, ts=1)
    alice.refused("M_INVALID_PARAM", 400, "GET", path, ts="x", dir="f")
    bob.refused("M_FORBIDDEN", 403, "GET", path, ts=1, dir="f")
