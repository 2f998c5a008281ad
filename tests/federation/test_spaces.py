"""Spaces whose rooms are on other servers."""

from tests.federation.test_memberships import enter
from tests.support.client import Client, seg, unique


def child(who: Client, space: str, room: str, via: str) -> None:
    """Put a room into a space."""
    who.set_state(space, "m.space.child", {"via": [via]}, room)


def test_rooms_of_another_server_are_found_through_a_space(alice: Client, bob: Client) -> None:
    kind = {"creation_content": {"type": "m.space"}}
    inner = alice.create_room(preset="public_chat", name="Inner", **kind)
    public = alice.create_room(preset="public_chat", name="Public")
    private = alice.create_room(preset="private_chat", name="Private")
    club = alice.create_room(preset="public_chat", name="Club")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    rules = {"type": "m.room.join_rules", "state_key": "", "content": rule}
    restricted = alice.create_room(preset="private_chat", name="Restricted", initial_state=[rules])
    for room in (public, private, restricted):
        child(alice, inner, room, "one.test")
    space = bob.create_room(preset="public_chat", **kind)
    child(bob, space, inner, "one.test")
    path = f"/_matrix/client/v1/rooms/{seg(space)}/hierarchy"
    told = bob.must("GET", path)["rooms"]
    assert [room["room_id"] for room in told] == [space, inner, public]
    assert [room.get("name") for room in told] == [None, "Inner", "Public"]
    assert len(told[1]["children_state"]) == 3
    # Whoever is in the club may know the restricted room; its server must know that, too.
    enter(bob, club, "one.test")
    summary = bob.must("GET", f"/_matrix/client/v1/room_summary/{seg(restricted)}", via="one.test")
    assert (summary["name"], summary["membership"], summary["join_rule"]) == ("Restricted", "leave", "restricted")
    summary = bob.must("GET", f"/_matrix/client/v1/room_summary/{seg(public)}", via="one.test")
    assert (summary["name"], summary["num_joined_members"]) == ("Public", 1)
    bob.refused("M_NOT_FOUND", 404, "GET", f"/_matrix/client/v1/room_summary/{seg(private)}", via="one.test")
    bob.refused("M_NOT_FOUND", 404, "GET", f"/_matrix/client/v1/room_summary/{seg(private)}", via="nowhere.test")


def test_rooms_for_one_server_alone_are_not_told_to_others(alice: Client, bob: Client) -> None:
    """m.room.create, ``m.federate``: nobody of another server can come in, so there is nothing for them to find."""
    alone = {"creation_content": {"m.federate": False}}
    name = unique("alone")
    hidden = alice.create_room(preset="public_chat", visibility="public", name=name, **alone)
    shown = alice.create_room(preset="public_chat", visibility="public", name=name)
    space = alice.create_room(preset="public_chat", creation_content={"type": "m.space"})
    for room in (hidden, shown):
        child(alice, space, room, "one.test")
    wanted = {"filter": {"generic_search_term": name}}
    for who, found in ((alice, {hidden, shown}), (bob, {shown})):
        listed = who.must("POST", "/publicRooms?server=one.test", wanted)["chunk"]
        assert {room["room_id"] for room in listed} == found
    above = bob.create_room(preset="public_chat", creation_content={"type": "m.space"})
    child(bob, above, space, "one.test")
    told = bob.must("GET", f"/_matrix/client/v1/rooms/{seg(above)}/hierarchy")["rooms"]
    assert [room["room_id"] for room in told] == [above, space, shown]
