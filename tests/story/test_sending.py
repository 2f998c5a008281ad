"""Sending messages (client-server API, "Sending events to a room")."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import Client, Json, body, seg, timeline, unique

LONG = '{"room":{"timeline":{"limit":200}}}'


def path(room: str, event_type: str = "m.room.message") -> str:
    """Where to send."""
    return f"/rooms/{seg(room)}/send/{seg(event_type)}/{seg(unique('t'))}"


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_what_an_event_looks_like(alice: Client, bob: Client, version: str) -> None:
    """Sync gives an event without its room, the other endpoints with it; only the sender sees the transaction."""
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room)
    bob.sync()
    before = int(time.time() * 1000)
    event_id = alice.send(room, "hello", txn="txn of mine")
    (seen,) = timeline(bob.sync(), room)
    assert seen.keys() == {"content", "event_id", "origin_server_ts", "sender", "type", "unsigned"}
    assert (seen["event_id"], seen["sender"], seen["type"]) == (event_id, alice.user_id, "m.room.message")
    assert seen["content"] == {"msgtype": "m.text", "body": "hello"}
    assert before <= seen["origin_server_ts"] <= int(time.time() * 1000)
    assert seen["unsigned"].keys() == {"age", "membership"}
    assert 0 <= seen["unsigned"]["age"] <= int(time.time() * 1000) - before
    own = alice.event(room, event_id)
    assert own["room_id"] == room
    assert own["unsigned"]["transaction_id"] == "txn of mine"
    assert own["unsigned"]["membership"] == "join"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"": "", "null": None, "deep": {"er": [[], {}, [None, True, False, 0, -1]]}},
        {"body": 'Grüße 🎉 \u0000 \u2028 \\ " / \x7f', "\U0001f600": "\ufb33"},
        {"least": -(2**53) + 1, "most": 2**53 - 1},
        {"m.relates_to": {"m.in_reply_to": {"event_id": "$nothing"}}, "room_id": "!other", "event_id": "$other"},
        {"type": "m.room.create", "sender": "@mallory:elsewhere", "state_key": "", "unsigned": {"age": 5}},
        {"body": "x" * 60_000},
    ],
)
def test_content_arrives_as_it_was_sent(alice: Client, content: Json) -> None:
    """Whatever JSON allows in an event goes through unchanged, and is content, whatever its keys are called."""
    room = alice.create_room()
    alice.sync()
    event_id = alice.must("PUT", path(room, "a.type"), content)["event_id"]
    (seen,) = timeline(alice.sync(), room)
    assert seen["content"] == alice.event(room, event_id)["content"] == content
    assert (seen["type"], seen["sender"]) == ("a.type", alice.user_id)
    assert "state_key" not in seen


@pytest.mark.parametrize(
    ("event_type", "content", "status", "errcode"),
    [
        ("m.room.message", {"number": 1.5}, 400, "M_BAD_JSON"),
        ("m.room.message", {"number": 2**53}, 400, "M_BAD_JSON"),
        ("m.room.message", {"deep": [{"number": -(2**53)}]}, 400, "M_BAD_JSON"),
        ("m.room.message", {"number": 1e30}, 400, "M_BAD_JSON"),
        ("m.room.message", {"body": "and they dont stop coming " * 2700}, 413, "M_TOO_LARGE"),
        ("x" * 256, {}, 413, "M_TOO_LARGE"),
        ("é" * 128, {}, 413, "M_TOO_LARGE"),
        ("m.room.message", [], 400, "M_BAD_JSON"),
        ("m.room.message", "text", 400, "M_BAD_JSON"),
        ("m.room.create", {}, 400, "M_INVALID_PARAM"),
        ("m.room.member", {"membership": "join"}, 403, "M_FORBIDDEN"),
        ("m.room.redaction", {}, 400, "M_MISSING_PARAM"),
        ("m.room.redaction", {"redacts": 5}, 400, "M_MISSING_PARAM"),
        ("m.room.redaction", {"redacts": "$nothing"}, 404, "M_NOT_FOUND"),
    ],
)
def test_what_cannot_be_sent(alice: Client, event_type: str, content: Any, status: int, errcode: str) -> None:
    """An event that the room version does not allow is refused, and the room goes on."""
    room = alice.create_room()
    alice.sync()
    alice.refused(errcode, status, "PUT", path(room, event_type), content)
    alice.send(room, "still here")
    assert [body(event) for event in timeline(alice.sync(), room)] == ["still here"]


def test_who_cannot_send(alice: Client, bob: Client) -> None:
    """Strangers, the invited, those without power, those who left, those who are banned."""
    room = alice.create_room(power_level_content_override={"events": {"a.loud": 50}})

    def refused(where: str = room, event_type: str = "m.room.message") -> None:
        bob.refused("M_FORBIDDEN", 403, "PUT", path(where, event_type), {})

    refused("!nowhere:elsewhere.example")
    refused("nowhere")
    refused()
    alice.invite(room, bob)
    refused()
    bob.join(room)
    bob.send(room, "hello")
    refused(event_type="a.loud")
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "events_default": 1})
    refused()
    alice.set_state(room, "m.room.power_levels", levels)
    bob.leave(room)
    refused()
    alice.ban(room, bob)
    refused()


def test_many_at_once(alice: Client, bob: Client) -> None:
    """What several people say at once is in one order for all, each of it once."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    bob.sync()
    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda number: (alice, bob)[number % 2].send(room, str(number)), range(60)))
    by_sync = [event["event_id"] for event in timeline(alice.sync(filter=LONG), room)]
    assert sorted(by_sync) == sorted(sent)
    assert [event["event_id"] for event in timeline(bob.sync(filter=LONG), room)] == by_sync
    by_messages = [event["event_id"] for event in bob.messages(room, "b", limit=60)["chunk"]]
    assert by_messages[::-1] == by_sync


def test_state_and_messages_at_once(alice: Client, bob: Client) -> None:
    """Under load the last state that sync tells is the one that the room has."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bob.join(room)
    bob.sync()

    def work(number: int) -> None:
        who = (alice, bob)[number % 2]
        if number % 3:
            who.send(room, str(number))
        else:
            who.set_state(room, "m.room.topic", {"topic": str(number)})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    topics = [event["content"] for event in timeline(bob.sync(filter=LONG), room) if event["type"] == "m.room.topic"]
    assert len(topics) == 20
    assert topics[-1] == bob.state(room, "m.room.topic")
    assert alice.login().must("GET", f"/rooms/{seg(room)}/state/m.room.topic") == topics[-1]
