"""Messages from device to device (client-server API, module "Send-to-Device messaging")."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess
from tests.support.keys import messages, send_to_device


def numbers(sync: Json) -> list[int]:
    """The numbers that messages carry."""
    return [message["content"]["n"] for message in messages(sync)]


def test_a_message_arrives_once(alice: Client, bob: Client) -> None:
    """At the device that it is for, as it was sent, and wakes a sync that waits."""
    bob.sync()
    phone = bob.login()
    phone.sync()
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 1, "deep": {"a": [1.5, None, "ä"]}}}}, "m.x")
    told = bob.sync(timeout=10_000)
    content = {"n": 1, "deep": {"a": [1.5, None, "ä"]}}
    assert told["to_device"] == {"events": [{"sender": alice.user_id, "type": "m.x", "content": content}]}
    assert "to_device" not in bob.sync()
    assert "to_device" not in phone.sync()


def test_a_message_is_told_again_until_it_is_acknowledged(alice: Client, bob: Client) -> None:
    """The same token gives it again, with what came since; the next token ends it, also for a sync from the start."""
    bob.sync()
    start = bob.since
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    for _ in range(2):
        assert numbers(bob.sync(since=start)) == [1]
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 2}}})
    assert numbers(bob.sync(since=start)) == [1, 2]
    after = bob.since
    bob.since = None
    assert numbers(bob.sync()) == [1, 2]
    bob.sync(since=after)
    # What was acknowledged is gone, whatever token comes.
    for token in (start, None, after):
        bob.since = token
        assert messages(bob.sync()) == []


def test_a_sync_that_waits_acknowledges_at_once(alice: Client, bob: Client) -> None:
    """What came with its token is gone as soon as it waits for more, and not only when it is answered."""
    bob.sync()
    start = bob.since
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 1}}})
    assert numbers(bob.sync(timeout=10_000)) == [1]
    again = Client(bob.url, bob.token, bob.user_id)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bob.sync, timeout=60_000)
        deadline = time.monotonic() + 20
        while numbers(again.sync(since=start)):
            assert time.monotonic() < deadline, "a sync that waits has not acknowledged what it was told"
        send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 2}}})
        assert numbers(waiting.result(30)) == [2]


def test_what_waits_comes_a_hundred_at_a_time(alice: Client, bob: Client) -> None:
    """In order, without waiting for the rest; a repeated token gives the same hundred, and nothing is lost."""
    bob.sync()
    for n in range(250):
        send_to_device(alice, {bob.user_id: {bob.device_id: {"n": n}}})
    start = bob.since
    assert numbers(bob.sync(timeout=10_000)) == list(range(100))
    assert numbers(bob.sync(since=start)) == list(range(100))
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 250}}})
    got = []
    for _ in range(2):
        got += numbers(bob.sync(timeout=10_000))
    assert got == list(range(100, 251))
    assert "to_device" not in bob.sync()


def test_a_star_is_for_every_device(alice: Client, bob: Client) -> None:
    """But for those that get one of their own; devices and users that are not there get nothing."""
    phone, tablet = bob.login(), bob.login()
    for client in (bob, phone, tablet):
        client.sync()
    nobody = f"@nobody:{alice.user_id.partition(':')[2]}"
    own = {"*": {"n": 1}, phone.device_id: {"n": 2}, "GONE": {"n": 3}}
    send_to_device(alice, {bob.user_id: own, nobody: {"*": {"n": 4}}, "nonsense": {"*": {"n": 5}}})
    assert [numbers(client.sync()) for client in (bob, phone, tablet)] == [[1], [2], [1]]


def test_the_same_request_again_sends_nothing(alice: Client, bob: Client) -> None:
    """The id is the device's for one type: another device, and another type, may use it too."""
    bob.sync()
    phone = alice.login()
    to_bob = {bob.user_id: {bob.device_id: {"n": 1}}}
    for _ in range(3):
        send_to_device(alice, to_bob, txn="once")
    send_to_device(phone, to_bob, txn="once")
    send_to_device(alice, to_bob, "m.other", txn="once")
    told = [(message["type"], message["content"]["n"]) for message in messages(bob.sync())]
    assert told == [("m.test", 1), ("m.test", 1), ("m.other", 1)]


def test_a_device_takes_its_messages_with_it(alice: Client, bob: Client) -> None:
    phone = bob.login(device_id="PHONE")
    send_to_device(alice, {bob.user_id: {"*": {"n": 1}}})
    phone.must("POST", "/logout", {})
    assert messages(bob.login(device_id="PHONE").sync()) == []
    assert numbers(bob.sync()) == [1]


@pytest.mark.parametrize(
    ("body", "errcode", "status"),
    [
        ({}, "M_MISSING_PARAM", 400),
        ({"messages": []}, "M_BAD_JSON", 400),
        ({"messages": {"@a:x": []}}, "M_BAD_JSON", 400),
        ({"messages": {"@a:x": {"D": "text"}}}, "M_BAD_JSON", 400),
    ],
)
def test_requests_of_another_shape_are_refused(alice: Client, body: Json, errcode: str, status: int) -> None:
    alice.refused(errcode, status, "PUT", "/sendToDevice/m.test/1", body)


def test_messages_have_a_size(alice: Client, bob: Client) -> None:
    """A refused request leaves nothing behind: neither its small messages nor its transaction id."""
    bob.sync()
    body = {"messages": {bob.user_id: {bob.device_id: {"n": 1}, "OTHER": {"x": "x" * 66_000}}}}
    alice.refused("M_TOO_LARGE", 413, "PUT", "/sendToDevice/m.test/large", body)
    alice.refused("M_INVALID_PARAM", 400, "PUT", f"/sendToDevice/{'x' * 300}/1", {"messages": {}})
    assert messages(bob.sync()) == []
    send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 2}}}, txn="large")
    assert numbers(bob.sync()) == [2]


@pytest.mark.slow
def test_messages_and_ids_live_through_a_kill(tmp_path: Path) -> None:
    """What was answered with success arrives once, in order, and is not sent again by a repeated request."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = Client.register(server.url), Client.register(server.url)
        bob.sync()
        for n in range(150):
            send_to_device(alice, {bob.user_id: {bob.device_id: {"n": n}}}, txn=str(n))
        got = numbers(bob.sync())
        server.kill()
        server.start()
        for n in (0, 120, 149):
            path = f"/sendToDevice/m.test/{seg(str(n))}"
            alice.must("PUT", path, {"messages": {bob.user_id: {bob.device_id: {"n": n}}}})
        send_to_device(alice, {bob.user_id: {bob.device_id: {"n": 150}}})
        before = bob.since
        got += numbers(bob.sync())
        assert got == list(range(151))
        assert messages(bob.sync()) == []
        # Whoever was answered has acknowledged, however soon the server dies: an older token brings nothing again.
        server.kill()
        server.start()
        assert messages(bob.sync(since=before)) == []
    finally:
        server.end()
