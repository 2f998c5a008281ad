"""What a connection of sliding sync tells of encryption, as Element X asks for it: on a connection of its own."""

from tests.support.client import Client, Json
from tests.support.keys import send_to_device, with_keys
from tests.support.sliding import DEPLOYED, Sliding


def encryption(client: Client) -> Sliding:
    """Element X's second connection."""
    sliding = Sliding(client, "encryption")
    sliding.extensions = {"e2ee": {"enabled": True}, "to_device": {"enabled": True}}
    return sliding


def numbers(answer: Json) -> list[int]:
    """The numbers that messages carry."""
    return [event["content"]["n"] for event in answer["extensions"]["to_device"]["events"]]


def go_on(sliding: Sliding, answer: Json) -> None:
    """Acknowledge what came."""
    sliding.extensions["to_device"]["since"] = answer["extensions"]["to_device"]["next_batch"]


def test_messages_come_until_they_are_acknowledged(alice: Client, bob: Client) -> None:
    """In order, some at a time; again while ``since`` stays the same, whatever the position; gone afterwards."""
    sliding = encryption(bob)
    go_on(sliding, sliding.sync())
    for n in range(5):
        send_to_device(alice, {bob.user_id: {bob.device_id: {"n": n}}})
    sliding.extensions["to_device"]["limit"] = 3
    first = sliding.sync(timeout=10_000)
    assert numbers(first) == numbers(sliding.sync()) == [0, 1, 2]
    go_on(sliding, first)
    rest = sliding.sync(timeout=10_000)
    assert numbers(rest) == [3, 4]
    go_on(sliding, rest)
    assert numbers(sliding.sync()) == []
    # A connection that begins anew goes by its ``since``, too.
    sliding.pos = None
    assert numbers(sliding.sync()) == []
    anew = encryption(bob)
    assert numbers(anew.sync()) == []
    sliding.extensions["to_device"]["since"] = "nonsense"
    bob.refused("M_INVALID_PARAM", 400, "POST", DEPLOYED, sliding.body())


def test_keys_and_devices(alice: Client, bob: Client) -> None:
    """How many keys are left is said every time; whose devices changed once, to who comes back, and it wakes them."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    with_keys(bob, "A", "B")
    sliding = encryption(bob)
    first = sliding.sync()["extensions"]["e2ee"]
    assert first["device_one_time_keys_count"]["signed_curve25519"] == 2
    assert first["device_unused_fallback_key_types"] == []
    assert "device_lists" not in first
    with_keys(alice)
    told = sliding.sync(timeout=10_000)["extensions"]["e2ee"]
    assert told["device_lists"]["changed"] == [alice.user_id]
    assert told["device_one_time_keys_count"]["signed_curve25519"] == 2
    assert "device_lists" not in sliding.sync()["extensions"]["e2ee"]
