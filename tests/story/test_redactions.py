"""Redactions (client-server API, "Redactions")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, body, seg, state_of, timeline, unique

VERSIONS = ["10", "11", "12"]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_remains(alice: Client, bob: Client, version: str) -> None:
    """The content goes everywhere at once, the reason is told, and the target is named in both places."""
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room)
    target = alice.send(room, "a secret", txn="secret")
    assert body(bob.event(room, target)) == "a secret"
    bob.sync()
    redaction = alice.redact(room, target, reason="oops")
    (event,) = timeline(bob.sync(), room)
    assert (event["event_id"], event["type"]) == (redaction, "m.room.redaction")
    assert event["redacts"] == target
    assert event["content"] == {"reason": "oops", "redacts": target}
    fresh = bob.login()
    ways = [
        bob.event(room, target),
        next(one for one in bob.messages(room)["chunk"] if one["event_id"] == target),
        next(one for one in timeline(fresh.sync(), room) if one["event_id"] == target),
    ]
    for seen in ways:
        assert seen["content"] == {}
        because = seen["unsigned"]["redacted_because"]
        assert (because["event_id"], because["sender"], because["content"]["reason"]) == (
            redaction, alice.user_id, "oops",
        )  # fmt: skip
        assert because["origin_server_ts"] > 0
    assert ways[0]["unsigned"]["redacted_because"]["room_id"] == room
    assert alice.event(room, target)["unsigned"]["transaction_id"] == "secret"


@pytest.mark.parametrize("version", VERSIONS)
def test_by_the_send_endpoint(alice: Client, version: str) -> None:
    """A redaction may also be sent as an event that names its target in its content."""
    room = alice.create_room(room_version=version)
    target = alice.send(room, "a secret")
    path = f"/rooms/{seg(room)}/send/m.room.redaction/{unique('t')}"
    redaction = alice.must("PUT", path, {"redacts": target, "reason": "x"})["event_id"]
    assert alice.must("PUT", path, {"redacts": target, "reason": "x"})["event_id"] == redaction
    assert alice.event(room, target)["content"] == {}
    seen = alice.event(room, redaction)
    assert seen["redacts"] == seen["content"]["redacts"] == target


def test_who_may_redact(alice: Client, bob: Client) -> None:
    """One's own without more power than to speak, others' with the power to redact."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    hers, his = alice.send(room, "hers"), bob.send(room, "his")

    def refused(
        target: str, status: int = 403, code: str = "M_FORBIDDEN", who: Client = bob, where: str = room
    ) -> None:
        who.refused(code, status, "PUT", f"/rooms/{seg(where)}/redact/{seg(target)}/{unique('t')}", {})

    refused(hers)
    bob.redact(room, his)
    bob.redact(room, his)
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}})
    bob.redact(room, hers)
    assert alice.event(room, hers)["content"] == {}
    alice.set_state(room, "m.room.power_levels", {**levels, "events": {**levels["events"], "m.room.redaction": 60}})
    refused(bob.send(room, "again"))
    refused("$nothing", 404, "M_NOT_FOUND", alice)
    refused(alice.send(alice.create_room(), "elsewhere"), 400, "M_INVALID_PARAM", alice)
    bob.leave(room)
    refused(his)
    refused(his, where="!nowhere:elsewhere.example")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("event_type", "content", "remains"),
    [
        ("m.room.name", {"name": "secret"}, {}),
        ("a.type", {"a": "secret"}, {}),
        ("m.room.join_rules", {"join_rule": "public", "x": 1, "allow": []}, {"join_rule": "public", "allow": []}),
        ("m.room.history_visibility", {"history_visibility": "joined", "x": 1}, {"history_visibility": "joined"}),
    ],
)
def test_redacted_state_stays_state(alice: Client, version: str, event_type: str, content: Json, remains: Json) -> None:
    """What is redacted keeps its slot, and of its content what the room needs."""
    room = alice.create_room(room_version=version)
    event_id = alice.set_state(room, event_type, content)
    alice.redact(room, event_id)
    assert alice.state(room, event_type) == remains
    whole: Any = alice.must("GET", f"/rooms/{seg(room)}/state")
    assert next(one for one in whole if one["type"] == event_type)["event_id"] == event_id
    assert alice.set_state(room, event_type, content) != event_id


def test_redacted_power_levels(alice: Client, bob: Client) -> None:
    """Power levels that are redacted keep their users; the power to invite only from version 11 on."""
    for version, invite in (("10", None), ("11", 60), ("12", 60)):
        room = alice.create_room(room_version=version, preset="public_chat")
        bob.join(room)
        levels = alice.state(room, "m.room.power_levels")
        content = {**levels, "users": {**levels["users"], bob.user_id: 70}, "invite": 60, "x": 1}
        alice.redact(room, alice.set_state(room, "m.room.power_levels", content))
        after = bob.state(room, "m.room.power_levels")
        assert after.get("invite") == invite
        assert after["users"][bob.user_id] == 70
        assert "x" not in after
        bob.set_state(room, "m.room.name", {"name": "mine"})


@pytest.mark.parametrize("version", VERSIONS)
def test_redacted_memberships(alice: Client, bob: Client, version: str) -> None:
    """A redacted membership still counts, without the name."""
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room)
    event_id = bob.set_state(room, "m.room.member", {"membership": "join", "displayname": "secret"}, bob.user_id)
    alice.redact(room, event_id)
    assert alice.member(room, bob) == {"membership": "join"}
    assert alice.must("GET", f"/rooms/{seg(room)}/joined_members")["joined"][bob.user_id] == {}
    bob.send(room, "still here")


def test_the_beginning_cannot_be_redacted(alice: Client) -> None:
    """Nor is anything of it lost by trying."""
    room = alice.create_room(creation_content={"x": 1})
    create = alice.must("GET", f"/rooms/{seg(room)}/state/m.room.create", format="event")
    path = f"/rooms/{seg(room)}/redact/{seg(create['event_id'])}/t"
    alice.refused("M_FORBIDDEN", 403, "PUT", path, {})
    assert alice.state(room, "m.room.create")["x"] == 1


def test_a_list_of_servers_cannot_be_redacted(alice: Client) -> None:
    """An empty one would keep out everybody for good."""
    room = alice.create_room()
    acl = {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": False}
    path = f"/rooms/{seg(room)}/redact/{seg(alice.set_state(room, 'm.room.server_acl', acl))}/t"
    alice.refused("M_FORBIDDEN", 403, "PUT", path, {})
    assert alice.state(room, "m.room.server_acl") == acl


def test_a_redacted_redaction(alice: Client) -> None:
    """Redacting a redaction brings nothing back."""
    room = alice.create_room()
    target = alice.send(room, "a secret")
    redaction = alice.redact(room, target, reason="a reason")
    alice.redact(room, redaction)
    assert alice.event(room, target)["content"] == {}
    assert "reason" not in alice.event(room, redaction)["content"]
    because = alice.event(room, target)["unsigned"]["redacted_because"]
    assert "reason" not in because["content"]


def test_what_was_before_is_redacted_too(alice: Client) -> None:
    """The former content that a state event shows is that of the redacted event."""
    room = alice.create_room()
    first = alice.set_state(room, "m.room.name", {"name": "a secret"})
    second = alice.set_state(room, "m.room.name", {"name": "Kitchen"})
    assert alice.event(room, second)["unsigned"]["prev_content"] == {"name": "a secret"}
    alice.redact(room, first)
    assert alice.event(room, second)["unsigned"].get("prev_content", {}) == {}
    assert alice.state(room, "m.room.name") == {"name": "Kitchen"}


def test_redacted_before_the_first_sync(alice: Client, bob: Client) -> None:
    """Somebody who comes later never sees what was there, in state or timeline."""
    room = alice.create_room(preset="public_chat")
    name = alice.set_state(room, "m.room.name", {"name": "a secret"})
    alice.send(room, "a secret")
    message = alice.messages(room, limit=1)["chunk"][0]["event_id"]
    alice.redact(room, name)
    alice.redact(room, message)
    for number in range(12):
        alice.send(room, str(number))
    bob.join(room)
    answer = bob.sync()
    assert state_of(answer, room)["m.room.name", ""]["content"] == {}
    assert "a secret" not in str(answer)
    assert "a secret" not in str(bob.messages(room, limit=100))
