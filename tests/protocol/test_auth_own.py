"""What people plainly say of themselves is judged by their own membership and the join rule, and by nothing else.

State resolution judges such events once for each pair of the two. Here every event is judged by the rules themselves in
rooms that are alike in those two and differ in all else.
"""

import itertools
from typing import Any

import pytest

from appliance.protocol.auth import NotAllowed, check_event
from appliance.protocol.auth_members import is_closed, rests_on_own_membership
from appliance.protocol.events import Event
from appliance.protocol.slim import PLAIN_CONTENTS, AnyEvent, PlainMember, plain_columns
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, DAVE, Room

PLAIN_VERSIONS = [version for version in VERSIONS if VERSIONS[version].strict_json]
BEFORE = [None, "join", "leave", "invite", "ban", "knock"]
RULES = [None, "public", "invite", "knock", "restricted", "knock_restricted", "private", 7]
POWERS: list[dict[str, Any] | None] = [None, {}, {"users": {BOB: 100}, "ban": 0, "invite": 100}, {"users_default": 60}]


def plain(event: Event) -> PlainMember:
    """An event as the database's columns tell it."""
    membership, when = plain_columns(event)
    assert membership is not None and when is not None and event.state_key is not None
    content = PLAIN_CONTENTS[membership]
    return PlainMember(
        event.version, event.event_id, event.room_id, event.sender, event.state_key, membership, content, when
    )


def allowed(event: AnyEvent, state: dict[tuple[str, str], Event], create: Event) -> bool:
    """What the rules say."""
    try:
        check_event(event, lambda kind, key: state.get((kind, key)), create)
    except NotAllowed:
        return False
    return True


@pytest.mark.parametrize("version", PLAIN_VERSIONS)
def test_nothing_else_counts(version: str) -> None:
    room = Room(version)

    def choices(kind: str, key: str, contents: list[dict[str, Any] | None]) -> list[dict[tuple[str, str], Event]]:
        return [{} if one is None else {(kind, key): room.make(kind, ALICE, one, key)} for one in contents]

    own = choices("m.room.member", BOB, [None if one is None else {"membership": one} for one in BEFORE])
    rules = choices("m.room.join_rules", "", [None if one is None else {"join_rule": one} for one in RULES])
    powers = choices("m.room.power_levels", "", POWERS)
    others = choices("m.room.member", DAVE, [None, {"membership": "join"}, {"membership": "ban"}])
    says = [plain(room.make("m.room.member", BOB, {"membership": one}, BOB)) for one in PLAIN_CONTENTS]
    verdicts_found = set()
    for event, before, rule in itertools.product(says, own, rules):
        assert rests_on_own_membership(event, room.create)
        verdicts = {
            allowed(event, room.state | before | rule | one | other, room.create)
            for one, other in itertools.product(powers, others)
        }
        assert len(verdicts) == 1
        verdicts_found |= verdicts
    assert verdicts_found == {True, False}


@pytest.mark.parametrize("version", PLAIN_VERSIONS)
def test_whatever_more_may_count_is_judged_by_itself(version: str) -> None:
    room = Room(version)
    kick = plain(room.make("m.room.member", ALICE, {"membership": "leave"}, BOB))
    assert not rests_on_own_membership(kick, room.create)
    assert not rests_on_own_membership(room.make("m.room.member", BOB, {"membership": "join"}, BOB), room.create)
    own = plain(room.make("m.room.member", BOB, {"membership": "join"}, BOB))
    own.room_id = "!another:one.example"
    assert not rests_on_own_membership(own, room.create)
    assert not is_closed(room.create)
    assert is_closed(Room(version, {"m.federate": False}).create)
