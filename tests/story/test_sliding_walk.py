"""A client of sliding sync that follows a random life of rooms knows in the end what is true."""

import random

import pytest

from tests.support.client import Client, seg
from tests.support.sliding import Sliding, window

MESSAGE = "m.room.message"


def happen(dice: random.Random, people: list[Client], rooms: list[str]) -> None:
    """One thing that somebody does; some of them are refused."""
    who, room = dice.choice(people), dice.choice(rooms)
    path = f"/rooms/{seg(room)}"
    deeds = (
        ("POST", f"/join/{seg(room)}", {}),
        ("POST", f"{path}/leave", {}),
        ("POST", f"{path}/kick", {"user_id": dice.choice(people).user_id}),
        ("POST", f"{path}/invite", {"user_id": dice.choice(people).user_id}),
        ("PUT", f"{path}/state/m.room.name/", {"name": f"name {dice.random()}"}),
        ("PUT", f"{path}/state/m.room.topic/", {"topic": f"topic {dice.random()}"}),
        *[("PUT", f"{path}/send/{MESSAGE}/{dice.random()}", {"msgtype": "m.text", "body": str(dice.random())})] * 5,
    )
    who.ask(*dice.choice(deeds))


def check(sliding: Sliding, room: str) -> None:
    """What is kept of a room is what the server says of it."""
    client, kept = sliding.client, sliding.rooms[room]
    state = {
        (event["type"], event["state_key"]): event["event_id"]
        for event in client.must("GET", f"/rooms/{seg(room)}/state")
    }
    wanted = [("m.room.name", ""), ("m.room.topic", ""), ("m.room.create", ""), ("m.room.member", client.user_id)]
    for slot in wanted:
        event = kept["state"].get(slot)
        assert (event and event["event_id"]) == state.get(slot), (room, slot)
    latest = [event["event_id"] for event in client.messages(room, limit=len(kept["events"]))["chunk"]]
    assert [event["event_id"] for event in kept["events"]][::-1] == latest, room
    assert kept["joined_count"] == len(client.must("GET", f"/rooms/{seg(room)}/joined_members")["joined"])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_true(alice: Client, bob: Client, carol: Client, seed: int) -> None:
    """Windows move, rooms are subscribed to and not, answers are lost, people come and go."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    people = [alice, bob, carol]
    rooms = [alice.create_room(preset="public_chat", power_level_content_override={"users_default": 50})
             for _ in range(4)]  # fmt: skip
    sliding = Sliding(bob, main=window(0, 1, timeline_limit=2))
    for _ in range(25):
        for _ in range(dice.randrange(1, 4)):
            happen(dice, people, rooms)
        if dice.random() < 0.3:
            sliding.lists["main"] = window(0, dice.randrange(1, 5), timeline_limit=dice.randrange(1, 4))
        if dice.random() < 0.3:
            sliding.subscriptions = {dice.choice(rooms): {**window(0, 0), "timeline_limit": 5}}
        if dice.random() < 0.2:
            sliding.ask()  # whose answer is lost
        sliding.sync()
    sliding.lists["main"] = window(0, 9, timeline_limit=2)
    sliding.sync()
    assert sliding.sync()["rooms"] == {}
    inside = set(bob.must("GET", "/joined_rooms")["joined_rooms"]) & set(rooms)
    assert inside <= set(sliding.rooms)
    for room in inside:
        check(sliding, room)
