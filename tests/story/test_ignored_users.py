"""Ignored users (client-server API, module "Ignoring Users")."""

from tests.support.client import Client, body, joined, seg, state_of, timeline


def ignore(client: Client, *others: Client) -> None:
    """Ignore some users, and nobody else."""
    path = f"/user/{seg(client.user_id)}/account_data/m.ignored_user_list"
    client.must("PUT", path, {"ignored_users": {other.user_id: {} for other in others}})


def test_what_ignored_users_say_is_not_sent(alice: Client, bob: Client, carol: Client) -> None:
    """Once ignored, the client will no longer receive events sent by that user, with the exception of state events."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    for client in (bob, carol):
        client.join(room)
    bob.since = None
    bob.sync()
    alice.send(room, "before")
    ignore(bob, alice)
    alice.send(room, "unheard")
    carol.send(room, "heard")
    alice.set_state(room, "m.room.topic", {"topic": "seen"})
    sync = bob.sync()
    assert [(event["type"], body(event)) for event in timeline(sync, room)] == [
        ("m.room.message", "heard"),
        ("m.room.topic", None),
    ]
    assert [event["type"] for event in sync["account_data"]["events"]] == ["m.ignored_user_list"]
    texts = [body(event) for event in bob.messages(room)["chunk"] if event["type"] == "m.room.message"]
    assert texts == ["heard"]
    carol.sync_until_text(room, "unheard")
    # What was missed is not sent later, what comes from now on is.
    ignore(bob)
    assert timeline(bob.sync(), room) == []
    alice.send(room, "again")
    assert [body(event) for event in timeline(bob.sync(), room)] == ["again"]


def test_a_timeline_of_the_others(alice: Client, bob: Client) -> None:
    """What is passed over takes no place in a timeline and makes it no shorter."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    ignore(bob, alice)
    bob.send(room, "one")
    for number in range(30):
        alice.send(room, str(number))
    bob.send(room, "two")
    bob.since = None
    events = timeline(bob.sync(filter='{"room":{"timeline":{"limit":3}}}'), room)
    assert [body(event) for event in events][-2:] == ["one", "two"]


def test_nobody_can_ignore_themselves(alice: Client) -> None:
    """A list with oneself does no harm."""
    room = alice.create_room()
    ignore(alice, alice)
    alice.since = None
    alice.send(room, "here")
    assert body(timeline(alice.sync(), room)[-1]) == "here"


def test_invitations_from_ignored_users(alice: Client, bob: Client, carol: Client) -> None:
    """Servers must not send room invites from ignored users to clients."""
    ignore(bob, alice)
    bob.since = None
    bob.sync()
    room, other = alice.create_room(), carol.create_room()
    alice.invite(room, bob)
    carol.invite(other, bob)
    assert list(bob.sync()["rooms"]["invite"]) == [other]
    assert list(bob.must("GET", "/sync")["rooms"]["invite"]) == [other]
    assert bob.must("GET", "/notifications")["notifications"][0]["room_id"] == other
    assert len(bob.must("GET", "/notifications")["notifications"]) == 1
    ignore(bob)
    assert set(bob.must("GET", "/sync")["rooms"]["invite"]) == {room, other}
    bob.join(room)
    assert ("m.room.create", "") in state_of(bob.must("GET", "/sync"), room) or joined(bob.sync(), room)
