"""Which auth events an event must name, and how those that it names are judged."""

from typing import Any

import pytest

from appliance.protocol.auth import auth_event_slots
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, CAROL, DAVE, Room, versions

ALL = versions(1)

CREATE, LEVELS, RULES = ("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.join_rules", "")


def member(user_id: str) -> tuple[str, str]:
    return ("m.room.member", user_id)


ODD_INVITES: list[Any] = [None, "x", {}, {"signed": None}, {"signed": {}}, {"signed": {"token": 5}}]
SELECTION: list[tuple[str, str | None, dict[str, Any], list[tuple[str, str]]]] = [
    ("m.room.message", None, {}, [member(ALICE)]),
    ("m.room.topic", "", {}, [member(ALICE)]),
    ("m.room.message", None, {"membership": "join"}, [member(ALICE)]),
    ("m.room.member", None, {"membership": "join"}, [member(ALICE)]),
    ("m.room.member", ALICE, {"membership": "join"}, [member(ALICE), RULES]),
    ("m.room.member", BOB, {"membership": "invite"}, [member(ALICE), member(BOB), RULES]),
    ("m.room.member", ALICE, {"membership": "knock"}, [member(ALICE), RULES]),
    ("m.room.member", BOB, {"membership": "leave"}, [member(ALICE), member(BOB)]),
    ("m.room.member", BOB, {"membership": "ban"}, [member(ALICE), member(BOB)]),
    ("m.room.member", BOB, {}, [member(ALICE), member(BOB)]),
    (
        "m.room.member",
        BOB,
        {"membership": "invite", "third_party_invite": {"signed": {"token": "abc"}}},
        [member(ALICE), member(BOB), RULES, ("m.room.third_party_invite", "abc")],
    ),
    (
        "m.room.member",
        BOB,
        {"membership": "leave", "third_party_invite": {"signed": {"token": "abc"}}},
        [member(ALICE), member(BOB)],
    ),
    *(
        ("m.room.member", BOB, {"membership": "invite", "third_party_invite": odd}, [member(ALICE), member(BOB), RULES])
        for odd in ODD_INVITES
    ),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("kind", "state_key", "content", "expected"), SELECTION)
def test_selection(
    version: str, kind: str, state_key: str | None, content: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    slots = auth_event_slots(VERSIONS[version], type=kind, sender=ALICE, state_key=state_key, content=content)
    assert slots == [*([] if version == "12" else [CREATE]), LEVELS, *expected]


@pytest.mark.parametrize("version", ALL)
def test_selection_of_who_vouches(version: str) -> None:
    def selected(**content: Any) -> bool:
        slots = auth_event_slots(VERSIONS[version], type="m.room.member", sender=BOB, state_key=BOB, content=content)
        return member(CAROL) in slots

    assert selected(membership="join", join_authorised_via_users_server=CAROL) is (int(version) >= 8)
    assert not selected(membership="leave", join_authorised_via_users_server=CAROL)
    assert not selected(membership="join", join_authorised_via_users_server=[CAROL])


@pytest.mark.parametrize("version", ALL)
def test_a_create_event_has_no_auth_events(version: str) -> None:
    content = {"creator": ALICE}
    assert auth_event_slots(VERSIONS[version], type="m.room.create", sender=ALICE, state_key="", content=content) == []
    room = Room(version)
    assert room.auth_refusal(room.create, []) is None


# ---- judging auth events


@pytest.fixture(params=ALL)
def room(request: pytest.FixtureRequest) -> Room:
    """A room of each version with all the state that matters."""
    room = Room(request.param)
    room.set("m.room.power_levels", {"users": {BOB: 100}})
    room.join_rule("public")
    room.member(BOB, "join")
    room.set("m.room.topic", {})
    return room


def test_the_selection_passes(room: Room) -> None:
    for event in (
        room.make("m.room.message", BOB, {}),
        room.make("m.room.member", DAVE, {"membership": "join"}, DAVE),
        room.make("m.room.member", BOB, {"membership": "leave"}, BOB),
    ):
        assert room.auth_refusal(event, list(room.selected(event))) is None


def test_power_levels_may_be_missing(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    chosen = [one for one in room.selected(event) if one.type != "m.room.power_levels"]
    assert room.auth_refusal(event, chosen) is None


@pytest.mark.parametrize("slot", [("m.room.topic", ""), RULES, member(ALICE)])
def test_unexpected(room: Room, slot: tuple[str, str]) -> None:
    event = room.make("m.room.message", BOB, {})
    chosen = [*room.selected(event), room.state[slot]]
    assert "no business" in str(room.auth_refusal(event, chosen))


def test_a_message_is_no_auth_event(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    fake = room.make("m.room.power_levels", BOB, {})
    chosen = [one for one in room.selected(event) if one.type != "m.room.power_levels"]
    assert "no business" in str(room.auth_refusal(event, [*chosen, fake]))


def test_doubled(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    older = room.make("m.room.power_levels", ALICE, {}, "")
    assert "Two" in str(room.auth_refusal(event, [*room.selected(event), older]))
    ids = [room.state[LEVELS].event_id] * 2
    twice = room.make("m.room.message", BOB, {}, auth_events=ids)
    assert "twice" in str(room.auth_refusal(twice, list(room.selected(twice))))


def test_create_belongs_there_up_to_version_11(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    without = [one for one in room.selected(event) if one.type != "m.room.create"]
    refusal = room.auth_refusal(event, without)
    refusal_with = room.auth_refusal(event, [*without, room.create])
    if room.version.identifier == "12":
        assert refusal is None
        assert "no business" in str(refusal_with)
    else:
        assert "lack the create event" in str(refusal)
        assert refusal_with is None


def test_rejected(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    chosen = list(room.selected(event))
    for one in chosen:
        assert "rejected" in str(room.auth_refusal(event, chosen, frozenset({one.event_id})))
    # The room's create event too, although version 12 does not name it.
    assert "rejected" in str(room.auth_refusal(event, chosen, frozenset({room.create.event_id})))
    assert room.auth_refusal(event, chosen, frozenset({"$other"})) is None


def test_of_another_room(room: Room) -> None:
    event = room.make("m.room.message", BOB, {})
    here = room.room_id
    room.room_id = "!" + "x" * 43 if room.version.hash_room_ids else "!other:one.example"
    foreign = room.make("m.room.member", BOB, {"membership": "join"}, BOB)
    stranger = room.make("m.room.message", BOB, {})
    room.room_id = here
    chosen = [one for one in room.selected(event) if one.state_key != BOB]
    assert "another room" in str(room.auth_refusal(event, [*chosen, foreign]))
    assert "another room" in str(room.auth_refusal(stranger, list(room.selected(stranger))))


def test_another_create_event_of_the_same_room() -> None:
    room = Room("11")
    second = room.make("m.room.create", ALICE, {"room_version": "11", "x": 1}, "", prev_events=[])
    event = room.make("m.room.message", ALICE, {})
    chosen = [one for one in room.selected(event) if one.type != "m.room.create"]
    assert "another create event" in str(room.auth_refusal(event, [*chosen, second]))
