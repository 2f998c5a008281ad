"""People of several servers live in one room."""

import pytest

from tests.federation.test_memberships import VERSIONS, enter
from tests.federation.test_past import walk_back
from tests.support.client import Client, joined, seg, timeline
from tests.support.network import Network

ONE, TWO = "one.test", "two.test"


def state_ids(who: Client, room: str) -> dict[tuple[str, str], str]:
    """The state of a room by ids."""
    events = who.must("GET", f"/rooms/{seg(room)}/state")
    return {(event["type"], event["state_key"]): event["event_id"] for event in events}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_conversation(alice: Client, bob: Client, version: str) -> None:
    room = alice.create_room(preset="public_chat", room_version=version)
    alice.sync()
    enter(bob, room, ONE)
    alice.sync_until(lambda sync: any(event["type"] == "m.room.member" for event in timeline(sync, room)))
    alice.send(room, "hello")
    bob.sync_until_text(room, "hello")
    said = bob.send(room, "hello yourself")
    assert alice.sync_until_text(room, "hello yourself")["event_id"] == said
    # State, a redaction, and a name.
    alice.set_state(room, "m.room.topic", {"topic": "Tea"})
    bob.sync_until(lambda sync: any(event["type"] == "m.room.topic" for event in timeline(sync, room)))
    bob.redact(room, said, reason="Rude.")
    alice.sync_until(lambda sync: any(event["type"] == "m.room.redaction" for event in timeline(sync, room)))
    assert alice.event(room, said)["content"] == {}
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Bob"})
    alice.sync_until(lambda sync: any(event["content"].get("displayname") == "Bob" for event in timeline(sync, room)))
    assert state_ids(alice, room) == state_ids(bob, room)
    # Removed, let in again, banned.
    alice.kick(room, bob, reason="Bye.")
    seen = bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("leave", {}))
    assert timeline(seen, room, "leave")[-1]["content"] == {"membership": "leave", "reason": "Bye."}
    alice.send(room, "unheard")
    bob.join(room)
    bob.since = None
    bob.sync_until(lambda sync: joined(sync, room))
    alice.send(room, "heard")
    bob.sync_until_text(room, "heard")
    alice.ban(room, bob)
    bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("leave", {}))
    bob.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via={ONE}", {})
    alice.unban(room, bob)
    alice.invite(room, bob)
    bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    bob.join(room)
    bob.leave(room)
    alice.sync_until(
        lambda sync: any(
            event.get("state_key") == bob.user_id and event["content"]["membership"] == "leave"
            for event in timeline(sync, room)
        )
    )


@pytest.mark.slow
def test_three_servers_one_of_which_is_away_for_long(network: Network, alice: Client, bob: Client) -> None:
    five = network.hearth("five.test")
    carol = Client.register(five.url)
    room = alice.create_room(preset="public_chat")
    enter(bob, room, ONE)
    enter(carol, room, TWO)
    carol.send(room, "here I am")
    alice.sync_until_text(room, "here I am")
    bob.sync_until_text(room, "here I am")
    five.kill()
    for number in range(500):
        alice.send(room, f"alice {number}")
        bob.send(room, f"bob {number}")
    alice.set_state(room, "m.room.topic", {"topic": "Where is Carol?"})
    bob.sync_until(lambda sync: any(event["type"] == "m.room.topic" for event in timeline(sync, room)))
    five.start()
    # Who was away for long is left alone for a minute or more at a time, until they are heard of.
    carol.send(room, "is anybody there?")
    carol.since = None
    carol.sync_until(
        lambda sync: (
            any(event["type"] == "m.room.topic" for event in timeline(sync, room))
            or ("m.room.topic", "")
            in {(e["type"], e["state_key"]) for e in joined(sync, room).get("state", {}).get("events", [])}
        )
    )
    carol.send(room, "back again")
    alice.sync_until_text(room, "back again")
    bob.sync_until_text(room, "back again")
    assert state_ids(alice, room) == state_ids(bob, room) == state_ids(carol, room)
    said = [{event["event_id"] for event in walk_back(who, room, limit=200)} for who in (alice, bob, carol)]
    assert len(said[0]) > 1_000
    assert said[0] == said[1] == said[2]
