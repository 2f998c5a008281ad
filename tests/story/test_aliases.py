"""Rooms get names, are found by them, and lose them (client-server API, "Room aliases")."""

import pytest

from tests.support.client import Client, seg, timeline, unique
from tests.support.hearth import HearthProcess

CANONICAL = "m.room.canonical_alias"


def alias_of(name: str) -> str:
    """An alias that nobody else has."""
    return f"#{unique(name)}:hearth.example"


def path(alias: str) -> str:
    """Where an alias is kept."""
    return f"/directory/room/{seg(alias)}"


def give(who: Client, room: str, name: str = "room") -> str:
    """Give a room a new alias."""
    alias = alias_of(name)
    assert who.must("PUT", path(alias), {"room_id": room}) == {}
    return alias


@pytest.mark.parametrize("name", ["kitchen", "老虎£я", "with/slash", "50% off?", "a#b c"])
def test_a_room_is_found_by_its_alias(alice: Client, bob: Client, name: str) -> None:
    """An alias may hold any character but a colon; whoever asks is told the room and who knows it."""
    room = alice.create_room(preset="public_chat")
    alias = give(alice, room, name)
    stranger = Client(alice.url)
    assert stranger.must("GET", path(alias)) == {"room_id": room, "servers": ["hearth.example"]}
    assert bob.must("POST", f"/join/{seg(alias)}", {}) == {"room_id": room}
    assert bob.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": [alias]}


def test_an_alias_leads_to_one_room(alice: Client) -> None:
    """A taken alias answers 409, also to those who would lead it where it leads."""
    room, other = alice.create_room(), alice.create_room()
    alias = give(alice, room)
    for target in (room, other):
        alice.refused("M_UNKNOWN", 409, "PUT", path(alias), {"room_id": target})
    assert alice.must("GET", path(alias))["room_id"] == room


def test_what_is_no_alias(alice: Client) -> None:
    """A malformed alias, or one of another server, is refused; one that leads nowhere is not found."""
    room = alice.create_room()
    for wrong in ("kitchen", "kitchen:hearth.example", "#kitchen", "#:hearth.example", "#" + "x" * 255 + ":a.b"):
        alice.refused("M_INVALID_PARAM", 400, "PUT", path(wrong), {"room_id": room})
        alice.refused("M_INVALID_PARAM", 400, "GET", path(wrong))
        alice.refused("M_NOT_FOUND", 404, "DELETE", path(wrong))
    alice.refused("M_INVALID_PARAM", 400, "PUT", path("#kitchen:elsewhere.example"), {"room_id": room})
    for nowhere in (alias_of("nowhere"), "#kitchen:elsewhere.example"):
        alice.refused("M_NOT_FOUND", 404, "GET", path(nowhere))
        alice.refused("M_NOT_FOUND", 404, "DELETE", path(nowhere))
        alice.refused("M_NOT_FOUND", 404, "POST", f"/join/{seg(nowhere)}", {})
    alice.refused("M_MISSING_PARAM", 400, "PUT", path(alias_of("none")), {})
    Client(alice.url).refused("M_MISSING_TOKEN", 401, "PUT", path(alias_of("none")), {"room_id": room})


def test_only_members_name_a_room(alice: Client, bob: Client) -> None:
    """Whoever is not in a room can give it no alias, and does not learn which it has unless all may read there."""
    room = alice.create_room()
    bob.refused("M_FORBIDDEN", 403, "PUT", path(alias_of("mine")), {"room_id": room})
    bob.refused("M_FORBIDDEN", 403, "PUT", path(alias_of("mine")), {"room_id": "!unknown:hearth.example"})
    alias = give(alice, room)
    bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/aliases")
    bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg('!unknown:hearth.example')}/aliases")
    assert alice.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": [alias]}
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert bob.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": [alias]}


def test_who_may_remove_an_alias(alice: Client, bob: Client) -> None:
    """Those who made it may, with or without power, and those who may set the main alias; nobody else."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bobs, alices = give(bob, room), give(alice, room)
    assert bob.must("DELETE", path(bobs)) == {}
    bob.refused("M_FORBIDDEN", 403, "DELETE", path(alices))
    Client.register(alice.url).refused("M_FORBIDDEN", 403, "DELETE", path(alices))
    levels = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**levels, "users": {**levels["users"], bob.user_id: 50}})
    assert bob.must("DELETE", path(alices)) == {}
    for gone in (bobs, alices):
        alice.refused("M_NOT_FOUND", 404, "GET", path(gone))
        alice.refused("M_BAD_ALIAS", 400, "PUT", f"/rooms/{seg(room)}/state/{CANONICAL}", {"alias": gone})
    assert alice.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": []}


def test_a_removed_alias_is_taken_out_of_the_state(alice: Client) -> None:
    """A room does not call itself by an alias that is gone; other names, and what else is said there, stay."""
    room = alice.create_room(preset="public_chat")
    first, second = give(alice, room), give(alice, room)
    alice.set_state(room, CANONICAL, {"alias": first, "alt_aliases": [first, second]})
    alice.must("DELETE", path(first))
    assert alice.state(room, CANONICAL) == {"alt_aliases": [second]}
    alice.sync()
    alice.must("DELETE", path(second))
    seen = alice.sync_until(lambda sync: timeline(sync, room))
    assert [event["content"] for event in timeline(seen, room) if event["type"] == CANONICAL] == [{}]


def test_an_alias_goes_also_where_the_state_stays(alice: Client, bob: Client) -> None:
    """Its maker may remove an alias without the power to change what the room calls itself."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alias = give(bob, room)
    alice.set_state(room, CANONICAL, {"alias": alias})
    assert bob.must("DELETE", path(alias)) == {}
    alice.refused("M_NOT_FOUND", 404, "GET", path(alias))
    assert alice.state(room, CANONICAL) == {"alias": alias}


def test_the_owner_keeps_the_house_in_order(hearth: HearthProcess, alice: Client) -> None:
    """An owner of the server may name and publish any room of it, and take names and publicity away."""
    name = unique("owner")
    made = hearth.command("user", "add", name, "--admin", "--ask-password", text="through the looking glass\n" * 2)
    assert made.returncode == 0, made.stderr
    owner = Client(alice.url, user_id=f"@{name}:hearth.example").login("through the looking glass")
    room = alice.create_room()
    alias = give(owner, room)
    owner.must("PUT", f"/directory/list/room/{seg(room)}", {"visibility": "public"})
    assert alice.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": [alias]}
    unknown = {"room_id": "!unknown:hearth.example"}
    owner.refused("M_NOT_FOUND", 404, "PUT", path(alias_of("unknown")), unknown)
    alices = give(alice, room)
    for one in (alias, alices):
        owner.must("DELETE", path(one))
    owner.must("PUT", f"/directory/list/room/{seg(room)}", {"visibility": "private"})
    assert alice.must("GET", f"/rooms/{seg(room)}/aliases") == {"aliases": []}
