"""The rules for everything but memberships and power levels."""

from typing import Any

import pytest

from appliance.protocol.auth import redaction_applies
from appliance.protocol.events import Event
from appliance.protocol.power import PowerLevels
from tests.protocol.room import ALICE, BOB, CAROL, DAVE, Room, versions

ALL = versions(1)

# ---- create


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({}, ALL),
        ({"room_version": "1"}, ALL),
        ({"room_version": "13"}, []),
        ({"room_version": 1}, []),
        ({"room_version": None}, []),
        ({"creator": BOB}, ALL),
        ({"additional_creators": [BOB, "@Odd One:one.example"]}, ALL),
        ({"additional_creators": []}, ALL),
        ({"additional_creators": [BOB, "bob"]}, versions(1, 11)),
        ({"additional_creators": [5]}, versions(1, 11)),
        ({"additional_creators": BOB}, versions(1, 11)),
        ({"additional_creators": None}, versions(1, 11)),
    ],
)
def test_create(version: str, changed: dict[str, Any], allowed: list[str]) -> None:
    room = Room(version, changed)
    assert (room.refusal(room.create) is None) is (version in allowed)


@pytest.mark.parametrize("version", ALL)
def test_create_without_what_was_once_required(version: str) -> None:
    room = Room(version)
    room_id = None if version == "12" else room.room_id
    event = room.make("m.room.create", ALICE, {}, "", room_id=room_id, prev_events=[])
    assert (room.refusal(event) is None) is (int(version) >= 11)


@pytest.mark.parametrize("version", ALL)
def test_create_must_be_first_and_of_the_rooms_server(version: str) -> None:
    room = Room(version)
    room_id = None if version == "12" else room.room_id
    content = room.create.content
    second = room.make("m.room.create", ALICE, content, "", room_id=room_id)
    assert "first of its room" in str(room.refusal(second))
    foreign = room.make("m.room.create", BOB, content, "", room_id=room_id, prev_events=[])
    assert (room.refusal(foreign) is None) is (version == "12")


def test_create_of_version_12_has_no_room_id() -> None:
    create = Room("12").create
    named = Event(create.version, {**create.pdu, "room_id": "!x:one.example"}, create.event_id, create.json)
    assert "no room_id" in str(Room("12").refusal(named))


# ---- everything that is sent


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("federate", "closed"), [(False, True), (True, False), (None, False), (0, False)])
def test_rooms_closed_to_other_servers(version: str, federate: Any, closed: bool) -> None:
    room = Room(version, {"m.federate": federate})
    room.join_rule("public")
    join = room.make("m.room.member", BOB, {"membership": "join"}, BOB)
    assert (room.refusal(join) is not None) is closed
    assert room.refusal(room.make("m.room.member", CAROL, {"membership": "join"}, CAROL)) is None


@pytest.mark.parametrize("version", ALL)
def test_another_rooms_event(version: str) -> None:
    room, other = Room(version), Room(version, {"other": True})
    other.room_id = other.room_id if version == "12" else "!other:one.example"
    assert "another room" in str(room.refusal(other.make("m.room.message", ALICE, {})))


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("membership", ["join", "invite", "leave", "ban", "knock", None])
def test_only_members_send(version: str, membership: str | None) -> None:
    room = Room(version)
    if membership:
        room.member(BOB, membership)
    event = room.make("m.room.message", BOB, {"body": "hi"})
    assert (room.refusal(event) is None) is (membership == "join")


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("kind", "state_key", "power", "allowed"),
    [
        ("m.room.message", None, 0, True),
        ("m.room.message", None, -1, False),
        ("m.room.topic", "", 49, False),
        ("m.room.topic", "", 50, True),
        ("m.room.topic", None, 0, True),
        ("org.example.special", None, 69, False),
        ("org.example.special", None, 70, True),
        ("org.example.special", "", 70, True),
        ("m.room.third_party_invite", "token", 39, False),
        # Only the power to invite counts for these, although they are state.
        ("m.room.third_party_invite", "token", 40, True),
    ],
)
def test_power_to_send(version: str, kind: str, state_key: str | None, power: int, allowed: bool) -> None:
    room = Room(version)
    room.member(BOB, "join")
    room.set("m.room.power_levels", {"users": {BOB: power}, "events": {"org.example.special": 70}, "invite": 40})
    assert (room.refusal(room.make(kind, BOB, {}, state_key)) is None) is allowed


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("state_key", "allowed"), [("", True), ("x", True), (ALICE, True), (BOB, False), ("@", False), (f"_{BOB}", True)]
)
def test_state_keys_that_belong_to_a_user(version: str, state_key: str, allowed: bool) -> None:
    room = Room(version)
    assert (room.refusal(room.make("org.example.state", ALICE, {}, state_key)) is None) is allowed


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("sender", "state_key", "by_rule", "otherwise"),
    [
        # Up to version 5 anyone of a server may set that server's aliases, members or not.
        (CAROL, "one.example", True, False),
        (ALICE, "one.example", True, True),
        (ALICE, "two.example", False, True),
        (ALICE, "", False, True),
        (ALICE, None, False, True),
    ],
)
def test_aliases(version: str, sender: str, state_key: str | None, by_rule: bool, otherwise: bool) -> None:
    room = Room(version)
    event = room.make("m.room.aliases", sender, {"aliases": []}, state_key)
    assert (room.refusal(event) is None) is (by_rule if int(version) <= 5 else otherwise)


# ---- redactions


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("power", "author", "applies"),
    [(0, DAVE, False), (49, DAVE, False), (50, DAVE, True), (0, BOB, True), (0, "@other:two.example", True)],
)
def test_redaction(version: str, power: int, author: str, applies: bool) -> None:
    """Versions 1 and 2 refuse a redaction that may not be; later ones allow it and do not carry it out."""
    room = Room(version)
    room.member(BOB, "join")
    room.set("m.room.power_levels", {"users": {BOB: power}})
    target = room.make("m.room.message", author, {"body": "x"})
    event = room.make("m.room.redaction", BOB, {}, redacts=target.event_id)
    levels = PowerLevels(room.version, room.lookup("m.room.power_levels", ""), room.create)
    if int(version) <= 2:
        assert (room.refusal(event) is None) is applies
        assert redaction_applies(event, target, levels)
    else:
        assert room.refusal(event) is None
        assert redaction_applies(event, target, levels) is applies


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("redacts", [None, "$nothing"])
def test_redaction_of_nothing(version: str, redacts: str | None) -> None:
    room = Room(version)
    room.member(BOB, "join")
    assert room.refusal(room.make("m.room.redaction", BOB, {}, redacts=redacts)) is not None
    assert room.refusal(room.make("m.room.redaction", ALICE, {}, redacts=redacts)) is None
