"""Filters applied to syncs (client-server API, "Filtering")."""

import json
from typing import Any

import pytest

from tests.support.client import Client, Json, body, joined, seg, state_of, timeline


def kept(client: Client, content: Json) -> str:
    """A filter's id."""
    return str(client.must("POST", f"/user/{seg(client.user_id)}/filter", content)["filter_id"])


def test_a_filter_by_its_id(alice: Client) -> None:
    """A kept filter and one in the request do the same."""
    room = alice.create_room()
    for number in range(5):
        alice.send(room, str(number))
    content = {"room": {"timeline": {"limit": 2}}}
    for given in (kept(alice, content), json.dumps(content)):
        alice.since = None
        assert [body(event) for event in timeline(alice.sync(filter=given), room)] == ["3", "4"]
    other = Client.register(alice.url)
    other.refused("M_NOT_FOUND", 404, "GET", "/sync", filter=kept(alice, content))


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"types": ["m.room.message"]}, ["a", "b", "c"]),
        ({"types": ["a.*"]}, ["x"]),
        ({"types": ["*"]}, ["a", "b", "c", "x"]),
        ({"types": []}, []),
        ({"not_types": ["*"]}, []),
        ({"not_types": ["m.room.*", "other"]}, ["x"]),
        ({"types": ["m.room.message"], "not_types": ["m.room.message"]}, []),
        ({"senders": ["ALICE"]}, ["a", "c", "x"]),
        ({"senders": []}, []),
        ({"not_senders": ["ALICE"]}, ["b"]),
        ({"contains_url": True}, ["c"]),
        ({"contains_url": False}, ["a", "b", "x"]),
        ({"rooms": ["ROOM"]}, ["a", "b", "c", "x"]),
        ({"rooms": ["!other:elsewhere.example"]}, []),
        ({"not_rooms": ["ROOM"]}, []),
        ({"rooms": ["ROOM"], "not_rooms": ["ROOM"]}, []),
        ({"limit": 2, "not_types": ["a.type"]}, ["b", "c"]),
    ],
)
def test_a_timeline(alice: Client, bob: Client, rule: Json, wanted: list[str]) -> None:
    """The same rules as elsewhere; the limit counts what is left."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    bob.sync()
    alice.send(room, "a")
    bob.send(room, "b")
    path = f"/rooms/{seg(room)}/send/m.room.message/c"
    alice.must("PUT", path, {"body": "c", "msgtype": "m.image", "url": "mxc://a/b"})
    alice.send(room, "x", event_type="a.type")
    text = json.dumps({"room": {"timeline": rule}}).replace("ALICE", alice.user_id).replace("ROOM", room)
    answer = bob.sync(filter=text)
    assert [body(event) for event in timeline(answer, room)] == wanted
    if wanted:
        assert joined(answer, room)["timeline"]["limited"] is ("limit" in rule)
    else:
        assert "rooms" not in answer


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"types": ["m.room.name"]}, {"m.room.name"}),
        ({"types": []}, set()),
        ({"not_types": ["m.room.*"]}, {"a.type"}),
        ({"senders": ["BOB"]}, {"m.room.member"}),
        ({"types": ["m.room.*"], "not_types": ["m.room.m*", "m.room.[a-z]*"], "not_senders": ["BOB"]}, None),
        ({"rooms": ["!other:elsewhere.example"]}, set()),
        ({"not_rooms": ["ROOM"]}, set()),
    ],
)
def test_state(alice: Client, bob: Client, rule: Json, wanted: set[str] | None) -> None:
    """State is filtered by itself, and the timeline keeps what it has."""
    room = alice.create_room(preset="public_chat", name="Kitchen")
    bob.join(room)
    alice.set_state(room, "a.type", {})
    alice.send(room, "hello")
    content = {"room": {"timeline": {"limit": 1}, "state": rule}}
    text = json.dumps(content).replace("BOB", bob.user_id).replace("ROOM", room)
    answer = alice.sync(filter=text)
    types = {event_type for event_type, _ in state_of(answer, room)}
    if wanted is None:
        assert types == {
            f"m.room.{name}" for name in ("create", "power_levels", "join_rules", "history_visibility", "name")
        }
    else:
        assert types == wanted
    assert [body(event) for event in timeline(answer, room)] == ["hello"]


def test_rooms(alice: Client) -> None:
    """Whole rooms can be asked for or left out, in every section; an exclusion wins."""
    one, two, three = (alice.create_room() for _ in range(3))
    alice.leave(three)

    def told(**rule: Any) -> set[str]:
        alice.since = None
        rooms = alice.sync(filter=json.dumps({"room": {"include_leave": True, **rule}})).get("rooms", {})
        return {room for section in rooms.values() for room in section}

    assert told() == {one, two, three}
    assert told(rooms=[one, three]) == {one, three}
    assert told(rooms=[]) == set()
    assert told(not_rooms=[one]) == {two, three}
    assert told(rooms=[one, two], not_rooms=[one]) == {two}


def test_what_the_timeline_does_not_want_is_in_the_state(alice: Client) -> None:
    """A change that a filter keeps out of the timeline is told as state, wherever in the timeline it happened."""
    room = alice.create_room()
    text = '{"room":{"timeline":{"types":["m.room.message"]}}}'
    alice.sync(filter=text)
    alice.set_state(room, "m.room.name", {"name": "before"})
    alice.send(room, "hello")
    alice.set_state(room, "m.room.topic", {"topic": "after"})
    answer = alice.sync(filter=text)
    assert [body(event) for event in timeline(answer, room)] == ["hello"]
    assert {event_type for event_type, _ in state_of(answer, room)} == {"m.room.name", "m.room.topic"}
    alice.set_state(room, "m.room.topic", {"topic": "alone"})
    answer = alice.sync(filter=text)
    assert timeline(answer, room) == []
    assert state_of(answer, room)["m.room.topic", ""]["content"] == {"topic": "alone"}


def test_account_data(alice: Client) -> None:
    """For all rooms and for one it has filters of its own."""
    room, other = alice.create_room(), alice.create_room()
    alice.sync()

    def put(where: str, event_type: str) -> None:
        alice.must("PUT", f"/user/{seg(alice.user_id)}{where}/account_data/{event_type}", {"a": 1})

    def told(**rule: Json) -> tuple[set[str], set[tuple[str, str]]]:
        answer = alice.must("GET", "/sync", since=alice.since, filter=json.dumps(rule))
        top = {event["type"] for event in answer.get("account_data", {}).get("events", [])}
        rooms = answer.get("rooms", {}).get("join", {})
        return top, {
            (one, event["type"])
            for one, section in rooms.items()
            for event in section.get("account_data", {}).get("events", [])
        }

    for event_type in ("a.one", "a.two"):
        put("", event_type)
        put(f"/rooms/{seg(room)}", event_type)
    put(f"/rooms/{seg(other)}", "a.one")
    assert told() == ({"a.one", "a.two"}, {(room, "a.one"), (room, "a.two"), (other, "a.one")})
    assert told(account_data={"types": ["a.one"]})[0] == {"a.one"}
    assert told(account_data={"not_types": ["*"]})[0] == set()
    assert told(room={"account_data": {"types": ["a.two"]}})[1] == {(room, "a.two")}
    assert told(room={"account_data": {"not_rooms": [room]}})[1] == {(other, "a.one")}
    assert told(room={"rooms": [other]})[1] == {(other, "a.one")}


@pytest.mark.parametrize(
    "content",
    [
        {"presence": "not_an_object"},
        {"room": {"timeline": "not_an_object"}},
        {"room": {"state": []}},
        {"room": {"timeline": {"rooms": "not_a_list"}}},
        {"room": {"timeline": {"senders": "not_a_list"}}},
        {"room": {"timeline": {"types": [1]}}},
        {"room": {"timeline": {"limit": -1}}},
        {"room": {"timeline": {"limit": "10"}}},
        {"room": {"include_leave": "yes"}},
        {"event_format": "xml"},
    ],
)
def test_filters_that_make_no_sense(alice: Client, content: Json) -> None:
    """They are refused when they are kept and when they are used."""
    alice.refused("M_BAD_JSON", 400, "POST", f"/user/{seg(alice.user_id)}/filter", content)
    alice.refused("M_INVALID_PARAM", 400, "GET", "/sync", filter=json.dumps(content))


@pytest.mark.parametrize("part", ["a" * 40, "*a" * 40, "*" * 400])
def test_patterns_cost_no_time(alice: Client, part: str) -> None:
    """A pattern made to be slow is not."""
    room = alice.create_room()
    alice.send(room, "x", event_type="a" * 200 + "b")
    text = json.dumps({"room": {"timeline": {"types": [part + "c"]}}})
    assert timeline(alice.sync(filter=text), room) == []


def test_event_fields(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the fields that are asked for, by their paths."""
    monkeypatch.setattr(Client, "witness", None)  # such events are not what the schema of an event says
    room = alice.create_room()
    path = f"/rooms/{seg(room)}/send/m.room.message/fields"
    alice.must("PUT", path, {"msgtype": "m.text", "body": "hello", "a.b": {"c": 1, "d": 2}})

    def last(*fields: str) -> Json:
        return timeline(alice.must("GET", "/sync", filter=json.dumps({"event_fields": list(fields)})), room)[-1]

    assert last("content.body") == {"content": {"body": "hello"}}
    assert last("type", "content.a\\.b.c", "content.nothing", "state_key") == {
        "type": "m.room.message",
        "content": {"a.b": {"c": 1}},
    }
    assert last("content.body", "content") == {
        "content": {"msgtype": "m.text", "body": "hello", "a.b": {"c": 1, "d": 2}}
    }
    assert last("content.body.more", "sender") == {"sender": alice.user_id}
    assert last()["content"]["body"] == "hello"


def test_event_format(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events as servers send them to each other, where that is asked for."""
    monkeypatch.setattr(Client, "witness", None)
    room = alice.create_room()
    alice.send(room, "hello")
    answer = alice.must("GET", "/sync", filter=json.dumps({"event_format": "federation"}))
    event = timeline(answer, room)[-1]
    assert {"auth_events", "prev_events", "depth", "hashes", "signatures", "room_id", "event_id"} <= event.keys()
    assert event["room_id"] == room
    assert event["unsigned"].keys() == {"age", "membership", "transaction_id"}
    fields = {"event_format": "federation", "event_fields": ["depth"]}
    assert timeline(alice.must("GET", "/sync", filter=json.dumps(fields)), room)[-1].keys() == {"depth"}
