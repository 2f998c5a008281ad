"""The rules for joins, and the shape of every membership: allowed in the versions named, refused in the others."""

import pytest

from appliance.protocol.events import Event
from tests.protocol.member_cases import ALL, NONE, Arrange, Cases, judge, membership, powers
from tests.protocol.room import ALICE, BOB, CAROL, Room, versions

case = Cases()

# ---- the shape of a membership


@case(NONE)
def without_a_state_key(room: Room) -> Event:
    return room.make("m.room.member", BOB, {"membership": "join"})


@case(NONE)
def of_no_user(room: Room) -> Event:
    room.join_rule("public")
    return room.make("m.room.member", ALICE, {"membership": "ban"}, "bob")


@case(NONE)
def without_a_membership(room: Room) -> Event:
    return room.make("m.room.member", ALICE, {}, ALICE)


@case(NONE)
def unknown_membership(room: Room) -> Event:
    return membership(room, ALICE, "dance")


@case(NONE)
def membership_that_is_no_text(room: Room) -> Event:
    return membership(room, ALICE, 1)


# ---- join


def empty_room(room: Room) -> Room:
    """The room as it was before its creator joined."""
    del room.state["m.room.member", ALICE]
    room.last = room.create
    return room


@case(ALL)
def creator_joins_first(room: Room) -> Event:
    return membership(empty_room(room), ALICE, "join")


@case(NONE)
def another_joins_first(room: Room) -> Event:
    return membership(empty_room(room), BOB, "join")


@case(NONE)
def creator_joins_later_without_invite(room: Room) -> Event:
    room = empty_room(room)
    room.put(room.make("m.room.name", ALICE, {}, ""))
    return membership(room, ALICE, "join")


@case(ALL)
def creator_is_who_the_version_says(room: Room) -> Event:
    """Up to version 10 the content names the creator, later the sender of the create event is it."""
    room.begin({"creator": CAROL})
    return membership(empty_room(room), CAROL if room.version.creator_in_content else ALICE, "join")


@case(NONE)
def additional_creator_joins_first(room: Room) -> Event:
    room.begin({"additional_creators": [BOB]})
    return membership(empty_room(room), BOB, "join")


@case(NONE)
def join_for_another(room: Room) -> Event:
    room.join_rule("public")
    return membership(room, BOB, "join", sender=ALICE)


@case(NONE)
def banned_user_joins(room: Room) -> Event:
    room.join_rule("public")
    room.member(BOB, "ban")
    return membership(room, BOB, "join")


@case(ALL)
def join_public(room: Room) -> Event:
    room.join_rule("public")
    return membership(room, BOB, "join")


@case(ALL)
def join_again(room: Room) -> Event:
    room.member(BOB, "join")
    return membership(room, BOB, "join", displayname="Bob")


@case(NONE)
def join_uninvited_without_join_rules(room: Room) -> Event:
    return membership(room, BOB, "join")


@case(ALL)
def join_invited_without_join_rules(room: Room) -> Event:
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(NONE)
def join_uninvited(room: Room) -> Event:
    room.join_rule("invite")
    return membership(room, BOB, "join")


@case(ALL)
def join_invited(room: Room) -> Event:
    room.join_rule("invite")
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(NONE)
def join_private_although_invited(room: Room) -> Event:
    room.join_rule("private")
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(NONE)
def join_by_a_rule_that_is_no_text_although_invited(room: Room) -> Event:
    room.set("m.room.join_rules", {"join_rule": ["invite"]})
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(ALL)
def join_invited_where_join_rules_name_no_rule(room: Room) -> Event:
    room.set("m.room.join_rules", {})
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(NONE)
def join_after_leaving(room: Room) -> Event:
    room.join_rule("invite")
    room.member(BOB, "leave")
    return membership(room, BOB, "join")


@case(versions(7))
def join_by_knock_rule_invited(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(NONE)
def join_by_knock_rule_having_knocked(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "knock")
    return membership(room, BOB, "join")


@case(versions(8))
def join_restricted_invited(room: Room) -> Event:
    room.join_rule("restricted")
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(versions(8))
def join_restricted_again(room: Room) -> Event:
    room.join_rule("restricted")
    room.member(BOB, "join")
    return membership(room, BOB, "join")


@case(NONE)
def join_restricted_unvouched(room: Room) -> Event:
    room.join_rule("restricted")
    return membership(room, BOB, "join")


@case(versions(8))
def join_restricted_vouched(room: Room) -> Event:
    room.join_rule("restricted")
    return membership(room, BOB, "join", join_authorised_via_users_server=ALICE)


@case(NONE)
def join_restricted_vouched_by_an_outsider(room: Room) -> Event:
    room.join_rule("restricted")
    return membership(room, BOB, "join", join_authorised_via_users_server=CAROL)


@case(NONE)
def join_restricted_vouched_without_power(room: Room) -> Event:
    room.join_rule("restricted")
    room.member(CAROL, "join")
    powers(room, {CAROL: 10}, invite=20)
    return membership(room, BOB, "join", join_authorised_via_users_server=CAROL)


@case(versions(8))
def join_restricted_vouched_with_power(room: Room) -> Event:
    room.join_rule("restricted")
    room.member(CAROL, "join")
    powers(room, {CAROL: 20}, invite=20)
    return membership(room, BOB, "join", join_authorised_via_users_server=CAROL)


@case(NONE)
def join_restricted_although_banned(room: Room) -> Event:
    room.join_rule("restricted")
    room.member(BOB, "ban")
    return membership(room, BOB, "join", join_authorised_via_users_server=ALICE)


@case(versions(1, 7))
def join_public_with_nonsense_for_who_vouches(room: Room) -> Event:
    room.join_rule("public")
    return membership(room, BOB, "join", join_authorised_via_users_server=5)


@case(versions(10))
def join_knock_restricted_invited(room: Room) -> Event:
    room.join_rule("knock_restricted")
    room.member(BOB, "invite")
    return membership(room, BOB, "join")


@case(versions(10))
def join_knock_restricted_vouched(room: Room) -> Event:
    room.join_rule("knock_restricted")
    return membership(room, BOB, "join", join_authorised_via_users_server=ALICE)


@case(NONE)
def join_knock_restricted_unvouched(room: Room) -> Event:
    room.join_rule("knock_restricted")
    return membership(room, BOB, "join")


@pytest.mark.parametrize("version", ALL)
@case.tried()
def test_join(version: str, arrange: Arrange, allowed: list[str]) -> None:
    judge(version, arrange, allowed)
