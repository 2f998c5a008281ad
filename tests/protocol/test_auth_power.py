"""The rules for ``m.room.power_levels``, each case in every room version."""

from typing import Any

import pytest

from tests.protocol.room import ALICE, BOB, CAROL, DAVE, Room, versions

ALL = versions(1)
NONE: list[str] = []


def moderated(version: str, **more: Any) -> Room:
    """A room where Bob and Carol have 50, the sender of what is judged is Bob, and power levels take 50."""
    room = Room(version)
    for user_id in (BOB, CAROL, DAVE):
        room.member(user_id, "join")
    room.set("m.room.power_levels", {**base(room), **more})
    return room


def base(room: Room) -> dict[str, Any]:
    """The content that changes start from."""
    own = {} if room.version.creators_above_all else {ALICE: 100}
    return {
        "users": {**own, BOB: 50, CAROL: 50, DAVE: 20},
        "events": {"m.room.name": 50, "m.room.tombstone": 100},
        "notifications": {"room": 50, "high": 100},
        "redact": 100,
        "kick": 30,
    }


def change(room: Room, **changed: Any) -> str | None:
    """Why Bob may not set these; a value of ``...`` takes the key away, users and events are merged."""
    content = base(room)
    for key, value in changed.items():
        if key in ("users", "events", "notifications") and isinstance(value, dict):
            merged = {**content[key], **value}
            content[key] = {name: level for name, level in merged.items() if level is not ...}
        elif value is ...:
            content.pop(key, None)
        else:
            content[key] = value
    return room.refusal(room.make("m.room.power_levels", BOB, content, ""))


# What Bob, who has 50, changes; the versions in which he may.
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ALL),
    # Levels at the top: neither what was nor what will be may be above 50.
    ({"ban": 50}, ALL),
    ({"ban": 51}, NONE),
    ({"kick": 50}, ALL),
    ({"kick": 51}, NONE),
    ({"kick": ...}, ALL),
    ({"redact": 50}, NONE),
    ({"redact": ...}, NONE),
    ({"users_default": 50}, ALL),
    ({"users_default": 51}, NONE),
    ({"events_default": 51}, NONE),
    ({"state_default": 51}, NONE),
    ({"invite": 51}, NONE),
    ({"invite": 50, "state_default": 0, "events_default": -5}, ALL),
    # Something that the rules do not know.
    ({"org.example.level": 100}, ALL),
    # Event types.
    ({"events": {"m.room.topic": 50}}, ALL),
    ({"events": {"m.room.topic": 51}}, NONE),
    ({"events": {"m.room.name": 0}}, ALL),
    ({"events": {"m.room.name": ...}}, ALL),
    ({"events": {"m.room.name": 51}}, NONE),
    ({"events": {"m.room.tombstone": 50}}, NONE),
    ({"events": {"m.room.tombstone": ...}}, NONE),
    # Notifications are guarded from version 6 on.
    ({"notifications": {"room": 0}}, ALL),
    ({"notifications": {"room": ...}}, ALL),
    ({"notifications": {"other": 50}}, ALL),
    ({"notifications": {"room": 51}}, versions(1, 5)),
    ({"notifications": {"other": 51}}, versions(1, 5)),
    ({"notifications": {"high": 50}}, versions(1, 5)),
    ({"notifications": {"high": ...}}, versions(1, 5)),
    # Users: others only while they have less; nobody more than one has.
    ({"users": {DAVE: 50}}, ALL),
    ({"users": {DAVE: 51}}, NONE),
    ({"users": {DAVE: ...}}, ALL),
    ({"users": {"@new:one.example": 50}}, ALL),
    ({"users": {"@new:one.example": 51}}, NONE),
    ({"users": {CAROL: 49}}, NONE),
    ({"users": {CAROL: ...}}, NONE),
    ({"users": {CAROL: 50}}, ALL),
    ({"users": {BOB: 0}}, ALL),
    ({"users": {BOB: ...}}, ALL),
    ({"users": {BOB: 51}}, NONE),
    # What is no user id.
    ({"users": {"bob": 0}}, NONE),
    ({"users": {"@bob": 0}}, NONE),
    ({"users": {"@Odd One:one.example": 0}}, ALL),
    ({"users": []}, NONE),
    ({"users": "x"}, NONE),
    ({"users": None}, NONE),
    ({"events": []}, NONE),
    ({"events": None}, NONE),
    # Text and floats where the version reads them; booleans and null nowhere.
    ({"users": {DAVE: "30"}}, versions(1, 9)),
    ({"users": {DAVE: " +030 "}}, versions(1, 9)),
    ({"users": {DAVE: "51"}}, NONE),
    ({"users": {CAROL: "50"}}, versions(1, 9)),
    ({"users": {DAVE: "much"}}, NONE),
    ({"users": {DAVE: "30.5"}}, NONE),
    ({"users": {DAVE: True}}, NONE),
    ({"users": {DAVE: None}}, NONE),
    ({"users": {DAVE: [30]}}, NONE),
    ({"ban": "50"}, versions(1, 9)),
    ({"ban": "51"}, NONE),
    ({"ban": "x"}, NONE),
    ({"ban": None}, NONE),
    ({"ban": False}, NONE),
    ({"events": {"m.room.topic": "50"}}, versions(1, 9)),
    ({"events": {"m.room.topic": None}}, NONE),
    ({"notifications": {"other": "50"}}, versions(1, 9)),
    ({"notifications": {"other": None}}, versions(1, 5)),
    ({"notifications": []}, versions(1, 5)),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("changed", "allowed"), CHANGES, ids=[str(item[0])[:50] for item in CHANGES])
def test_change(version: str, changed: dict[str, Any], allowed: list[str]) -> None:
    assert (change(moderated(version), **changed) is None) is (version in allowed)


@pytest.mark.parametrize("version", versions(1, 5))
@pytest.mark.parametrize(
    ("level", "allowed"),
    [(50.9, True), (51.0, False), (5e1, True), (-0.5, True), (1e300, False)],
)
def test_floats_are_cut(version: str, level: float, allowed: bool) -> None:
    room = moderated(version)
    assert (change(room, users={DAVE: level}) is None) is allowed
    assert (change(room, ban=level) is None) is allowed
    assert (change(room, events={"x": level}) is None) is allowed


# The first power levels, which Alice sends.
FIRST: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ALL),
    ({"users": {BOB: 1000}, "ban": 1000, "events": {"x": 1000}}, ALL),
    ({"users": {BOB: "100"}}, versions(1, 9)),
    ({"users": {BOB: True}}, NONE),
    ({"users": {"bob": 1}}, NONE),
    ({"users": []}, NONE),
    # Up to version 9 only the users are looked at while there is nothing to compare with.
    ({"ban": "x"}, versions(1, 9)),
    ({"ban": "50"}, versions(1, 9)),
    ({"kick": None}, versions(1, 9)),
    ({"events": []}, versions(1, 9)),
    ({"events": {"x": "5"}}, versions(1, 9)),
    ({"notifications": {"room": True}}, versions(1, 9)),
    ({"notifications": "x"}, versions(1, 9)),
    ({"users": {ALICE: 100}}, versions(1, 11)),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("content", "allowed"), FIRST, ids=[str(item[0])[:50] for item in FIRST])
def test_first(version: str, content: dict[str, Any], allowed: list[str]) -> None:
    room = Room(version)
    assert (room.refusal(room.make("m.room.power_levels", ALICE, content, "")) is None) is (version in allowed)


@pytest.mark.parametrize("version", ["6", "9"])
def test_nonsense_in_the_levels_that_are_replaced_counts_as_absent(version: str) -> None:
    room = moderated(version, ban="x", events="x", invite=None)
    own = {"m.room.tombstone": ...}
    assert change(room, events=own) is None
    assert change(room, events=own, ban=51) is not None
    assert change(room) is not None


@pytest.mark.parametrize("version", ALL)
def test_additional_creators_are_not_listed(version: str) -> None:
    room = Room(version, {"additional_creators": [BOB]})
    event = room.make("m.room.power_levels", ALICE, {"users": {BOB: 50}}, "")
    assert (room.refusal(event) is None) is (version != "12")
    # Nor may they be when the event replaces another.
    room.set("m.room.power_levels", {})
    event = room.make("m.room.power_levels", ALICE, {"users": {BOB: 0}}, "")
    # Up to version 11 nobody has power in this room any more.
    assert room.refusal(event) is not None


def test_a_creator_of_version_12_may_change_everything() -> None:
    room = Room("12")
    room.set("m.room.power_levels", {"users": {BOB: 2**53 - 1}, "ban": 2**53 - 1, "events": {"x": 2**53 - 1}})
    event = room.make("m.room.power_levels", ALICE, {"users": {BOB: 0}, "kick": 2**53 - 1}, "")
    assert room.refusal(event) is None


@pytest.mark.parametrize("version", ALL)
def test_in_a_room_without_power_levels_only_its_creator_sets_them(version: str) -> None:
    room = Room(version)
    room.member(BOB, "join")
    assert "too little power" in str(room.refusal(room.make("m.room.power_levels", BOB, {}, "")))
    assert room.refusal(room.make("m.room.power_levels", ALICE, {}, "")) is None
