"""Coming and going (client-server API, "Room membership")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg, timeline, unique

VERSIONS = ["10", "11", "12"]


def act(
    client: Client, room: str, verb: str, other: Client | str, status: int = 403, code: str = "M_FORBIDDEN"
) -> None:
    """Something that must not be possible."""
    body = {"user_id": other if isinstance(other, str) else other.user_id}
    client.refused(code, status, "POST", f"/rooms/{seg(room)}/{verb}", body)


def cannot_join(client: Client, room: str, status: int = 403, code: str = "M_FORBIDDEN") -> None:
    """A join that must fail, by both ways."""
    client.refused(code, status, "POST", f"/join/{seg(room)}", {})
    client.refused(code, status, "POST", f"/rooms/{seg(room)}/join", {})


def membership_event(client: Client, room: str, other: Client) -> Json:
    """The whole membership event of somebody."""
    path = f"/rooms/{seg(room)}/state/m.room.member/{seg(other.user_id)}"
    return client.must("GET", path, format="event")


def levels(client: Client, room: str, **changes: Any) -> None:
    """Change the power levels."""
    client.set_state(room, "m.room.power_levels", {**client.state(room, "m.room.power_levels"), **changes})


# Joining ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/join/{}", "/rooms/{}/join"])
def test_joining_a_public_room(alice: Client, bob: Client, path: str) -> None:
    """Both ways lead in, with a reason if there is one."""
    room = alice.create_room(preset="public_chat")
    assert bob.must("POST", path.format(seg(room)), {"reason": "curious"}) == {"room_id": room}
    assert bob.member(room)["membership"] == "join"
    assert bob.member(room)["reason"] == "curious"
    assert room in bob.must("GET", "/joined_rooms")["joined_rooms"]


def test_joining_without_a_body(alice: Client, bob: Client) -> None:
    """Clients that send no body, or one without a type, get in too."""
    room = alice.create_room(preset="public_chat")
    assert bob.raw("POST", f"/rooms/{seg(room)}/join", b"").status_code == 200


def test_joining_by_alias(alice: Client, bob: Client) -> None:
    """An alias leads to its room; one that leads nowhere is not found."""
    name = unique("alias")
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    server = alice.user_id.partition(":")[2]
    assert bob.must("POST", f"/join/{seg(f'#{name}:{server}')}", {}) == {"room_id": room}
    bob.refused("M_NOT_FOUND", 404, "POST", f"/join/{seg(f'#{name}-not:{server}')}", {})


def test_joining_with_more_content(alice: Client, bob: Client) -> None:
    """What else a client says with its join is part of the membership, but cannot change what it means."""
    room = alice.create_room(preset="public_chat")
    bob.must("POST", f"/join/{seg(room)}", {"foo": "bar", "membership": "ban", "third_party_signed": {"a": "b"}})
    content = alice.member(room, bob)
    assert (content["membership"], content["foo"]) == ("join", "bar")
    assert "third_party_signed" not in content


def test_joining_twice_is_one_join(alice: Client, bob: Client) -> None:
    """Who is in is in."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    first = membership_event(bob, room, bob)["event_id"]
    bob.join(room)
    bob.must("POST", f"/rooms/{seg(room)}/join", {"reason": "again"})
    assert membership_event(bob, room, bob)["event_id"] == first


def test_nobody_joins_uninvited(alice: Client, bob: Client) -> None:
    """A private room is for the invited, and what is no room is for nobody."""
    cannot_join(bob, alice.create_room(preset="private_chat"))
    cannot_join(bob, "!nowhere:elsewhere.example", 404, "M_NOT_FOUND")
    cannot_join(bob, "nowhere", 400, "M_INVALID_PARAM")


@pytest.mark.parametrize("rule", ["private", "knock", "unheard-of", 5])
def test_join_rules_that_let_nobody_in(alice: Client, bob: Client, rule: Any) -> None:
    """Only the rules that say so open a room."""
    room = alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": rule}}])
    cannot_join(bob, room)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rule", ["restricted", "knock_restricted"])
def test_members_of_another_room_may_join(alice: Client, bob: Client, version: str, rule: str) -> None:
    """A restricted room takes those who are in one of the rooms that it names, vouched for by one of its own."""
    hall = alice.create_room(preset="public_chat")
    content = {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": hall}]}
    room = alice.create_room(
        room_version=version, initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": content}]
    )
    cannot_join(bob, room)
    bob.join(hall)
    bob.join(room)
    assert bob.member(room)["join_authorised_via_users_server"] == alice.user_id
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Bob"})
    alice.sync_until(lambda sync: alice.member(room, bob).get("displayname") == "Bob")


# Inviting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_an_invitation(alice: Client, bob: Client, version: str) -> None:
    """The invited sees what the room is, from whom the invitation came and why, and may come in."""
    room = alice.create_room(room_version=version, name="Kitchen", topic="Tea")
    alice.must("POST", f"/rooms/{seg(room)}/invite", {"user_id": bob.user_id, "reason": "tea"})
    events = bob.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    offered = {(event["type"], event["state_key"]): event for event in events}
    for slot in ("m.room.create", "m.room.join_rules", "m.room.name", "m.room.topic"):
        assert offered[slot, ""]["content"] == alice.state(room, slot)
    own = offered["m.room.member", bob.user_id]
    assert (own["sender"], own["content"]["reason"]) == (alice.user_id, "tea")
    assert offered["m.room.member", alice.user_id]["content"]["membership"] == "join"
    assert all(event.keys() == {"type", "state_key", "sender", "content"} for event in events)
    bob.join(room)
    assert bob.sync()["rooms"].keys() == {"join"}


def test_a_direct_invitation_that_was_taken(alice: Client, bob: Client) -> None:
    """The join still says who invited, and that it was for a direct chat: by that Element lists a room under people."""
    room = alice.create_room(is_direct=True, invite=[bob.user_id], preset="trusted_private_chat")
    bob.join(room)
    joined = next(event for event in reversed(timeline(bob.sync(), room)) if event.get("state_key") == bob.user_id)
    assert joined["unsigned"]["prev_content"]["is_direct"] is True
    assert joined["unsigned"]["prev_sender"] == alice.user_id
    # The same where the present state is answered from ready-made bytes.
    state = alice.ask("GET", f"/rooms/{seg(room)}/state").json()
    assert [event["unsigned"].get("prev_sender") for event in state if event["state_key"] == bob.user_id] == [
        alice.user_id
    ]


def test_who_cannot_be_invited(alice: Client, bob: Client, carol: Client) -> None:
    """Neither oneself, nor who is in already, is banned, or does not exist."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    act(alice, room, "invite", alice)
    act(alice, room, "invite", bob)
    alice.ban(room, carol)
    act(alice, room, "invite", carol)
    act(alice, room, "invite", "@nobody-at-all:" + alice.user_id.partition(":")[2], 404, "M_NOT_FOUND")
    act(alice, room, "invite", "nobody", 400, "M_INVALID_PARAM")
    alice.refused("M_MISSING_PARAM", 400, "POST", f"/rooms/{seg(room)}/invite", {})
    alice.refused("M_BAD_JSON", 400, "POST", f"/rooms/{seg(room)}/invite", {"user_id": 5})


def test_who_cannot_invite(alice: Client, bob: Client, carol: Client) -> None:
    """Strangers, invited ones, those who left, and members without the power for it."""
    room = alice.create_room(preset="private_chat")
    act(bob, room, "invite", carol)
    act(bob, room, "invite", bob)
    alice.invite(room, bob)
    act(bob, room, "invite", carol)
    bob.join(room)
    levels(alice, room, invite=50)
    act(bob, room, "invite", carol)
    levels(alice, room, invite=0)
    bob.leave(room)
    act(bob, room, "invite", carol)
    act(bob, "!nowhere:elsewhere.example", "invite", carol)


def test_an_invitation_twice(alice: Client, bob: Client) -> None:
    """Whoever is invited may be invited again."""
    room = alice.create_room()
    alice.invite(room, bob)
    alice.invite(room, bob)
    bob.join(room)


def test_an_invitation_is_refused(alice: Client, bob: Client) -> None:
    """Leaving refuses it; then there is no way in any more."""
    room = alice.create_room()
    alice.invite(room, bob)
    assert room in bob.sync()["rooms"]["invite"]
    alice.sync()
    bob.must("POST", f"/rooms/{seg(room)}/leave", {"reason": "no tea"})
    left = bob.sync()["rooms"]
    assert left.keys() == {"leave"}
    assert [event["content"]["membership"] for event in left["leave"][room]["timeline"]["events"]] == ["leave"]
    assert timeline(alice.sync(), room)[0]["content"] == {"membership": "leave", "reason": "no tea"}
    cannot_join(bob, room)


def test_an_invitation_outlives_its_sender(alice: Client, bob: Client) -> None:
    """An invitation to a room that everybody left can still be refused."""
    room = alice.create_room()
    alice.invite(room, bob)
    bob.sync()
    alice.leave(room)
    bob.leave(room)
    assert room in bob.sync()["rooms"]["leave"]
    assert "rooms" not in bob.sync()


def test_an_invitation_is_taken_back(alice: Client, bob: Client) -> None:
    """Kicking somebody who is invited ends the invitation."""
    room = alice.create_room()
    alice.invite(room, bob)
    bob.sync()
    alice.kick(room, bob)
    assert bob.sync()["rooms"].keys() == {"leave"}
    cannot_join(bob, room)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_creator_who_left_is_invited_back(alice: Client, bob: Client, version: str) -> None:
    """Who made the room comes back like anybody else."""
    room = alice.create_room(room_version=version, invite=[bob.user_id])
    bob.join(room)
    users = {bob.user_id: 100, **({} if version == "12" else {alice.user_id: 100})}
    levels(alice, room, users=users, invite=100)
    alice.sync()
    alice.leave(room)
    cannot_join(alice, room)
    bob.invite(room, alice)
    assert alice.sync()["rooms"].keys() == {"invite"}
    alice.join(room)
    assert alice.sync()["rooms"].keys() == {"join"}


# Leaving ----------------------------------------------------------------------------------------------------------


def test_leaving(alice: Client, bob: Client) -> None:
    """Others see it with its reason; leaving once more changes nothing."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    bob.must("POST", f"/rooms/{seg(room)}/leave", {"reason": "sleep"})
    assert alice.member(room, bob) == {"membership": "leave", "reason": "sleep"}
    bob.leave(room)
    assert len(timeline(alice.sync(), room)) == 1
    assert bob.must("GET", "/joined_rooms") == {"joined_rooms": []}


def test_nobody_leaves_where_they_never_were(alice: Client, bob: Client) -> None:
    """Neither a stranger nor somebody banned can leave."""
    room = alice.create_room(preset="public_chat")
    bob.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(room)}/leave", {})
    bob.refused("M_FORBIDDEN", 403, "POST", "/rooms/!nowhere:elsewhere.example/leave", {})
    alice.ban(room, bob)
    bob.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(room)}/leave", {})


# Kicking, banning -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_kicking(alice: Client, bob: Client, version: str) -> None:
    """The kicked is out with a reason, and may come back to a public room."""
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room)
    alice.kick(room, bob, reason="noise")
    event = membership_event(alice, room, bob)
    assert (event["sender"], event["content"]) == (alice.user_id, {"membership": "leave", "reason": "noise"})
    bob.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/{seg(room)}/send/m.room.message/{unique('t')}", {})
    bob.join(room)


def test_who_cannot_kick(alice: Client, bob: Client, carol: Client) -> None:
    """Members without power, strangers, and nobody those who are not there."""
    room = alice.create_room(preset="public_chat")
    act(alice, room, "kick", bob)
    act(carol, room, "kick", alice)
    bob.join(room)
    carol.join(room)
    act(bob, room, "kick", carol)
    bob.leave(room)
    act(alice, room, "kick", bob)
    alice.ban(room, bob)
    act(alice, room, "kick", bob)
    alice.refused("M_MISSING_PARAM", 400, "POST", f"/rooms/{seg(room)}/kick", {})


@pytest.mark.parametrize("version", ["10", "11"])
def test_equals_cannot_remove_each_other(alice: Client, bob: Client, version: str) -> None:
    """Two with the same power are safe from each other."""
    room = alice.create_room(room_version=version, preset="trusted_private_chat", invite=[bob.user_id])
    bob.join(room)
    for verb in ("kick", "ban"):
        act(alice, room, verb, bob)
        act(bob, room, verb, alice)


@pytest.mark.parametrize("level", [100, 949342, 2**53 - 1])
def test_a_creator_stands_above_every_level(alice: Client, bob: Client, level: int) -> None:
    """In version 12 no level reaches that of a creator."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    levels(alice, room, users={bob.user_id: level})
    act(bob, room, "kick", alice)
    act(bob, room, "ban", alice)
    alice.kick(room, bob)


def test_creators_cannot_remove_each_other(alice: Client, bob: Client) -> None:
    """Additional creators of version 12 have the same power as the first."""
    room = alice.create_room(preset="public_chat", creation_content={"additional_creators": [bob.user_id]})
    bob.join(room)
    act(alice, room, "kick", bob)
    act(bob, room, "ban", alice)
    bob.set_state(room, "m.room.name", {"name": "Bob's"})


@pytest.mark.parametrize("version", VERSIONS)
def test_banning(alice: Client, bob: Client, version: str) -> None:
    """A ban removes, keeps out, and ends only by being lifted."""
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room)
    alice.ban(room, bob, reason="spam")
    assert alice.member(room, bob) == {"membership": "ban", "reason": "spam"}
    cannot_join(bob, room)
    act(alice, room, "invite", bob)
    act(alice, room, "kick", bob)
    alice.unban(room, bob, reason="sorry")
    assert alice.member(room, bob) == {"membership": "leave", "reason": "sorry"}
    bob.join(room)


def test_banning_somebody_who_is_not_there(alice: Client, bob: Client) -> None:
    """A ban may come before the visit, and for users of other servers."""
    room = alice.create_room(preset="public_chat")
    alice.ban(room, bob)
    cannot_join(bob, room)
    alice.must("POST", f"/rooms/{seg(room)}/ban", {"user_id": "@spam:elsewhere.example"})
    alice.must("POST", f"/rooms/{seg(room)}/unban", {"user_id": "@spam:elsewhere.example"})


def test_who_cannot_ban_or_unban(alice: Client, bob: Client, carol: Client) -> None:
    """Only those with the power who are in the room, and only bans can be lifted."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    act(bob, room, "ban", alice)
    act(alice, room, "unban", bob)
    act(alice, room, "unban", carol)
    levels(alice, room, users={carol.user_id: 90})
    act(carol, room, "ban", bob)
    alice.ban(room, carol)
    act(bob, room, "unban", carol)
    act(alice, room, "ban", "nobody", 403)


# By the state endpoint --------------------------------------------------------------------------------------------


def test_memberships_by_state(alice: Client, bob: Client, carol: Client) -> None:
    """The state endpoint does what the endpoints with names do, and refuses what they refuse."""
    room = alice.create_room(preset="public_chat")
    bob.set_state(room, "m.room.member", {"membership": "join"}, bob.user_id)
    alice.set_state(room, "m.room.member", {"membership": "leave"}, bob.user_id)
    alice.set_state(room, "m.room.member", {"membership": "invite"}, bob.user_id)
    alice.set_state(room, "m.room.member", {"membership": "ban", "reason": "x"}, bob.user_id)
    alice.set_state(room, "m.room.member", {"membership": "leave"}, bob.user_id)
    bob.join(room)
    bob.set_state(room, "m.room.member", {"membership": "leave"}, bob.user_id)

    def refused(who: Client, membership: Any, whom: str, status: int = 403, code: str = "M_FORBIDDEN") -> None:
        path = f"/rooms/{seg(room)}/state/m.room.member/{seg(whom)}"
        who.refused(code, status, "PUT", path, {"membership": membership})

    refused(alice, "join", carol.user_id)
    refused(alice, "leave", carol.user_id)
    refused(alice, "leave", bob.user_id)
    refused(alice, "unheard-of", alice.user_id)
    refused(alice, 5, alice.user_id)
    refused(carol, "invite", carol.user_id)
    refused(alice, "invite", "@nobody-at-all:" + alice.user_id.partition(":")[2], 404, "M_NOT_FOUND")
    refused(alice, "invite", "nobody", 400, "M_INVALID_PARAM")
    refused(alice, "ban", "nobody")
    refused(bob, "leave", alice.user_id)


def test_a_name_for_one_room(alice: Client) -> None:
    """Who is in may change how they are called there."""
    room = alice.create_room()
    alice.set_state(room, "m.room.member", {"membership": "join", "displayname": "Cook"}, alice.user_id)
    assert alice.must("GET", f"/rooms/{seg(room)}/joined_members") == {
        "joined": {alice.user_id: {"display_name": "Cook"}}
    }


def test_a_room_that_everybody_left_can_be_joined_again(alice: Client, bob: Client) -> None:
    """Nobody else can have done anything in it since, so nobody else need be asked."""
    room = alice.create_room(preset="public_chat")
    alice.leave(room)
    bob.join(room)
    alice.join(room)
    assert alice.member(room, bob)["membership"] == "join"
