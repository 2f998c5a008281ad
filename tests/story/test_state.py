"""The state of a room (client-server API, "Getting events for a room", "Sending events to a room")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg, timeline, unique

VERSIONS = ["10", "11", "12"]


def slot(room: str, event_type: str, state_key: str = "") -> str:
    """Where a state event is."""
    return f"/rooms/{seg(room)}/state/{seg(event_type)}/{seg(state_key)}"


def whole(client: Client, room: str) -> dict[tuple[str, str], Json]:
    """The state by type and key."""
    found: Any = client.must("GET", f"/rooms/{seg(room)}/state")
    assert all(event["room_id"] == room for event in found)
    return {(event["type"], event["state_key"]): event for event in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_set_and_get(alice: Client, bob: Client, version: str) -> None:
    """What one sets, others get: its content, or with format=event all of it."""
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room)
    event_id = alice.set_state(room, "m.room.name", {"name": "Kitchen"})
    assert bob.state(room, "m.room.name") == {"name": "Kitchen"}
    assert bob.must("GET", slot(room, "m.room.name"), format="content") == {"name": "Kitchen"}
    event = bob.must("GET", slot(room, "m.room.name"), format="event")
    assert (event["event_id"], event["room_id"], event["state_key"]) == (event_id, room, "")
    assert (event["sender"], event["content"]) == (alice.user_id, {"name": "Kitchen"})
    bob.refused("M_INVALID_PARAM", 400, "GET", slot(room, "m.room.name"), format="picture")


def test_both_forms_of_the_empty_key(alice: Client) -> None:
    """With and without the slash at the end is the same, to set and to get."""
    room = alice.create_room()
    short = slot(room, "m.room.name").removesuffix("/")
    alice.must("PUT", short, {"name": "one"})
    assert alice.must("GET", short + "/") == {"name": "one"}
    alice.must("PUT", short + "/", {"name": "two"})
    assert alice.must("GET", short) == {"name": "two"}
    assert ("m.room.name", "") in whole(alice, room)


def test_the_whole_state(alice: Client, bob: Client) -> None:
    """Each slot once, with what it holds now."""
    room = alice.create_room(name="before", topic="Tea", preset="public_chat")
    bob.join(room)
    alice.set_state(room, "m.room.name", {"name": "after"})
    alice.set_state(room, "a.type", {}, "one")
    alice.set_state(room, "a.type", {}, "two")
    alice.send(room, "no state")
    state = whole(bob, room)
    assert state.keys() == {
        *((f"m.room.{name}", "") for name in (
            "create", "power_levels", "join_rules", "history_visibility", "name", "topic",
        )),
        ("m.room.member", alice.user_id), ("m.room.member", bob.user_id), ("a.type", "one"), ("a.type", "two"),
    }  # fmt: skip
    assert state["m.room.name", ""]["content"] == {"name": "after"}


def test_nothing_there(alice: Client, bob: Client) -> None:
    """A slot that was never filled is not found; a room that one is not in is forbidden."""
    room = alice.create_room()
    alice.refused("M_NOT_FOUND", 404, "GET", slot(room, "m.room.name"))
    alice.refused("M_NOT_FOUND", 404, "GET", slot(room, "m.room.member", bob.user_id))
    alice.refused("M_NOT_FOUND", 404, "GET", slot(room, "m.room.create", "x"))
    for one in (room, "!nowhere:elsewhere.example"):
        bob.refused("M_FORBIDDEN", 403, "GET", slot(one, "m.room.name"))
        bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(one)}/state")
        bob.refused("M_FORBIDDEN", 403, "PUT", slot(one, "m.room.name"), {})


def test_the_same_again_is_no_event(alice: Client, bob: Client) -> None:
    """Setting what is set makes nothing new, as long as it is the same to the letter and by the same user."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bob.join(room)
    content = {"a": 1, "b": [True, {"c": None}]}
    first = alice.set_state(room, "a.type", content)
    alice.sync()
    assert alice.set_state(room, "a.type", {"b": [True, {"c": None}], "a": 1}) == first
    assert "rooms" not in alice.sync()
    others = [
        alice.set_state(room, "a.type", {**content, "a": True}),
        alice.set_state(room, "a.type", content),
        alice.set_state(room, "a.type", {**content, "b": [1, {"c": None}]}),
        alice.set_state(room, "a.type", content, "key"),
        bob.set_state(room, "a.type", content),
    ]
    assert len({first, *others}) == 6
    assert [event["event_id"] for event in timeline(alice.sync(), room)] == others


def test_what_was_before(alice: Client) -> None:
    """A state event that takes another's place says which, and what it held."""
    room = alice.create_room()
    alice.sync()
    first = alice.set_state(room, "m.room.name", {"name": "one"})
    alice.set_state(room, "m.room.name", {"name": "two"})
    one, two = timeline(alice.sync(), room)
    assert "prev_content" not in one["unsigned"]
    assert "replaces_state" not in one["unsigned"]
    assert two["unsigned"]["prev_content"] == {"name": "one"}
    assert two["unsigned"]["replaces_state"] == first


def test_power_over_state(alice: Client, bob: Client) -> None:
    """State needs power: by its type, else by the default; and another's key belongs to them."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"events": {"a.free": 0}})
    bob.join(room)
    bob.set_state(room, "a.free", {})
    bob.set_state(room, "a.free", {}, bob.user_id)
    bob.refused("M_FORBIDDEN", 403, "PUT", slot(room, "m.room.name"), {"name": "x"})
    bob.refused("M_FORBIDDEN", 403, "PUT", slot(room, "a.type"), {})
    bob.refused("M_FORBIDDEN", 403, "PUT", slot(room, "a.free", alice.user_id), {})
    alice.refused("M_FORBIDDEN", 403, "PUT", slot(room, "a.free", bob.user_id), {})
    alice.refused("M_FORBIDDEN", 403, "PUT", slot(room, "a.free", "@nobody"), {})


@pytest.mark.parametrize("version", VERSIONS)
def test_power_levels_change(alice: Client, bob: Client, version: str) -> None:
    """Nobody gives more than they have, or takes from those who have as much."""
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room)
    levels = alice.state(room, "m.room.power_levels")

    def refused(**changes: Any) -> None:
        bob.refused("M_FORBIDDEN", 403, "PUT", slot(room, "m.room.power_levels"), {**levels, **changes})

    refused()
    levels["events"] = {**levels["events"], "m.room.power_levels": 50}
    levels["users"] = {**levels["users"], bob.user_id: 50, "@carol:elsewhere.example": 50}
    alice.set_state(room, "m.room.power_levels", levels)
    refused(users={**levels["users"], bob.user_id: 51})
    refused(users={**levels["users"], "@carol:elsewhere.example": 0})
    refused(users={bob.user_id: 50})
    refused(ban=51)
    refused(events={})
    levels["users"] = {**levels["users"], bob.user_id: 49}
    bob.set_state(room, "m.room.power_levels", levels)
    refused(users={**levels["users"], bob.user_id: 50})


@pytest.mark.parametrize("content", [{"ban": "50"}, {"users": {"@a:b": "7"}}, {"events": {"m.x": 1.5}}, {"kick": None}])
def test_power_levels_are_numbers_in_old_rooms_too(alice: Client, content: Json) -> None:
    """Other servers may send text for numbers there; "servers should take reasonable precautions to prevent users from
    sending" it."""
    room = alice.create_room(room_version="5")
    path = f"/rooms/{seg(room)}/state/m.room.power_levels"
    levels = alice.state(room, "m.room.power_levels")
    alice.refused("M_BAD_JSON", 400, "PUT", path, {**levels, **content})
    alice.set_state(room, "m.room.power_levels", {**levels, "ban": 51})


@pytest.mark.parametrize("content", [{"ban": "50"}, {"users": {"nobody": 1}}, {"events": 5}, {"users": {"@a:b": True}}])
def test_power_levels_must_be_levels(alice: Client, content: Json) -> None:
    """Whole numbers, under user ids."""
    room = alice.create_room()
    answer = alice.ask("PUT", slot(room, "m.room.power_levels"), content)
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")


def test_a_creator_cannot_be_given_a_level(alice: Client, bob: Client) -> None:
    """In version 12 creators stand above the levels; naming one is a mistake, not a lack of power."""
    room = alice.create_room(creation_content={"additional_creators": [bob.user_id]}, preset="public_chat")
    for creator in (alice, bob):
        content = {"users": {creator.user_id: 100}}
        alice.refused("M_INVALID_PARAM", 400, "PUT", slot(room, "m.room.power_levels"), content)
    bob.join(room)
    bob.refused("M_INVALID_PARAM", 400, "PUT", slot(room, "m.room.power_levels"), {"users": {alice.user_id: 0}})


@pytest.mark.parametrize(("version", "status"), [("10", 403), ("11", 403), ("12", 200)])
def test_empty_power_levels(alice: Client, version: str, status: int) -> None:
    """Without users nobody has power any more, except for the creators of version 12."""
    room = alice.create_room(room_version=version)
    alice.set_state(room, "m.room.power_levels", {})
    answer = alice.ask("PUT", slot(room, "m.room.power_levels"), {"users": {}})
    assert answer.status_code == status
    assert alice.state(room, "m.room.power_levels") == ({"users": {}} if status == 200 else {})


def test_everybody_was_powerful(alice: Client) -> None:
    """A default that is as high as one's own level can be lowered."""
    users = {alice.user_id: 100}
    override = {"users_default": 100, "users": users}
    room = alice.create_room(room_version="11", power_level_content_override=override)
    alice.set_state(room, "m.room.power_levels", {"users_default": 40, "users": users})


def test_the_beginning_stays(alice: Client) -> None:
    """There is no second create event, in whatever form."""
    room = alice.create_room()
    content = alice.state(room, "m.room.create")
    for key in ("", "x"):
        alice.refused("M_INVALID_PARAM", 400, "PUT", slot(room, "m.room.create", key), content)


def test_what_state_cannot_be(alice: Client) -> None:
    """Too large, too long, or with numbers that no other server would read."""
    room = alice.create_room()
    alice.refused("M_TOO_LARGE", 413, "PUT", slot(room, "a.type"), {"body": "Dormammu, I've come to bargain. " * 2200})
    alice.refused("M_TOO_LARGE", 413, "PUT", slot(room, "a.type", "k" * 256), {})
    alice.refused("M_BAD_JSON", 400, "PUT", slot(room, "a.type"), {"x": 0.5})
    alice.refused("M_BAD_JSON", 400, "PUT", slot(room, "a.type"), [])
    alice.refused("M_NOT_JSON", 400, "PUT", slot(room, "a.type"))
    alice.must("PUT", slot(room, "a.type", "k" * 255), {})


def test_aliases_must_lead_here(alice: Client) -> None:
    """A canonical alias that is new must exist and lead to this room; one that is known or goes need not."""
    server = alice.user_id.partition(":")[2]
    name, other_name = unique("alias"), unique("alias")
    alias, other = f"#{name}:{server}", f"#{other_name}:{server}"
    room = alice.create_room(room_alias_name=name)
    alice.create_room(room_alias_name=other_name)
    path = slot(room, "m.room.canonical_alias")
    alice.refused("M_BAD_ALIAS", 400, "PUT", path, {"alias": other})
    alice.refused("M_BAD_ALIAS", 400, "PUT", path, {"alias": alias, "alt_aliases": [other]})
    alice.refused("M_BAD_ALIAS", 400, "PUT", path, {"alias": "#nowhere:elsewhere.example"})
    for broken in ("nowhere", "#nowhere", "@a:b", "#:b", 5):
        alice.refused("M_INVALID_PARAM", 400, "PUT", path, {"alias": broken})
        alice.refused("M_INVALID_PARAM", 400, "PUT", path, {"alias": alias, "alt_aliases": [broken]})
    alice.refused("M_INVALID_PARAM", 400, "PUT", path, {"alias": alias, "alt_aliases": "x"})
    alice.must("PUT", path, {"alt_aliases": [alias]})
    alice.must("PUT", path, {"alias": alias, "alt_aliases": [alias]})
    alice.must("PUT", path, {"alias": ""})
    alice.must("PUT", path, {"alias": None})
    alice.must("PUT", path, {})


def test_nobody_keeps_out_their_own_server(alice: Client) -> None:
    """A list of servers that would keep out this one is refused; others are not."""
    room = alice.create_room()
    path = f"/rooms/{seg(room)}/state/m.room.server_acl"
    for content in ({}, {"allow": ["a.example"]}, {"allow": ["*"], "deny": ["hearth.*"]}, {"allow": "*"}):
        alice.refused("M_UNKNOWN", 400, "PUT", path, content)
    alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": False})
    alice.set_state(room, "m.room.server_acl", {}, "not the list")


def test_nobody_says_who_vouches_for_their_join(alice: Client) -> None:
    """Joining again, to change one's name, needs nobody to vouch; what a client says of that is left out."""
    room = alice.create_room(room_version="11")
    for odd in ({"displayname": 5}, {"avatar_url": ["mxc://a/b"]}):
        own = f"/rooms/{seg(room)}/state/m.room.member/{seg(alice.user_id)}"
        alice.refused("M_BAD_JSON", 400, "PUT", own, {"membership": "join", **odd})
    content = {"membership": "join", "displayname": "Al", "join_authorised_via_users_server": "unused"}
    alice.set_state(room, "m.room.member", content, alice.user_id)
    assert alice.member(room) == {"membership": "join", "displayname": "Al"}
