"""People of two servers come into each other's rooms, and go."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.client import Client, joined, seg, timeline, unique
from tests.support.hearth import HearthProcess
from tests.support.network import Network

VERSIONS = ("10", "11", "12")
AWAY = "absent.test"


def enter(who: Client, room: str, via: str) -> None:
    """Join through a server, and wait until one's own sync shows the room."""
    who.must("POST", f"/join/{seg(room)}?via={via}", {})
    who.since = None
    who.sync_until(lambda sync: joined(sync, room))


@pytest.mark.parametrize("version", VERSIONS)
def test_somebody_joins_from_another_server(alice: Client, bob: Client, version: str) -> None:
    room = alice.create_room(preset="public_chat", room_version=version, name="Tea", topic="Leaves")
    alice.send(room, "before")
    enter(bob, room, "one.test")
    assert bob.state(room, "m.room.name") == {"name": "Tea"}
    assert bob.member(room, alice)["membership"] == "join"
    assert alice.member(room, bob)["membership"] == "join"
    ids = {event["event_id"] for event in alice.must("GET", f"/rooms/{seg(room)}/state")}
    assert ids == {event["event_id"] for event in bob.must("GET", f"/rooms/{seg(room)}/state")}


def test_nobody_joins_what_is_closed_or_unknown(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="private_chat")
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via=one.test", {})
    bob.refused("M_NOT_FOUND", 404, "POST", f"/join/{seg('!nothing:one.test')}?via=one.test", {})
    assert bob.ask("POST", f"/join/{seg(room)}?via=nowhere.test", {}).status_code == 502
    bob.refused("M_NOT_FOUND", 404, "POST", f"/join/{seg(room)}", {})
    # Whoever says where the room is means that: nothing follows from its id.
    open_to_all = alice.create_room(preset="public_chat", room_version="11")
    assert bob.ask("POST", f"/join/{seg(open_to_all)}?via=nowhere.test", {}).status_code == 502
    assert bob.ask("POST", f"/join/{seg(open_to_all)}", {}).status_code == 200
    # A room of this server's people alone.
    room = alice.create_room(preset="public_chat", creation_content={"m.federate": False})
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via=one.test", {})
    alice.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(room)}/invite", {"user_id": bob.user_id})
    # A room that keeps the server out.
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["TWO.*"]})
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via=one.test", {})


def test_an_alias_leads_to_another_server(alice: Client, bob: Client) -> None:
    name = unique("tea")
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    alias = f"#{name}:one.test"
    found = bob.must("GET", f"/directory/room/{seg(alias)}")
    assert found["room_id"] == room
    assert "one.test" in found["servers"]
    assert bob.must("POST", f"/join/{seg(alias)}", {})["room_id"] == room
    assert bob.must("GET", "/joined_rooms")["joined_rooms"] == [room]
    bob.refused("M_NOT_FOUND", 404, "GET", f"/directory/room/{seg('#nothing:one.test')}")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_invitation_is_shown_and_taken(alice: Client, bob: Client, version: str) -> None:
    room = alice.create_room(preset="private_chat", room_version=version, name="Tea")
    bob.sync()
    alice.invite(room, bob)
    seen = bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    shown = seen["rooms"]["invite"][room]["invite_state"]["events"]
    assert {event["type"] for event in shown} >= {"m.room.create", "m.room.name", "m.room.join_rules"}
    assert all(set(event) == {"type", "state_key", "sender", "content"} for event in shown)
    assert (shown[-1]["sender"], shown[-1]["state_key"]) == (alice.user_id, bob.user_id)
    assert alice.member(room, bob)["membership"] == "invite"
    # A first sync shows it, too.
    bob.since = None
    assert room in bob.sync()["rooms"]["invite"]
    bob.join(room)
    seen = bob.sync_until(lambda sync: joined(sync, room))
    assert room not in seen["rooms"].get("invite", {})
    assert bob.state(room, "m.room.name") == {"name": "Tea"}
    assert alice.member(room, bob)["membership"] == "join"


def test_who_cannot_be_invited_to_a_new_room(alice: Client, bob: Client) -> None:
    """POST /createRoom: 403 ``M_INVITE_BLOCKED`` also where another server says so; the others are invited all the
    same. Nobody of another server is invited into a room that they cannot come into."""
    carol = Client.register(bob.url)
    config = f"/user/{seg(bob.user_id)}/account_data/m.invite_permission_config"
    bob.must("PUT", config, {"default_action": "block"})
    wanted = {"invite": [bob.user_id, carol.user_id], "name": unique("new")}
    alice.refused("M_INVITE_BLOCKED", 403, "POST", "/createRoom", wanted)
    # Whose server is away is not forgotten silently; the room is there all the same.
    missed = alice.refused("M_UNKNOWN", 502, "POST", "/createRoom", {"invite": ["@dora:away.test", carol.user_id]})
    room = missed["error"].split(" was made")[0].removeprefix("The room ")
    assert room in alice.must("GET", "/joined_rooms")["joined_rooms"]
    assert alice.member(room, carol)["membership"] == "invite"
    carol.sync_until(lambda sync: wanted["name"] in str(sync.get("rooms", {}).get("invite", {})))
    assert "invite" not in bob.sync().get("rooms", {})
    before = alice.must("GET", "/joined_rooms")
    alone = {"invite": [carol.user_id], "creation_content": {"m.federate": False}}
    alice.refused("M_FORBIDDEN", 403, "POST", "/createRoom", alone)
    assert alice.must("GET", "/joined_rooms") == before


@pytest.mark.parametrize("version", VERSIONS)
def test_an_invitation_is_rejected(alice: Client, bob: Client, version: str) -> None:
    room = alice.create_room(preset="private_chat", room_version=version)
    alice.invite(room, bob)
    bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    bob.leave(room)
    seen = bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("leave", {}))
    assert timeline(seen, room, "leave")[-1]["content"]["membership"] == "leave"
    assert alice.member(room, bob)["membership"] == "leave"
    bob.forget(room)
    bob.since = None
    assert room not in str(bob.sync())
    # And again.
    alice.invite(room, bob)
    bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    bob.join(room)
    assert alice.member(room, bob)["membership"] == "join"


def test_somebody_knocks_at_another_servers_room(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="private_chat", name="Tea")
    path = f"/knock/{seg(room)}?via=one.test"
    bob.refused("M_FORBIDDEN", 403, "POST", path, {})
    alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    bob.must("POST", path, {"reason": "Let me in!"})
    seen = bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("knock", {}))
    shown = {event["type"]: event for event in seen["rooms"]["knock"][room]["knock_state"]["events"]}
    assert shown["m.room.name"]["content"] == {"name": "Tea"}
    name = bob.user_id[1:].partition(":")[0]
    assert shown["m.room.member"]["content"] == {"membership": "knock", "displayname": name, "reason": "Let me in!"}
    assert alice.member(room, bob)["reason"] == "Let me in!"
    bob.leave(room)
    assert alice.member(room, bob)["membership"] == "leave"
    bob.must("POST", path, {})
    bob.sync()
    alice.invite(room, bob)
    bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    bob.join(room)
    assert alice.member(room, bob)["membership"] == "join"


@pytest.mark.parametrize("version", VERSIONS)
def test_members_of_one_room_may_join_another(alice: Client, bob: Client, version: str) -> None:
    club = alice.create_room(preset="public_chat", room_version=version)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    rules = {"type": "m.room.join_rules", "state_key": "", "content": rule}
    room = alice.create_room(preset="private_chat", room_version=version, initial_state=[rules])
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via=one.test", {})
    enter(bob, club, "one.test")
    enter(bob, room, "one.test")
    assert bob.member(room)["join_authorised_via_users_server"] == alice.user_id
    assert alice.member(room, bob)["join_authorised_via_users_server"] == alice.user_id
    # That vouches for the join alone: what they say of themselves later is signed by their own server only.
    name = unique("Bob")
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": name})
    seen = alice.sync_until(lambda sync: name in str(timeline(sync, room)))
    assert "join_authorised_via_users_server" not in seen["rooms"]["join"][room]["timeline"]["events"][-1]["content"]


def test_profiles_and_public_rooms_of_another_server(alice: Client, bob: Client) -> None:
    alice.must("PUT", f"/profile/{seg(alice.user_id)}/displayname", {"displayname": "Alice"})
    assert bob.must("GET", f"/profile/{seg(alice.user_id)}") == {"displayname": "Alice"}
    assert bob.must("GET", f"/profile/{seg(alice.user_id)}/displayname") == {"displayname": "Alice"}
    bob.refused("M_NOT_FOUND", 404, "GET", f"/profile/{seg(alice.user_id)}/avatar_url")
    bob.refused("M_NOT_FOUND", 404, "GET", f"/profile/{seg('@nobody:one.test')}")
    name = unique("tea")
    room = alice.create_room(preset="public_chat", visibility="public", name=name)
    listed = bob.must("POST", "/publicRooms?server=one.test", {"filter": {"generic_search_term": name}})
    assert [one["room_id"] for one in listed["chunk"]] == [room]
    listed = bob.must("GET", "/publicRooms", server="one.test", limit=1)
    assert len(listed["chunk"]) == 1
    assert bob.ask("GET", "/publicRooms", server="nowhere.test").status_code == 502


def test_somebody_comes_back_to_a_server_that_was_away_when_they_left(network: Network, two: HearthProcess) -> None:
    """It is told of the leave before it is asked to let them in again: it would think them in the room still, and have
    nobody vouch for a join that then counts nowhere else."""
    bob, ben = Client.register(two.url), Client.register(two.url)
    with away_and_back(network) as (alice, goes, returns):
        club = alice.create_room(preset="public_chat")
        rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
        rules = {"type": "m.room.join_rules", "state_key": "", "content": rule}
        room = alice.create_room(preset="private_chat", initial_state=[rules])
        for who in (bob, ben):
            enter(who, club, AWAY)
            enter(who, room, AWAY)
        goes()
        for who in (ben, bob):
            who.must("POST", f"/rooms/{seg(room)}/leave", {})
        returns()
        enter(bob, room, AWAY)
        for who in (alice, bob):
            assert who.state(room, "m.room.member", ben.user_id)["membership"] == "leave"
            back = who.state(room, "m.room.member", bob.user_id)
            assert (back["membership"], back["join_authorised_via_users_server"]) == ("join", alice.user_id)
        enter(ben, room, AWAY)
        alice.sync_until(lambda sync: alice.state(room, "m.room.member", ben.user_id)["membership"] == "join")


@contextmanager
def away_and_back(network: Network) -> Iterator[tuple[Client, Callable[[], None], Callable[[], object]]]:
    """Somebody on a server of their own, and what makes it go and come back."""
    server = network.hearth(AWAY)
    try:
        yield Client.register(server.url), server.kill, server.start
    finally:
        server.end()
