"""A room is replaced by one of another version."""

import pytest

from tests.support.client import Client, seg, timeline


def upgrade(who: Client, room: str, version: str, **more: object) -> str:
    """Upgrade a room and give the new one."""
    answer = who.must("POST", f"/rooms/{seg(room)}/upgrade", {"new_version": version, **more})
    return str(answer["replacement_room"])


@pytest.mark.parametrize(("old_version", "new_version"), [("10", "11"), ("11", "12"), ("12", "12"), ("12", "11")])
def test_a_room_is_replaced(alice: Client, bob: Client, old_version: str, new_version: str) -> None:
    """The old room points to the new one and the new one back; names, rules and bans come along."""
    old = alice.create_room(preset="public_chat", name="Kitchen", topic="Tea", room_version=old_version)
    bob.join(old)
    stranger = Client.register(alice.url)
    alice.must("POST", f"/rooms/{seg(old)}/ban", {"user_id": stranger.user_id})
    bob.sync()
    new = upgrade(alice, old, new_version)
    seen = bob.sync_until(lambda sync: any(event["type"] == "m.room.tombstone" for event in timeline(sync, old)))
    tombstone = next(event for event in timeline(seen, old) if event["type"] == "m.room.tombstone")
    assert tombstone["content"]["replacement_room"] == new
    create = alice.state(new, "m.room.create")
    assert create["room_version"] == new_version
    assert create["predecessor"]["room_id"] == old
    if new_version == "11":
        assert create["predecessor"]["event_id"] == tombstone["event_id"]
    bob.join(new)
    assert alice.state(new, "m.room.name") == {"name": "Kitchen"}
    assert alice.state(new, "m.room.topic")["topic"] == "Tea"
    assert alice.state(new, "m.room.join_rules") == {"join_rule": "public"}
    stranger.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(new)}", {})
    bob.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/{seg(old)}/send/m.room.message/1", {"body": "still here?"})
    bob.send(new, "Here!")


def test_power_comes_along(alice: Client, bob: Client) -> None:
    """Whoever had power in the old room has it in the new one; creators stand above it where there are such."""
    old = alice.create_room(preset="public_chat", room_version="11")
    bob.join(old)
    levels = alice.state(old, "m.room.power_levels")
    alice.set_state(old, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}})
    twelve = upgrade(alice, old, "12")
    assert alice.state(twelve, "m.room.power_levels")["users"] == {bob.user_id: 50}
    assert alice.state(twelve, "m.room.power_levels")["events"]["m.room.tombstone"] == 150
    eleven = upgrade(alice, twelve, "11")
    assert alice.state(eleven, "m.room.power_levels")["users"] == {bob.user_id: 50, alice.user_id: 100}


def test_a_level_above_everybody_is_no_hindrance(alice: Client) -> None:
    """What is carried over may need more power than anybody has: so somebody may have it for a moment."""
    old = alice.create_room(room_version="11", name="Kitchen")
    levels = alice.state(old, "m.room.power_levels")
    above = {**levels, "events": {**levels["events"], "m.room.topic": 100}}
    alice.set_state(old, "m.room.power_levels", above)
    twelve = upgrade(alice, old, "12")
    assert alice.state(twelve, "m.room.power_levels")["events"]["m.room.tombstone"] == 150
    alice.set_state(twelve, "m.room.topic", {"topic": "Tea"})
    levels = alice.state(twelve, "m.room.power_levels")
    alice.set_state(twelve, "m.room.power_levels", {**levels, "events": {**levels["events"], "m.room.topic": 200}})
    # In a version without creators above all, nobody could ever bury the room again.
    eleven = upgrade(alice, twelve, "11")
    assert alice.state(eleven, "m.room.topic")["topic"] == "Tea"
    assert alice.state(eleven, "m.room.power_levels")["users"] == {alice.user_id: 100}
    assert alice.state(upgrade(alice, eleven, "12"), "m.room.topic")["topic"] == "Tea"


def test_a_space_keeps_its_rooms(alice: Client) -> None:
    """A space that is replaced holds what it held, but for what was taken out of it."""
    space = alice.create_room(creation_content={"type": "m.space"}, room_version="11")
    kept, dropped = alice.create_room(), alice.create_room()
    child = {"via": ["hearth.example"], "order": "a", "suggested": True}
    for room in (kept, dropped):
        alice.set_state(space, "m.space.child", child, room)
    alice.set_state(space, "m.space.child", {}, dropped)
    new = upgrade(alice, space, "12")
    assert alice.state(new, "m.space.child", kept) == child
    alice.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(new)}/state/m.space.child/{seg(dropped)}")
    # What names rooms elsewhere is left behind.
    room = alice.create_room(room_version="11")
    alice.set_state(room, "m.space.child", child, kept)
    path = f"/rooms/{seg(upgrade(alice, room, '12'))}/state/m.space.child/{seg(kept)}"
    alice.refused("M_NOT_FOUND", 404, "GET", path)


def test_creators_must_be_named_anew(alice: Client, bob: Client) -> None:
    """Additional creators come from the request alone."""
    old = alice.create_room(
        room_version="12", creation_content={"additional_creators": [bob.user_id], "type": "m.space"}
    )
    assert "additional_creators" not in alice.state(upgrade(alice, old, "12"), "m.room.create")
    old = alice.create_room(room_version="12", creation_content={"type": "m.space"})
    create = alice.state(upgrade(alice, old, "12", additional_creators=[bob.user_id]), "m.room.create")
    assert create["additional_creators"] == [bob.user_id]
    assert create["type"] == "m.space"


def test_aliases_move(alice: Client) -> None:
    """The alias of the old room leads to the new one, and only that calls itself by it."""
    name = alice.user_id[1:].partition(":")[0]
    old = alice.create_room(preset="public_chat", room_alias_name=name, room_version="11")
    alias = alice.state(old, "m.room.canonical_alias")["alias"]
    new = upgrade(alice, old, "12")
    assert alice.must("POST", f"/join/{seg(alias)}", {}) == {"room_id": new}
    assert alice.state(new, "m.room.canonical_alias") == {"alias": alias}
    assert alice.state(old, "m.room.canonical_alias") == {}


def test_tags_and_direct_chats_come_along(alice: Client, bob: Client) -> None:
    """Who joins the new room finds it tagged as the old one was, and as the direct chat that the old one was."""
    old = alice.create_room(preset="public_chat")
    bob.join(old)
    tags = {"tags": {"m.favourite": {"order": 0.5}}}
    bob.must("PUT", f"/user/{seg(bob.user_id)}/rooms/{seg(old)}/account_data/m.tag", tags)
    bob.must("PUT", f"/user/{seg(bob.user_id)}/account_data/m.direct", {alice.user_id: [old]})
    new = upgrade(alice, old, "12")
    bob.join(new)
    assert bob.must("GET", f"/user/{seg(bob.user_id)}/rooms/{seg(new)}/account_data/m.tag") == tags
    assert bob.must("GET", f"/user/{seg(bob.user_id)}/account_data/m.direct") == {alice.user_id: [old, new]}


@pytest.mark.parametrize("by_hand", [False, True])
def test_push_rules_come_along_for_whoever_upgrades(alice: Client, by_hand: bool) -> None:
    """Servers should copy the rules of a room to its replacement, also for the one who makes that."""
    old = alice.create_room(preset="public_chat")
    alice.must("PUT", f"/pushrules/global/room/{seg(old)}", {"actions": []})
    made = {"predecessor": {"room_id": old}}
    new = alice.create_room(creation_content=made) if by_hand else upgrade(alice, old, "12")
    rules = alice.must("GET", "/pushrules/global/")["room"]
    assert [(rule["rule_id"], rule["actions"]) for rule in rules if rule["rule_id"] in (old, new)] in (
        [(old, []), (new, [])],
        [(new, []), (old, [])],
    )


def test_who_may_not_upgrade(alice: Client, bob: Client) -> None:
    """Without the power to bury a room, or to a version that nobody knows, there is no upgrade."""
    old = alice.create_room(preset="public_chat")
    bob.join(old)
    bob.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(old)}/upgrade", {"new_version": "12"})
    alice.refused("M_UNSUPPORTED_ROOM_VERSION", 400, "POST", f"/rooms/{seg(old)}/upgrade", {"new_version": "99"})
    stranger = Client.register(alice.url)
    stranger.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(old)}/upgrade", {"new_version": "12"})
