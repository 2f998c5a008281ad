"""The rules for invites, leaving, kicks, bans and knocks: allowed in the versions named, refused in the others."""

import pytest

from appliance.protocol.events import Event
from tests.protocol.member_cases import ALL, NONE, Arrange, Cases, judge, membership, powers
from tests.protocol.room import ALICE, BOB, DAVE, Room, versions

case = Cases()

# ---- invite


@case(ALL)
def invite(room: Room) -> Event:
    return membership(room, BOB, "invite", sender=ALICE)


@case(ALL)
def invite_after_leaving(room: Room) -> Event:
    room.member(BOB, "leave")
    return membership(room, BOB, "invite", sender=ALICE)


@case(ALL)
def invite_again(room: Room) -> Event:
    room.member(BOB, "invite")
    return membership(room, BOB, "invite", sender=ALICE)


@case(ALL)
def invite_one_who_knocked(room: Room) -> Event:
    room.member(BOB, "knock")
    return membership(room, BOB, "invite", sender=ALICE)


@case(NONE)
def invite_from_outside(room: Room) -> Event:
    return membership(room, DAVE, "invite", sender=BOB)


@case(NONE)
def invite_a_member(room: Room) -> Event:
    room.member(BOB, "join")
    return membership(room, BOB, "invite", sender=ALICE)


@case(NONE)
def invite_a_banned_user(room: Room) -> Event:
    room.member(BOB, "ban")
    return membership(room, BOB, "invite", sender=ALICE)


@case(NONE)
def invite_without_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 49}, invite=50)
    return membership(room, DAVE, "invite", sender=BOB)


@case(ALL)
def invite_with_just_enough_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 50}, invite=50)
    return membership(room, DAVE, "invite", sender=BOB)


# ---- leave and kick


@case(ALL)
def leave(room: Room) -> Event:
    room.member(BOB, "join")
    return membership(room, BOB, "leave")


@case(ALL)
def decline_an_invite(room: Room) -> Event:
    room.member(BOB, "invite")
    return membership(room, BOB, "leave")


@case(versions(7))
def take_back_a_knock(room: Room) -> Event:
    room.member(BOB, "knock")
    return membership(room, BOB, "leave")


@case(NONE)
def leave_twice(room: Room) -> Event:
    room.member(BOB, "leave")
    return membership(room, BOB, "leave")


@case(NONE)
def leave_without_having_been_there(room: Room) -> Event:
    return membership(room, BOB, "leave")


@case(NONE)
def leave_out_of_a_ban(room: Room) -> Event:
    room.member(BOB, "ban")
    return membership(room, BOB, "leave")


@case(ALL)
def kick(room: Room) -> Event:
    room.member(BOB, "join")
    return membership(room, BOB, "leave", sender=ALICE)


@case(ALL)
def kick_one_who_is_gone(room: Room) -> Event:
    room.member(BOB, "leave")
    return membership(room, BOB, "leave", sender=ALICE)


@case(NONE)
def kick_from_outside(room: Room) -> Event:
    powers(room, {BOB: 100})
    return membership(room, ALICE, "leave", sender=BOB)


@case(NONE)
def kick_an_equal(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "join")
    powers(room, {BOB: 50, DAVE: 50})
    return membership(room, DAVE, "leave", sender=BOB)


@case(NONE)
def kick_without_power(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "join")
    powers(room, {BOB: 49})
    return membership(room, DAVE, "leave", sender=BOB)


@case(ALL)
def kick_with_just_enough_power(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "join")
    powers(room, {BOB: 50, DAVE: 49})
    return membership(room, DAVE, "leave", sender=BOB)


@case(versions(1, 11))
def kick_the_creator_by_greater_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 101})
    return membership(room, ALICE, "leave", sender=BOB)


@case(versions(1, 11))
def kick_among_those_named_as_additional_creators(room: Room) -> Event:
    """To version 12 they are equals without limit; to older ones the words mean nothing."""
    room.begin({"additional_creators": [BOB]})
    room.member(BOB, "join")
    return membership(room, BOB, "leave", sender=ALICE)


@case(ALL)
def unban(room: Room) -> Event:
    room.member(BOB, "ban")
    return membership(room, BOB, "leave", sender=ALICE)


@case(ALL)
def unban_with_just_enough_power(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "ban")
    powers(room, {BOB: 50}, ban=50, kick=50)
    return membership(room, DAVE, "leave", sender=BOB)


@case(NONE)
def unban_without_the_power_to_ban(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "ban")
    powers(room, {BOB: 50}, ban=60, kick=40)
    return membership(room, DAVE, "leave", sender=BOB)


@case(NONE)
def unban_without_the_power_to_kick(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "ban")
    powers(room, {BOB: 50}, ban=40, kick=60)
    return membership(room, DAVE, "leave", sender=BOB)


@case(NONE)
def unban_an_equal(room: Room) -> Event:
    room.member(BOB, "join")
    room.member(DAVE, "ban")
    powers(room, {BOB: 50, DAVE: 50})
    return membership(room, DAVE, "leave", sender=BOB)


# ---- ban


@case(ALL)
def ban(room: Room) -> Event:
    room.member(BOB, "join")
    return membership(room, BOB, "ban", sender=ALICE)


@case(ALL)
def ban_in_advance(room: Room) -> Event:
    return membership(room, BOB, "ban", sender=ALICE)


@case(NONE)
def ban_from_outside(room: Room) -> Event:
    powers(room, {BOB: 100})
    return membership(room, DAVE, "ban", sender=BOB)


@case(ALL)
def ban_with_just_enough_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 50, DAVE: 49}, ban=50)
    return membership(room, DAVE, "ban", sender=BOB)


@case(NONE)
def ban_without_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 50}, ban=51)
    return membership(room, DAVE, "ban", sender=BOB)


@case(NONE)
def ban_an_equal(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 50, DAVE: 50})
    return membership(room, DAVE, "ban", sender=BOB)


@case(NONE)
def ban_oneself(room: Room) -> Event:
    return membership(room, ALICE, "ban")


@case(versions(1, 11))
def ban_the_creator_by_greater_power(room: Room) -> Event:
    room.member(BOB, "join")
    powers(room, {BOB: 101})
    return membership(room, ALICE, "ban", sender=BOB)


# ---- knock


@case(versions(7))
def knock(room: Room) -> Event:
    room.join_rule("knock")
    return membership(room, BOB, "knock")


@case(versions(7))
def knock_again(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "knock")
    return membership(room, BOB, "knock")


@case(versions(7))
def knock_after_leaving(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "leave")
    return membership(room, BOB, "knock")


@case(versions(10))
def knock_on_a_knock_restricted_room(room: Room) -> Event:
    room.join_rule("knock_restricted")
    return membership(room, BOB, "knock")


@case(NONE)
def knock_on_a_restricted_room(room: Room) -> Event:
    room.join_rule("restricted")
    return membership(room, BOB, "knock")


@case(NONE)
def knock_on_a_public_room(room: Room) -> Event:
    room.join_rule("public")
    return membership(room, BOB, "knock")


@case(NONE)
def knock_for_another(room: Room) -> Event:
    room.join_rule("knock")
    return membership(room, BOB, "knock", sender=ALICE)


@case(NONE)
def knock_while_banned(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "ban")
    return membership(room, BOB, "knock")


@case(NONE)
def knock_while_invited(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "invite")
    return membership(room, BOB, "knock")


@case(NONE)
def knock_while_joined(room: Room) -> Event:
    room.join_rule("knock")
    room.member(BOB, "join")
    return membership(room, BOB, "knock")


@pytest.mark.parametrize("version", ALL)
@case.tried()
def test_membership(version: str, arrange: Arrange, allowed: list[str]) -> None:
    judge(version, arrange, allowed)
