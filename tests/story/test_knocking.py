"""People ask to be let in (client-server API, "Knocking on rooms")."""

import pytest

from tests.support.client import Client, Json, seg, timeline, unique


def knock(who: Client, room: str, reason: str | None = None) -> None:
    """Knock and wait until one's own sync says so."""
    answer = who.must("POST", f"/knock/{seg(room)}", {} if reason is None else {"reason": reason})
    who.since = None
    seen = who.sync_until(lambda sync: answer["room_id"] in sync["rooms"].get("knock", {}))
    state = seen["rooms"]["knock"][answer["room_id"]]["knock_state"]["events"]
    own = next(event for event in state if event.get("state_key") == who.user_id)
    assert own["content"]["membership"] == "knock"
    assert own["content"].get("reason") == reason
    assert {event["type"] for event in state} >= {"m.room.create", "m.room.join_rules"}


def refused(who: Client, room: str) -> None:
    """Knock in vain."""
    who.refused("M_FORBIDDEN", 403, "POST", f"/knock/{seg(room)}", {"reason": "Please?"})


def knocks_of(sync: Json, room: str, who: Client) -> list[Json]:
    """The contents of somebody's knocks in the timeline of a room."""
    events = [event for event in timeline(sync, room) if event.get("state_key") == who.user_id]
    return [event["content"] for event in events if event["content"]["membership"] == "knock"]


@pytest.mark.parametrize(
    ("version", "rule"), [("7", "knock"), ("10", "knock_restricted"), ("12", "knock"), ("12", "knock_restricted")]
)
def test_the_whole_way(alice: Client, bob: Client, version: str, rule: str) -> None:
    """Knock, take it back, be turned away, be let in, be banned."""
    room = alice.create_room(preset="private_chat", room_version=version)
    refused(bob, room)
    alice.set_state(room, "m.room.join_rules", {"join_rule": rule, **({} if rule == "knock" else {"allow": []})})
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}", {})
    alice.sync()
    knock(bob, room, "Let me in!")
    seen = alice.sync_until(lambda sync: knocks_of(sync, room, bob))
    assert knocks_of(seen, room, bob)[0]["reason"] == "Let me in!"
    knock(bob, room, "I really do like it here.")
    # Taken back by oneself.
    bob.leave(room)
    seen = bob.sync_until(lambda sync: room in sync["rooms"].get("leave", {}))
    left = timeline(seen, room, "leave")[-1]
    assert (left["sender"], left["content"]["membership"]) == (bob.user_id, "leave")
    assert room not in seen["rooms"].get("knock", {})
    # Turned away.
    knock(bob, room, "Again?")
    alice.kick(room, bob, reason="No.")
    seen = bob.sync_until(lambda sync: room in sync["rooms"].get("leave", {}))
    assert timeline(seen, room, "leave")[-1]["content"] == {"membership": "leave", "reason": "No."}
    # Let in.
    knock(bob, room)
    alice.invite(room, bob)
    refused(bob, room)
    bob.join(room)
    refused(bob, room)
    bob.send(room, "Thank you!")
    alice.ban(room, bob)
    refused(bob, room)


@pytest.mark.parametrize(("version", "rule"), [("6", "knock"), ("7", "public"), ("9", "knock_restricted")])
def test_where_nobody_knocks(alice: Client, bob: Client, version: str, rule: str) -> None:
    """Rooms whose rule or version has no knocking refuse it."""
    join_rules = {"type": "m.room.join_rules", "content": {"join_rule": rule}}
    room = alice.create_room(room_version=version, initial_state=[join_rules])
    refused(bob, room)


def test_names_of_rooms_to_knock_at(alice: Client, bob: Client) -> None:
    """A room is found by its alias too; one that is not there is not found."""
    name = unique("door")
    join_rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room = alice.create_room(room_alias_name=name, initial_state=[join_rules])
    alias = f"#{name}:hearth.example"
    assert bob.must("POST", f"/knock/{seg(alias)}", {}, via="hearth.example") == {"room_id": room}
    # The same again is no news to anybody.
    alice.sync()
    assert bob.must("POST", f"/knock/{seg(room)}", {}) == {"room_id": room}
    assert timeline(alice.sync(), room) == []
    bob.refused("M_NOT_FOUND", 404, "POST", f"/knock/{seg('#nowhere:hearth.example')}", {})
    bob.refused("M_NOT_FOUND", 404, "POST", f"/knock/{seg('!nowhere:hearth.example')}", {})
    bob.refused("M_INVALID_PARAM", 400, "POST", "/knock/nowhere", {})
    bob.refused("M_BAD_JSON", 400, "POST", f"/knock/{seg(room)}", {"reason": 7})


def test_those_whom_the_room_admits_need_not_knock(alice: Client, bob: Client) -> None:
    """Where knocking and the members of another room are both let in, those members just join."""
    house = alice.create_room(preset="public_chat")
    rule = {
        "join_rule": "knock_restricted",
        "allow": [{"type": "m.room_membership", "room_id": house}],
    }
    room = alice.create_room(room_version="10", initial_state=[{"type": "m.room.join_rules", "content": rule}])
    knock(bob, room)
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}", {})
    bob.join(house)
    bob.join(room)
    assert bob.member(room)["join_authorised_via_users_server"] == alice.user_id
