"""Receipts and fully-read markers (client-server API, modules "Receipts" and "Read and unread markers")."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, Json, joined, seg, together, unique
from tests.support.hearth import HearthProcess


def read(client: Client, room: str, event_id: str, kind: str = "m.read", **content: Any) -> Json:
    """Send a receipt."""
    return client.must("POST", f"/rooms/{seg(room)}/receipt/{kind}/{seg(event_id)}", content)


def ephemeral(answer: Json, room: str) -> list[Json]:
    """The ephemeral events of a room in a sync."""
    found: list[Json] = joined(answer, room).get("ephemeral", {}).get("events", [])
    return found


def receipts(answer: Json, room: str) -> set[tuple[str, str, str, str]]:
    """(event, type, user, thread) of the receipts of a room in a sync."""
    found = set()
    for event in ephemeral(answer, room):
        assert event.keys() == {"type", "content"}
        assert event["type"] == "m.receipt"
        for event_id, kinds in event["content"].items():
            for kind, users in kinds.items():
                for user_id, data in users.items():
                    assert data.keys() - {"thread_id"} == {"ts"}
                    assert isinstance(data["ts"], int)
                    found.add((event_id, kind, user_id, data.get("thread_id", "")))
    return found


def marker(client: Client, room: str) -> str:
    """Where a user's fully-read marker is."""
    path = f"/user/{seg(client.user_id)}/rooms/{seg(room)}/account_data/m.fully_read"
    return str(client.must("GET", path)["event_id"])


def reply(client: Client, room: str, kind: str, event_id: str) -> str:
    """Send a message that relates to another event."""
    content = {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": kind, "event_id": event_id, "key": "x"}}
    path = f"/rooms/{seg(room)}/send/m.room.message/{seg(unique('txn'))}"
    return str(client.must("PUT", path, content)["event_id"])


@pytest.fixture
def room(alice: Client, bob: Client) -> str:
    """A room with both, who have heard of everything in it."""
    return together(alice, bob)


# Receipts ---------------------------------------------------------------------------------------------------------


def test_a_receipt_is_told_to_everybody_in_the_room(alice: Client, bob: Client, room: str) -> None:
    """Once, with its time and without a room id; a room with nothing else has an empty timeline."""
    said = alice.send(room, "hello")
    alice.sync()
    bob.sync()
    assert read(bob, room, said) == {}
    for client in (alice, bob):
        answer = client.sync_until(lambda sync: ephemeral(sync, room))
        assert receipts(answer, room) == {(said, "m.read", bob.user_id, "")}
        assert joined(answer, room)["timeline"]["events"] == []
        assert joined(answer, room)["timeline"]["limited"] is False
        assert "rooms" not in client.sync()


def test_a_first_sync_tells_the_receipts_that_there_are(alice: Client, bob: Client, room: str) -> None:
    """To a new device and to somebody who comes in, with one's own private ones and nobody else's."""
    said = alice.send(room, "hello")
    read(bob, room, said)
    read(bob, room, said, "m.read.private")
    read(alice, room, said, "m.read.private")
    public = (said, "m.read", bob.user_id, "")
    assert receipts(bob.login().sync(), room) == {public, (said, "m.read.private", bob.user_id, "")}
    assert receipts(alice.login().sync(), room) == {public, (said, "m.read.private", alice.user_id, "")}
    carol = Client.register(alice.url)
    carol.sync()
    carol.join(room)
    assert receipts(carol.sync(), room) == {public}


def test_private_receipts_are_private(alice: Client, bob: Client, room: str) -> None:
    """Servers must not send m.read.private to any other user than the one who sent it; their devices get it."""
    said = alice.send(room, "hello")
    phone = bob.login()
    for client in (alice, bob, phone):
        client.sync()
    read(bob, room, said, "m.read.private")
    own = {(said, "m.read.private", bob.user_id, "")}
    assert receipts(phone.sync(timeout=10_000), room) == own
    assert receipts(bob.sync(), room) == own
    assert "rooms" not in alice.sync()


def test_receipts_do_not_move_backwards(alice: Client, bob: Client, room: str) -> None:
    """An earlier event, and the same one again, change nothing; public and private ones move each for itself."""
    first, second = alice.send(room, "one"), alice.send(room, "two")
    read(bob, room, second, "m.read.private")
    read(bob, room, first)
    bob.sync()
    read(bob, room, first)
    read(bob, room, first, "m.read.private")
    assert "rooms" not in bob.sync()
    read(bob, room, second)
    assert receipts(bob.sync(), room) == {(second, "m.read", bob.user_id, "")}
    assert receipts(bob.login().sync(), room) == {
        (second, "m.read", bob.user_id, ""),
        (second, "m.read.private", bob.user_id, ""),
    }


def test_events_that_are_not_there(alice: Client, bob: Client, room: str) -> None:
    """An event that nobody knows, or that is in another room, changes nothing."""
    elsewhere = bob.create_room()
    other = bob.send(elsewhere, "elsewhere")
    bob.sync()
    for event_id in ("$unknown", "~local:echo.1", other):
        for kind in ("m.read", "m.read.private", "m.fully_read"):
            assert read(bob, room, event_id, kind) == {}
    assert "rooms" not in bob.sync()


def test_receipts_survive_a_restart(tmp_path: Path) -> None:
    """Receipts are durable, and told to a token from before the restart once."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = Client.register(server.url), Client.register(server.url)
        room = alice.create_room(preset="public_chat")
        bob.join(room)
        said = alice.send(room, "hello")
        alice.sync()
        read(bob, room, said)
        server.kill()
        server.start()
        assert receipts(alice.sync(), room) == {(said, "m.read", bob.user_id, "")}
        assert "rooms" not in alice.sync()
        assert receipts(bob.login().sync(), room) == {(said, "m.read", bob.user_id, "")}
    finally:
        server.end()


def test_a_token_used_again_tells_the_same(alice: Client, bob: Client, room: str) -> None:
    """What was told once is told again after the same token."""
    said = alice.send(room, "hello")
    since = alice.since
    read(bob, room, said)
    assert ephemeral(alice.sync(since=since), room) == ephemeral(alice.sync(since=since), room) != []


def test_filters(alice: Client, bob: Client, room: str) -> None:
    """A filter for ephemeral events is honoured, in first syncs too."""
    said = alice.send(room, "hello")
    bob.sync()
    since = bob.since
    read(alice, room, said)
    for rule in ('{"types":["m.typing"]}', '{"not_types":["m.receipt"]}', f'{{"not_rooms":["{room}"]}}'):
        chosen = f'{{"room":{{"ephemeral":{rule}}}}}'
        assert "rooms" not in bob.sync(since=since, filter=chosen)
        assert not ephemeral(bob.login().sync(filter=chosen), room)
    assert receipts(bob.sync(since=since, filter='{"room":{"ephemeral":{"types":["m.rec*"]}}}'), room)


# Threads ----------------------------------------------------------------------------------------------------------


def test_each_thread_has_a_receipt_of_its_own(alice: Client, bob: Client, room: str) -> None:
    """Each user, type and thread has one event; threaded ones do not replace the one without a thread."""
    root = alice.send(room, "root")
    answered = reply(alice, room, "m.thread", root)
    last = alice.send(room, "last")
    bob.sync()
    read(bob, room, last)
    read(bob, room, answered, thread_id=root)
    read(bob, room, root, thread_id="main")
    expected = {
        (last, "m.read", bob.user_id, ""),
        (answered, "m.read", bob.user_id, root),
        (root, "m.read", bob.user_id, "main"),
    }
    assert receipts(bob.sync(), room) == expected
    assert receipts(alice.login().sync(), room) == expected
    read(bob, room, last, thread_id="main")
    assert receipts(bob.sync(), room) == {(last, "m.read", bob.user_id, "main")}


def test_receipts_that_meet_in_one_event(alice: Client, bob: Client, room: str) -> None:
    """Where a threaded receipt meets one without a thread, the latter is sent (MSC4102); two threads are both told."""
    root = alice.send(room, "root")
    answered = reply(alice, room, "m.thread", root)
    bob.sync()
    read(bob, room, answered)
    read(bob, room, answered, thread_id=root)
    read(bob, room, root, thread_id=root)
    assert receipts(bob.sync(), room) == {(answered, "m.read", bob.user_id, "")}
    read(alice, room, root, thread_id=root)
    read(alice, room, root, thread_id="main")
    both = {(root, "m.read", alice.user_id, root), (root, "m.read", alice.user_id, "main")}
    assert receipts(bob.sync(), room) == both


def test_an_event_must_have_to_do_with_its_thread(alice: Client, bob: Client, room: str) -> None:
    """Roots and what relates to them by whatever chain belong to a thread; replies in it are not in main."""
    root, other = alice.send(room, "root"), alice.send(room, "other")
    answered = reply(alice, room, "m.thread", root)
    about = reply(alice, room, "m.reference", root)
    reaction = reply(alice, room, "m.annotation", about)
    edit = reply(alice, room, "m.replace", answered)
    for event_id, thread in (
        (root, root), (answered, root), (about, root), (reaction, root), (edit, root),
        (root, "main"), (about, "main"), (reaction, "main"), (other, "main"),
    ):  # fmt: skip
        assert read(bob, room, event_id, thread_id=thread) == {}
    for event_id, thread in ((other, root), (answered, "main"), (edit, "main"), (root, other), (answered, "$no")):
        path = f"/rooms/{seg(room)}/receipt/m.read/{seg(event_id)}"
        bob.refused("M_INVALID_PARAM", 400, "POST", path, {"thread_id": thread})


@pytest.mark.parametrize("thread_id", ["", None, 5, ["main"]])
def test_thread_ids_that_are_none(alice: Client, room: str, thread_id: object) -> None:
    """A thread_id must be a string and not empty."""
    path = f"/rooms/{seg(room)}/receipt/m.read/{seg(alice.send(room, 'hello'))}"
    alice.refused("M_INVALID_PARAM", 400, "POST", path, {"thread_id": thread_id})


# Markers ----------------------------------------------------------------------------------------------------------


def test_markers_move_together(alice: Client, room: str) -> None:
    """The fully-read marker is account data of the room and no receipt; receipts move in the same request."""
    said = alice.send(room, "hello")
    alice.sync()
    content = {"m.fully_read": said, "m.read": said, "m.read.private": said}
    assert alice.must("POST", f"/rooms/{seg(room)}/read_markers", content) == {}
    answer = alice.sync(timeout=10_000)
    assert joined(answer, room)["account_data"]["events"] == [{"type": "m.fully_read", "content": {"event_id": said}}]
    assert receipts(answer, room) == {
        (said, "m.read", alice.user_id, ""),
        (said, "m.read.private", alice.user_id, ""),
    }
    assert marker(alice, room) == said
    assert alice.must("POST", f"/rooms/{seg(room)}/read_markers", {}) == {}


def test_the_marker_moves_backwards_only_where_that_is_wanted(alice: Client, room: str) -> None:
    """By read_markers and by a receipt of type m.fully_read alike."""
    first, second = alice.send(room, "one"), alice.send(room, "two")
    path = f"/rooms/{seg(room)}/read_markers"
    read(alice, room, second, "m.fully_read")
    alice.sync()
    alice.must("POST", path, {"m.fully_read": first})
    read(alice, room, first, "m.fully_read")
    assert "rooms" not in alice.sync()
    assert marker(alice, room) == second
    alice.must("POST", path, {"m.fully_read": first, "com.beeper.allow_backward": True})
    assert marker(alice, room) == first


def test_refusals(alice: Client, bob: Client, room: str) -> None:
    """Other types, threads for the marker, ids that are no text, and rooms that one is not in."""
    said = alice.send(room, "hello")
    path = f"/rooms/{seg(room)}/receipt/"
    alice.refused("M_INVALID_PARAM", 400, "POST", path + f"m.seen/{seg(said)}", {})
    alice.refused("M_INVALID_PARAM", 400, "POST", path + f"m.fully_read/{seg(said)}", {"thread_id": "main"})
    alice.refused("M_BAD_JSON", 400, "POST", f"/rooms/{seg(room)}/read_markers", {"m.read": 1})
    alice.refused("M_BAD_JSON", 400, "POST", f"/rooms/{seg(room)}/read_markers", [])
    stranger = Client.register(alice.url)
    for kind in ("m.read", "m.read.private", "m.fully_read"):
        stranger.refused("M_FORBIDDEN", 403, "POST", path + f"{kind}/{seg(said)}", {})
    stranger.refused("M_FORBIDDEN", 403, "POST", f"/rooms/{seg(room)}/read_markers", {"m.read": said})
    own = f"/user/{seg(alice.user_id)}/rooms/{seg(room)}/account_data/m.fully_read"
    alice.refused("M_BAD_JSON", 405, "PUT", own, {"event_id": said})
