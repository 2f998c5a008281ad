"""Power levels: how each room version reads them, and what counts where nothing is said."""

import math
from typing import Any

import pytest

from appliance.protocol.power import PowerLevels, creators, parse_level
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, CAROL, Room, versions

ALL = versions(1)

# A value, what it means, and in which versions.
LEVELS: list[tuple[Any, int, list[str]]] = [
    (50, 50, ALL),
    (-5, -5, ALL),
    (0, 0, ALL),
    (2**53 - 1, 2**53 - 1, ALL),
    ("50", 50, versions(1, 9)),
    ("000100", 100, versions(1, 9)),
    ("+100", 100, versions(1, 9)),
    ("-100", -100, versions(1, 9)),
    (" \t+00100\n ", 100, versions(1, 9)),
    (50.57, 50, versions(1, 5)),
    (-50.57, -50, versions(1, 5)),
    (5.114698e4, 51146, versions(1, 5)),
    (1e20, 10**20, versions(1, 5)),
    (True, 0, []),
    (False, 0, []),
    (None, 0, []),
    ([50], 0, []),
    ({}, 0, []),
    ("", 0, []),
    (" ", 0, []),
    ("50.0", 0, []),
    ("5e1", 0, []),
    ("0x10", 0, []),
    ("1_000", 0, []),
    ("+ 5", 0, []),
    ("++5", 0, []),
    ("٣", 0, []),
    ("9" * 5000, 0, []),
    (math.inf, 0, []),
    (math.nan, 0, []),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("value", "level", "read_in"), LEVELS, ids=[repr(case[0])[:20] for case in LEVELS])
def test_parse_level(version: str, value: Any, level: int, read_in: list[str]) -> None:
    assert parse_level(VERSIONS[version], value) == (level if version in read_in else None)


def levels(room: Room, content: dict[str, Any] | None = None) -> PowerLevels:
    """The levels of a room that has these, or none."""
    event = None if content is None else room.set("m.room.power_levels", content)
    return PowerLevels(room.version, event, room.create)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("content", [None, {}], ids=["no event", "empty event"])
def test_defaults(version: str, content: dict[str, Any] | None) -> None:
    power = levels(Room(version), content)
    assert (power.ban, power.kick, power.redact, power.invite) == (50, 50, 50, 0)
    assert power.event("m.room.topic", is_state=True) == 50
    assert power.event("m.room.message", is_state=False) == 0
    assert power.notification("room") == 50
    assert power.user(BOB) == 0
    if version == "12":
        assert power.user(ALICE) == math.inf
    else:
        assert power.user(ALICE) == (100 if content is None else 0)


@pytest.mark.parametrize("version", ALL)
def test_what_is_said(version: str) -> None:
    power = levels(
        Room(version),
        {
            "users": {BOB: 60},
            "users_default": 5,
            "events": {"m.room.topic": 10, "m.room.message": 20},
            "events_default": 1,
            "state_default": 2,
            "ban": 3,
            "kick": 4,
            "redact": 6,
            "invite": 7,
            "notifications": {"room": 8},
        },
    )
    assert (power.user(BOB), power.user(CAROL)) == (60, 5)
    assert (power.event("m.room.topic", is_state=True), power.event("m.room.name", is_state=True)) == (10, 2)
    assert (power.event("m.room.message", is_state=False), power.event("x", is_state=False)) == (20, 1)
    assert (power.ban, power.kick, power.redact, power.invite) == (3, 4, 6, 7)
    assert (power.notification("room"), power.notification("other")) == (8, 50)


@pytest.mark.parametrize("version", ALL)
def test_nonsense_counts_as_unsaid(version: str) -> None:
    power = levels(
        Room(version),
        {"users": {BOB: "x"}, "users_default": [], "events": [], "notifications": None, "ban": True, "kick": "x"},
    )
    assert (power.user(BOB), power.event("x", is_state=True), power.notification("room")) == (0, 50, 50)
    assert (power.ban, power.kick) == (50, 50)


@pytest.mark.parametrize("version", ALL)
def test_creators(version: str) -> None:
    more = {"additional_creators": [BOB]}
    if int(version) <= 10:
        # Up to version 10 the content names the creator, whoever sent it.
        more["creator"] = CAROL  # type: ignore[assignment]
    room = Room(version, more)
    expected = {CAROL} if int(version) <= 10 else {ALICE, BOB} if version == "12" else {ALICE}
    assert creators(room.create) == expected
    power = levels(room)
    for user_id in (ALICE, BOB, CAROL):
        assert power.user(user_id) == ((math.inf if version == "12" else 100) if user_id in expected else 0)


def test_no_event_takes_power_from_a_creator_of_version_12() -> None:
    power = levels(Room("12", {"additional_creators": [BOB]}), {"users": {ALICE: 0, BOB: -1, CAROL: 100}})
    assert (power.user(ALICE), power.user(BOB), power.user(CAROL)) == (math.inf, math.inf, 100)


@pytest.mark.parametrize("content", [{"creator": 5}, {"creator": None}])
def test_a_creator_that_is_no_user(content: dict[str, Any]) -> None:
    assert creators(Room("1", content).create) == set()
    assert creators(Room("12", {"additional_creators": "x"}).create) == {ALICE}
