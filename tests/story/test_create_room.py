"""Making rooms (client-server API, "Creation")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg, state_of, timeline, unique

VERSIONS = ["10", "11", "12"]
LONG = '{"room":{"timeline":{"limit":100}}}'


def events_of(client: Client, room: str) -> list[Json]:
    """All of a new room, in order."""
    return timeline(client.sync(filter=LONG), room)


def refused(client: Client, errcode: str, **wanted: Any) -> None:
    """A room that cannot be."""
    client.refused(errcode, 400, "POST", "/createRoom", wanted)


@pytest.mark.parametrize("version", VERSIONS)
def test_first_events_come_in_order(alice: Client, bob: Client, version: str) -> None:
    """The events of a new room have the order that the specification gives them."""
    room = alice.create_room(
        room_version=version,
        room_alias_name=unique("alias"),
        name="Kitchen",
        topic="Tea",
        initial_state=[{"type": "a.first", "content": {}}, {"type": "b.second", "state_key": "x", "content": {}}],
        invite=[bob.user_id],
    )
    events = events_of(alice, room)
    assert [event["type"].removeprefix("m.room.") for event in events] == [
        "create", "member", "power_levels", "canonical_alias", "join_rules", "history_visibility", "guest_access",
        "a.first", "b.second", "name", "topic", "member",
    ]  # fmt: skip
    assert [events[1]["state_key"], events[-1]["state_key"]] == [alice.user_id, bob.user_id]
    assert all(event["sender"] == alice.user_id for event in events)


@pytest.mark.parametrize(
    ("preset", "join_rule", "guests"),
    [
        ("private_chat", "invite", "can_join"),
        ("trusted_private_chat", "invite", "can_join"),
        ("public_chat", "public", "forbidden"),
    ],
)
def test_presets(alice: Client, preset: str, join_rule: str, guests: str) -> None:
    """A preset says who may join, who sees the history, and whether guests may come."""
    room = alice.create_room(preset=preset)
    assert alice.state(room, "m.room.join_rules") == {"join_rule": join_rule}
    assert alice.state(room, "m.room.history_visibility") == {"history_visibility": "shared"}
    path = f"/rooms/{seg(room)}/state/m.room.guest_access/"
    if guests == "forbidden":  # which is so where nothing is said
        alice.refused("M_NOT_FOUND", 404, "GET", path)
    else:
        assert alice.must("GET", path) == {"guest_access": guests}


@pytest.mark.parametrize(("visibility", "join_rule"), [("public", "public"), ("private", "invite"), (None, "invite")])
def test_visibility_chooses_the_preset(alice: Client, visibility: str | None, join_rule: str) -> None:
    """Without a preset the visibility decides."""
    room = alice.create_room(**({"visibility": visibility} if visibility else {}))
    assert alice.state(room, "m.room.join_rules")["join_rule"] == join_rule


@pytest.mark.parametrize("version", VERSIONS)
def test_identity_of_a_room(alice: Client, version: str) -> None:
    """From version 12 on a room's id is that of its create event, and the creator is the sender alone from 11 on."""
    room = alice.create_room(room_version=version)
    create = events_of(alice, room)[0]
    assert create["content"]["room_version"] == version
    assert create["content"].get("creator") == (alice.user_id if version == "10" else None)
    if version == "12":
        assert room == "!" + create["event_id"].removeprefix("$")
    else:
        assert room.endswith(":" + alice.user_id.partition(":")[2])


def test_default_version_is_12(alice: Client) -> None:
    """Nobody needs to name a version."""
    assert alice.state(alice.create_room(), "m.room.create")["room_version"] == "12"


@pytest.mark.parametrize("version", VERSIONS)
def test_creation_content_is_kept_but_cannot_lie(alice: Client, version: str) -> None:
    """Further keys end in the create event; version and creator are the server's to say."""
    given = {"m.federate": False, "type": "m.space", "room_version": "test", "creator": "@mallory:elsewhere"}
    content = alice.state(alice.create_room(room_version=version, creation_content=given), "m.room.create")
    assert (content["m.federate"], content["type"], content["room_version"]) == (False, "m.space", version)
    assert content.get("creator") in (None, alice.user_id)


@pytest.mark.parametrize("version", VERSIONS)
def test_first_power_levels(alice: Client, version: str) -> None:
    """The creator stands above all: by a level up to version 11, by being the creator from 12 on."""
    levels = alice.state(alice.create_room(room_version=version), "m.room.power_levels")
    assert levels["users"] == ({} if version == "12" else {alice.user_id: 100})
    assert levels["events"]["m.room.tombstone"] == (150 if version == "12" else 100)
    names = ("ban", "kick", "redact", "state_default", "invite", "events_default", "users_default")
    assert [levels[name] for name in names] == [50, 50, 50, 50, 0, 0, 0]


@pytest.mark.parametrize("version", VERSIONS)
def test_power_levels_can_be_overridden(alice: Client, bob: Client, version: str) -> None:
    """What is overridden is taken as it is, what is not stays."""
    users = {bob.user_id: 100, **({} if version == "12" else {alice.user_id: 100})}
    room = alice.create_room(room_version=version, power_level_content_override={"users": users, "invite": 7})
    levels = alice.state(room, "m.room.power_levels")
    assert (levels["users"], levels["invite"], levels["kick"]) == (users, 7, 50)


@pytest.mark.parametrize("version", ["5", "12"])
@pytest.mark.parametrize(
    "override", [{"ban": "50"}, {"users": {"@x:y": True}}, {"users": {"nobody": 1}}, {"events": []}]
)
def test_power_levels_must_make_sense(alice: Client, override: Json, version: str) -> None:
    """A room whose power levels the rules refuse is not made, nor one with text for numbers, which old ones take."""
    refused(alice, "M_INVALID_ROOM_STATE", room_version=version, power_level_content_override=override)


def test_a_creator_has_no_level_in_version_12(alice: Client) -> None:
    """A creator cannot be named among the users of the power levels."""
    refused(alice, "M_INVALID_ROOM_STATE", power_level_content_override={"users": {alice.user_id: 100}})


@pytest.mark.parametrize("version", ["10", "11"])
def test_a_creator_without_power_cannot_make_the_rest(alice: Client, version: str) -> None:
    """The state that is asked for must be allowed by the power levels that are asked for."""
    override = {"users": {alice.user_id: 10}}
    refused(alice, "M_INVALID_ROOM_STATE", room_version=version, name="x", power_level_content_override=override)


@pytest.mark.parametrize("version", VERSIONS)
def test_trusted_invitees_are_equals(alice: Client, bob: Client, version: str) -> None:
    """In a trusted private chat the invited have the creator's power."""
    room = alice.create_room(room_version=version, preset="trusted_private_chat", invite=[bob.user_id, bob.user_id])
    if version == "12":
        assert alice.state(room, "m.room.create")["additional_creators"] == [bob.user_id]
        assert alice.state(room, "m.room.power_levels")["users"] == {}
    else:
        assert alice.state(room, "m.room.power_levels")["users"] == {alice.user_id: 100, bob.user_id: 100}
    bob.join(room)
    bob.set_state(room, "m.room.name", {"name": "ours"})
    alice.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(room)}/kick", {"user_id": bob.user_id})


def test_additional_creators_and_invitees_are_joined(alice: Client, bob: Client) -> None:
    """Creators named in the content and those who are trusted by invitation are one list."""
    given = {"additional_creators": ["@carol:example.com", bob.user_id]}
    room = alice.create_room(preset="trusted_private_chat", invite=[bob.user_id], creation_content=given)
    assert alice.state(room, "m.room.create")["additional_creators"] == ["@carol:example.com", bob.user_id]


@pytest.mark.parametrize("creators", ["@a:b.c", ["@a:b.c", 42], ["@a:b.c", "nobody"], ["@a:b$c"], [None]])
def test_additional_creators_must_be_user_ids(alice: Client, creators: Any) -> None:
    """Anything else is refused before there is a room."""
    refused(alice, "M_BAD_JSON", creation_content={"additional_creators": creators})


def test_initial_state_wins_over_the_preset(alice: Client) -> None:
    """A preset gives way to what is said in full, and that to the name and the topic."""
    room = alice.create_room(
        preset="private_chat",
        name="by name",
        initial_state=[
            {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}},
            {"type": "m.room.name", "content": {"name": "by state"}},
            {"type": "m.room.topic", "content": {"topic": "by state"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
        ],
    )
    assert alice.state(room, "m.room.join_rules") == {"join_rule": "public"}
    assert alice.state(room, "m.room.history_visibility") == {"history_visibility": "joined"}
    assert alice.state(room, "m.room.name") == {"name": "by name"}
    assert alice.state(room, "m.room.topic") == {"topic": "by state"}


def test_power_levels_of_the_initial_state(alice: Client) -> None:
    """Power levels given in full are the room's first."""
    given = {"type": "m.room.power_levels", "state_key": "", "content": {"users": {}, "kick": 33}}
    room = alice.create_room(initial_state=[given])
    assert alice.state(room, "m.room.power_levels") == {"users": {}, "kick": 33}


@pytest.mark.parametrize(
    "entry",
    [{"type": "m.room.name"}, {"content": {}}, {"type": 1, "content": {}}, {"type": "x", "content": []}, "x", {}],
)
def test_initial_state_needs_type_and_content(alice: Client, entry: Any) -> None:
    """An entry without them is a mistake of the client's."""
    answer = alice.ask("POST", "/createRoom", {"initial_state": [entry]})
    assert answer.status_code == 400
    assert answer.json()["errcode"] in ("M_BAD_JSON", "M_MISSING_PARAM")


@pytest.mark.parametrize("event_type", ["m.room.create", "m.room.member"])
def test_initial_state_is_not_for_what_the_server_makes(alice: Client, event_type: str) -> None:
    """Neither a second beginning nor somebody's membership can be smuggled in."""
    entry = {"type": event_type, "state_key": alice.user_id, "content": {"membership": "join"}}
    refused(alice, "M_INVALID_PARAM", initial_state=[entry])


def test_topic_is_rich_too(alice: Client) -> None:
    """A topic is written in both of its forms."""
    content = alice.state(alice.create_room(topic="Tea"), "m.room.topic")
    assert content["topic"] == "Tea"
    assert content["m.topic"]["m.text"][0]["body"] == "Tea"
    assert content["m.topic"]["m.text"][0].get("mimetype", "text/plain") == "text/plain"


@pytest.mark.parametrize(
    ("wanted", "errcode"),
    [
        ({"room_version": 1}, "M_BAD_JSON"),
        ({"room_version": "ahfgwjyerhgiuveisbruvybseyrugvi"}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": ""}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"visibility": "secret"}, "M_BAD_JSON"),
        ({"preset": "party"}, "M_BAD_JSON"),
        ({"name": 5}, "M_BAD_JSON"),
        ({"invite": "@a:b"}, "M_BAD_JSON"),
        ({"invite": ["nobody"]}, "M_INVALID_PARAM"),
        ({"room_alias_name": "a:b"}, "M_INVALID_PARAM"),
        ({"room_alias_name": ""}, "M_INVALID_PARAM"),
        ({"room_alias_name": "a" * 300}, "M_INVALID_PARAM"),
        ({"creation_content": []}, "M_BAD_JSON"),
        ({"name": "x" * 70_000}, "M_TOO_LARGE"),
        ({"creation_content": {"x": 1.5}}, "M_BAD_JSON"),
        ({"initial_state": [{"type": "x", "content": {"x": 2**60}}]}, "M_BAD_JSON"),
    ],
)
def test_wrong_wishes(alice: Client, wanted: Json, errcode: str) -> None:
    """What cannot be is refused with the code that says why, and leaves nothing behind."""
    alice.refused(errcode, 413 if errcode == "M_TOO_LARGE" else 400, "POST", "/createRoom", wanted)
    assert alice.must("GET", "/joined_rooms") == {"joined_rooms": []}


def test_invited_at_once(alice: Client, bob: Client) -> None:
    """Whoever is invited with the creation is told so, and told that it is a direct chat."""
    room = alice.create_room(invite=[bob.user_id, alice.user_id], is_direct=True, name="Us")
    offered = bob.sync()["rooms"]["invite"][room]["invite_state"]["events"]
    assert offered[-1]["content"]["membership"] == "invite"
    assert offered[-1]["content"]["is_direct"] is True
    assert alice.member(room, bob)["is_direct"] is True
    assert "is_direct" not in alice.member(room)


def test_inviting_somebody_who_is_not_there(alice: Client) -> None:
    """An invitation to nobody makes no room."""
    nobody = "@nobody-at-all:" + alice.user_id.partition(":")[2]
    alice.refused("M_NOT_FOUND", 404, "POST", "/createRoom", {"invite": [nobody]})
    third = {"id_server": "id.example", "id_access_token": "x", "medium": "email", "address": "a@b.c"}
    alice.refused("M_FORBIDDEN", 403, "POST", "/createRoom", {"invite_3pid": [third]})
    assert alice.must("GET", "/joined_rooms") == {"joined_rooms": []}


def test_an_alias_belongs_to_one_room(alice: Client, bob: Client) -> None:
    """The alias leads to the room, is its canonical one, and cannot be given twice."""
    name = unique("alias")
    alias = f"#{name}:{alice.user_id.partition(':')[2]}"
    room = alice.create_room(room_alias_name=name, preset="public_chat")
    assert alice.state(room, "m.room.canonical_alias") == {"alias": alias}
    refused(bob, "M_ROOM_IN_USE", room_alias_name=name)
    assert bob.must("POST", f"/join/{seg(alias)}", {}) == {"room_id": room}


def test_a_failed_creation_leaves_its_alias_free(alice: Client) -> None:
    """A room that came to nothing holds no alias."""
    name = unique("alias")
    refused(alice, "M_INVALID_ROOM_STATE", room_alias_name=name, power_level_content_override={"ban": "x"})
    alice.create_room(room_alias_name=name)


def test_a_new_room_is_in_the_next_sync(alice: Client) -> None:
    """A client that follows its tokens is told of the room as a whole."""
    alice.sync()
    room = alice.create_room(name="Kitchen")
    answer = alice.sync()
    held = {**state_of(answer, room), **{(one["type"], one["state_key"]): one for one in timeline(answer, room)}}
    assert held["m.room.name", ""]["content"] == {"name": "Kitchen"}
    assert ("m.room.create", "") in held
    assert "rooms" not in alice.sync()


def test_unnamed_is_not_an_empty_name(alice: Client) -> None:
    """Without name and topic there are no such events."""
    room = alice.create_room()
    for event_type in ("m.room.name", "m.room.topic", "m.room.canonical_alias"):
        alice.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/state/{event_type}/")


def test_a_room_is_not_made_of_everything(alice: Client) -> None:
    """All events of a new room are made at once, so there may be so many of them and no more."""
    entries = [{"type": f"type.{number}", "content": {}} for number in range(201)]
    refused(alice, "M_BAD_JSON", initial_state=entries)
    room = alice.create_room(initial_state=entries[:200])
    assert alice.state(room, "type.199") == {}
