"""Syncs that wait for something to happen (client-server API, "Syncing")."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import Client, Json, body, joined, seg, timeline

LONG = '{"room":{"timeline":{"limit":100}}}'


@pytest.mark.parametrize("what", ["message", "invitation", "kick", "account data"])
def test_waiting_ends_with_news(alice: Client, bob: Client, what: str) -> None:
    """A sync with a timeout answers as soon as there is something for its user."""
    room = alice.create_room(preset="public_chat")
    if what != "invitation":
        bob.join(room)
    bob.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bob.sync, timeout=60_000)
        other = Client(bob.url, bob.token, bob.user_id)
        if what == "message":
            alice.send(room, "hello")
        elif what == "invitation":
            alice.invite(room, bob)
        elif what == "kick":
            alice.kick(room, bob)
        else:
            other.must("PUT", f"/user/{seg(bob.user_id)}/account_data/a.type", {"a": 1})
        answer = waiting.result(30)
    assert time.monotonic() - began < 30
    assert answer.get("rooms") or answer.get("account_data")


def test_waiting_for_nothing(alice: Client, bob: Client) -> None:
    """Without news the answer comes when the time is over, empty and with a token; others' news are none."""
    room = alice.create_room()
    bob.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bob.sync, timeout=400)
        alice.send(room, "not for Bob")
        answer = waiting.result(30)
    assert time.monotonic() - began >= 0.4
    assert "rooms" not in answer


def test_waiting_through_what_the_filter_hides(alice: Client, bob: Client) -> None:
    """News that the filter does not want end no waiting."""
    room, other = alice.create_room(preset="public_chat"), alice.create_room(preset="public_chat")
    bob.join(room)
    bob.join(other)
    bob.sync()
    with ThreadPoolExecutor(1) as pool:
        query: Any = {"filter": f'{{"room":{{"rooms":["{other}"]}}}}', "timeout": 60_000}
        waiting = pool.submit(bob.sync, **query)
        alice.send(room, "not now")
        alice.send(other, "now")
        answer = waiting.result(30)
    assert answer["rooms"]["join"].keys() == {other}
    assert body(timeline(answer, other)[0]) == "now"


def test_waiting_is_for_those_who_know_something(alice: Client) -> None:
    """A first sync answers at once, however long one would wait."""
    began = time.monotonic()
    alice.sync(timeout=60_000)
    assert time.monotonic() - began < 20


def test_following_while_others_write(alice: Client, bob: Client) -> None:
    """Whoever waits again and again while many write gets each event once, in one order, and the last state."""
    writers = [Client.register(alice.url) for _ in range(4)]
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    for client in (bob, *writers):
        client.join(room)
    bob.sync()

    def write(client: Client) -> list[str]:
        return [
            client.set_state(room, "m.room.topic", {"topic": f"{client.user_id} {number}"})
            if number % 4 == 0
            else client.send(room, str(number))
            for number in range(16)
        ]

    seen: list[Json] = []
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, client) for client in writers]
        deadline = time.monotonic() + 60
        while len(seen) < 64 and time.monotonic() < deadline:
            answer = bob.sync(timeout=2000, filter=LONG)
            assert not joined(answer, room).get("timeline", {}).get("limited")
            seen += timeline(answer, room)
        written = [event_id for one in writing for event_id in one.result(30)]
    ids = [event["event_id"] for event in seen]
    assert sorted(ids) == sorted(written)
    assert ids == [event["event_id"] for event in bob.messages(room, limit=64)["chunk"]][::-1]
    topics = [event["content"] for event in seen if event["type"] == "m.room.topic"]
    assert topics[-1] == bob.state(room, "m.room.topic")
