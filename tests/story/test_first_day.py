"""The first day of two people: they meet in a room, talk, and find everything again."""

from pathlib import Path

import pytest

from tests.support.client import Client, body, state_of, timeline
from tests.support.hearth import HearthProcess


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_two_people_talk(alice: Client, bob: Client, version: str) -> None:
    """An invitation arrives with the room's name, and after joining both hear each other."""
    room = alice.create_room(name="Kitchen", preset="private_chat", room_version=version)
    alice.invite(room, bob)
    invited = bob.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    offered = {event["type"]: event for event in invited["rooms"]["invite"][room]["invite_state"]["events"]}
    assert offered["m.room.name"]["content"]["name"] == "Kitchen"
    assert offered["m.room.member"]["state_key"] == bob.user_id
    bob.join(room)
    alice.sync_until(lambda sync: any(event.get("state_key") == bob.user_id for event in timeline(sync, room)))
    alice.send(room, "Tea?")
    assert bob.sync_until_text(room, "Tea?")["sender"] == alice.user_id
    bob.send(room, "Please.")
    assert alice.sync_until_text(room, "Please.")["sender"] == bob.user_id
    assert alice.state(room, "m.room.create")["room_version"] == version


def test_everything_survives_a_kill(tmp_path: Path) -> None:
    """What was answered with success is there after the process was killed, and syncs go on from their tokens."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = Client.register(server.url), Client.register(server.url)
        room = alice.create_room(preset="public_chat")
        bob.join(room)
        bob.sync()
        said = [alice.send(room, f"message {number}", txn=f"txn{number}") for number in range(30)]
        server.kill()
        server.start()
        answer = bob.sync(filter='{"room":{"timeline":{"limit":100}}}')
        assert [event["event_id"] for event in timeline(answer, room)] == said
        again = alice.send(room, "message 7", txn="txn7")
        assert again == said[7]
        alice.send(room, "after")
        bob.sync_until_text(room, "after")
    finally:
        server.end()


def test_first_sync_holds_state_and_timeline(alice: Client, bob: Client) -> None:
    """A first sync gives the last events, and the state as it was before them."""
    room = alice.create_room(preset="public_chat", name="before")
    for number in range(20):
        alice.send(room, f"line {number}")
    alice.set_state(room, "m.room.name", {"name": "after"})
    fresh = alice.login().sync(filter='{"room":{"timeline":{"limit":5}}}')
    events = timeline(fresh, room)
    assert [body(event) for event in events[:4]] == [f"line {number}" for number in range(16, 20)]
    assert fresh["rooms"]["join"][room]["timeline"]["limited"] is True
    assert state_of(fresh, room)["m.room.name", ""]["content"] == {"name": "before"}
