"""Transaction ids (client-server API, "Transaction identifiers"): the same request twice makes one event."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.client import Client, Json, body, seg, timeline, unique


def send(client: Client, room: str, txn: str, content: Json | None = None, event_type: str = "m.room.message") -> str:
    """Send under an id of one's own."""
    path = f"/rooms/{seg(room)}/send/{event_type}/{seg(txn)}"
    return str(client.must("PUT", path, {"body": "x"} if content is None else content)["event_id"])


def transaction_of(client: Client, room: str, event_id: str) -> Any:
    """The transaction id that a fresh sync of this client shows."""
    client.since = None
    found = next(event for event in timeline(client.sync(), room) if event["event_id"] == event_id)
    return found["unsigned"].get("transaction_id")


def test_the_same_id_is_the_same_event(alice: Client) -> None:
    """Also with other content; nothing is sent again."""
    room = alice.create_room()
    alice.sync()
    first = send(alice, room, "abc", {"body": "first"})
    assert send(alice, room, "abc", {"body": "first"}) == first
    assert send(alice, room, "abc", {"body": "second"}) == first
    assert [body(event) for event in timeline(alice.sync(), room)] == ["first"]


def test_the_same_id_for_something_else(alice: Client, bob: Client) -> None:
    """Another room, another type, another endpoint or another user is another request."""
    room, other = alice.create_room(preset="public_chat"), alice.create_room()
    bob.join(room)
    first = send(alice, room, "abc")
    redaction = alice.must("PUT", f"/rooms/{seg(room)}/redact/{seg(first)}/abc", {})["event_id"]
    others = [
        send(alice, other, "abc"),
        send(alice, room, "abc", event_type="a.type"),
        send(bob, room, "abc"),
        redaction,
    ]
    assert len({first, *others}) == 5
    assert alice.must("PUT", f"/rooms/{seg(room)}/redact/{seg(first)}/abc", {})["event_id"] == redaction


def test_ids_belong_to_a_device(alice: Client) -> None:
    """Another device's request is its own; a later login to the same device goes on with its ids."""
    room = alice.create_room()
    phone = alice.login()
    again = alice.login(device_id=phone.device_id)
    first = send(alice, room, "abc")
    second = send(again, room, "abc")
    assert first != second
    assert send(alice.login(device_id=phone.device_id), room, "abc") == second


def test_ids_are_told_to_the_sending_device(alice: Client, bob: Client) -> None:
    """Nobody else learns the id, wherever the event is read."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    laptop, phone = alice.login(), alice.login()
    event_id = send(laptop, room, "abc")
    assert transaction_of(laptop, room, event_id) == "abc"
    assert transaction_of(phone, room, event_id) is None
    assert transaction_of(bob, room, event_id) is None
    assert laptop.event(room, event_id)["unsigned"]["transaction_id"] == "abc"
    assert "transaction_id" not in phone.event(room, event_id)["unsigned"]
    for client, wanted in ((laptop, "abc"), (phone, None), (bob, None)):
        assert client.messages(room)["chunk"][0]["unsigned"].get("transaction_id") == wanted
    same = alice.login(device_id=laptop.device_id)
    assert transaction_of(same, room, event_id) == "abc"


def test_ids_survive_a_refresh(alice: Client) -> None:
    """A new access token of the same device knows the ids of the old one."""
    device = alice.login(refresh_token=True)
    login = alice.must("POST", "/login", {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.user_id},
        "password": "wonderland", "refresh_token": True, "device_id": device.device_id,
    })  # fmt: skip
    device.token = login["access_token"]
    room = device.create_room()
    first = send(device, room, "abc")
    device.token = device.must("POST", "/refresh", {"refresh_token": login["refresh_token"]})["access_token"]
    assert transaction_of(device, room, first) == "abc"
    assert send(device, room, "abc") == first


def test_twice_at_once(alice: Client) -> None:
    """Repetitions that come while the first is under way get its answer."""
    room = alice.create_room()
    alice.sync()
    for _ in range(5):
        txn = unique("txn")
        with ThreadPoolExecutor(6) as pool:
            sent = set(pool.map(lambda _, txn=txn: send(alice, room, txn), range(6)))
        assert len(sent) == 1
        assert [event["event_id"] for event in timeline(alice.sync(), room)] == list(sent)


def test_what_failed_may_be_tried_again(alice: Client, bob: Client) -> None:
    """A refusal does not use up the id."""
    room = alice.create_room(preset="public_chat")
    path = f"/rooms/{seg(room)}/send/m.room.message/abc"
    bob.refused("M_FORBIDDEN", 403, "PUT", path, {"body": "x"})
    bob.refused("M_NOT_JSON", 400, "PUT", path)
    bob.join(room)
    event_id = send(bob, room, "abc")
    bob.refused("M_NOT_JSON", 400, "PUT", path)
    bob.leave(room)
    assert send(bob, room, "abc") == event_id


def test_an_id_has_a_length(alice: Client) -> None:
    """Ids are kept, so they may not be of any length; nor those of what is sent later."""
    room = alice.create_room()
    path = f"/rooms/{seg(room)}/send/m.room.message"
    later = {"org.matrix.msc4140.delay": 60_000}
    for query in ({}, later):
        alice.must("PUT", f"{path}/{'x' * 255}", {"body": "x", "msgtype": "m.text"}, **query)
        alice.refused("M_INVALID_PARAM", 400, "PUT", f"{path}/{'x' * 256}", {"body": "x", "msgtype": "m.text"}, **query)
