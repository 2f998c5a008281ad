"""What is unread (client-server API, modules "Push notifications", "Receipts" and "Threading")."""

import json
from pathlib import Path
from typing import Any

from tests.support.client import Client, Json, joined, seg, timeline, unique
from tests.support.hearth import HearthProcess

THREADS = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})


def say(client: Client, room: str, text: str, **content: Any) -> str:
    """Send a message with more in its content."""
    path = f"/rooms/{seg(room)}/send/m.room.message/{unique('txn')}"
    return str(client.must("PUT", path, {"msgtype": "m.text", "body": text, **content})["event_id"])


def thread(root: str) -> Json:
    """The content of what is in a thread."""
    return {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}


def mention(*clients: Client) -> Json:
    """The content of what mentions somebody."""
    return {"m.mentions": {"user_ids": [client.user_id for client in clients]}}


def counts(client: Client, room: str) -> tuple[int, int]:
    """(notifications, highlights) of a room, as a first sync tells them."""
    return told(client.must("GET", "/sync"), room)


def told(sync: Json, room: str) -> tuple[int, int]:
    """(notifications, highlights) of a room, as a sync tells them."""
    found = joined(sync, room)["unread_notifications"]
    return found["notification_count"], found["highlight_count"]


def by_thread(client: Client, room: str) -> dict[str, tuple[int, int]]:
    """The same by thread, '' being the main timeline."""
    section = joined(client.must("GET", "/sync", filter=THREADS), room)
    parts = {"": section["unread_notifications"], **section.get("unread_thread_notifications", {})}
    return {root: (part["notification_count"], part["highlight_count"]) for root, part in parts.items()}


def read(client: Client, room: str, event: str, *, kind: str = "m.read", **body: str) -> None:
    """Send a receipt."""
    client.must("POST", f"/rooms/{seg(room)}/receipt/{kind}/{seg(event)}", body)


def room_of(alice: Client, *others: Client) -> str:
    """A room in which all of them are."""
    room = alice.create_room(preset="public_chat")
    for other in others:
        other.join(room)
    return room


def test_messages_are_counted_until_they_are_read(alice: Client, bob: Client) -> None:
    """The updated notification count from a new event MUST appear in the same /sync response as the event itself."""
    carol = Client.register(alice.url)
    room = room_of(alice, bob, carol)
    bob.since = None
    assert told(bob.sync(), room) == (0, 0)
    first = say(alice, room, "one")
    sync = bob.sync()
    assert [event["event_id"] for event in timeline(sync, room)] == [first]
    assert told(sync, room) == (1, 0)
    say(alice, room, "two", **mention(bob))
    third = say(alice, room, "three")
    say(alice, room, "quiet", msgtype="m.notice")
    alice.set_state(room, "m.room.topic", {"topic": "x"})
    assert told(bob.sync(), room) == counts(bob, room) == (3, 1)
    assert counts(carol, room) == (3, 0)
    assert counts(alice, room) == (0, 0)
    read(bob, room, first)
    assert told(bob.sync(), room) == (2, 1)
    read(bob, room, third, kind="m.read.private")
    assert told(bob.sync(), room) == counts(bob, room) == (0, 0)
    # The receipt that is further ahead counts.
    read(bob, room, first)
    assert counts(bob, room) == (0, 0)
    assert counts(carol, room) == (3, 0)


def test_a_receipt_alone_changes_the_counts(alice: Client, bob: Client) -> None:
    """Another device learns that its user has read, even if it wants no receipts."""
    room = room_of(alice, bob)
    last = say(alice, room, "one")
    quiet = json.dumps({"room": {"ephemeral": {"types": []}}})
    bob.since = None
    assert told(bob.sync(filter=quiet), room) == (1, 0)
    read(alice, room, last)
    assert joined(bob.sync(filter=quiet), room) == {}
    read(bob, room, last)
    section = joined(bob.sync(filter=quiet), room)
    assert section["unread_notifications"] == {"notification_count": 0, "highlight_count": 0}
    assert section["timeline"]["events"] == []
    assert joined(bob.sync(filter=quiet), room) == {}


def test_who_says_something_has_read(alice: Client, bob: Client) -> None:
    """When the user updates their read receipt by sending an event, notifications prior to it are marked as read."""
    room = room_of(alice, bob)
    root = say(alice, room, "root")
    say(alice, room, "reply", **thread(root))
    assert by_thread(bob, room) == {"": (1, 0), root: (1, 0)}
    say(bob, room, "here")
    assert by_thread(bob, room) == {"": (0, 0), root: (1, 0)}
    say(alice, room, "more")
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Bob"})
    assert by_thread(bob, room) == {"": (1, 0), root: (1, 0)}
    say(bob, room, "there", **thread(root))
    assert by_thread(bob, room) == {"": (1, 0)}
    assert by_thread(alice, room) == {"": (0, 0), root: (1, 0)}
    # What came before they said something is read, and what comes after it is not, whether or not they looked between.
    say(alice, room, "one")
    say(alice, room, "two", **thread(root))
    say(bob, room, "three")
    say(alice, room, "four")
    assert by_thread(bob, room) == {"": (1, 0), root: (1, 0)}


def test_threads(alice: Client, bob: Client) -> None:
    """Counts are by thread where that is asked for; a threaded receipt reads its thread, another one all up to it."""
    room = room_of(alice, bob, Client.register(alice.url))
    a = say(alice, room, "A")
    b = say(alice, room, "B", **thread(a))
    say(alice, room, "C", **thread(a), **mention(bob))
    d = say(alice, room, "D", **mention(bob))
    e = say(alice, room, "E", **thread(a))
    f = say(alice, room, "F", **{"m.relates_to": {"rel_type": "m.reference", "event_id": a}})
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": f, "key": "x"}}
    g = alice.must("PUT", f"/rooms/{seg(room)}/send/m.reaction/{unique('t')}", reaction)["event_id"]
    assert counts(bob, room) == (6, 2)
    assert by_thread(bob, room) == {"": (3, 1), a: (3, 1)}
    read(bob, room, a, thread_id="main")
    assert by_thread(bob, room) == {"": (2, 1), a: (3, 1)}
    read(bob, room, b, thread_id=a)
    assert by_thread(bob, room) == {"": (2, 1), a: (2, 1)}
    assert counts(bob, room) == (4, 2)
    read(bob, room, d)
    assert by_thread(bob, room) == {"": (1, 0), a: (1, 0)}
    read(bob, room, g, thread_id=a)
    assert by_thread(bob, room) == {"": (1, 0)}
    # What relates to something in a thread belongs to it.
    say(alice, room, "H", **{"m.relates_to": {"rel_type": "m.reference", "event_id": e}})
    assert by_thread(bob, room) == {"": (1, 0), a: (1, 0)}
    other = say(alice, room, "I", **thread(d))
    assert by_thread(bob, room) == {"": (1, 0), a: (1, 0), d: (1, 0)}
    read(bob, room, other)
    assert by_thread(bob, room) == {"": (0, 0)}


def test_redacted_messages_are_not_counted(alice: Client, bob: Client) -> None:
    """What is gone is nothing to read."""
    room = room_of(alice, bob)
    one, two = say(alice, room, "one", **mention(bob)), say(alice, room, "two")
    bob.sync()
    assert counts(bob, room) == (2, 1)
    alice.redact(room, one)
    assert told(bob.sync(), room) == counts(bob, room) == (1, 0)
    alice.redact(room, two)
    assert told(bob.sync(), room) == (0, 0)
    say(alice, room, "three")
    assert counts(bob, room) == (1, 0)


def test_ignored_users_are_not_counted(alice: Client, bob: Client) -> None:
    """Servers must not notify of what ignored users say."""
    carol, dave = Client.register(alice.url), Client.register(alice.url)
    room = room_of(alice, carol, dave)
    say(alice, room, "one", **mention(carol))
    assert counts(carol, room) == (1, 1)
    content = {"ignored_users": {alice.user_id: {}}}
    path = f"/user/{seg(carol.user_id)}/account_data/m.ignored_user_list"
    carol.must("PUT", path, content)
    assert counts(carol, room) == (0, 0)
    say(alice, room, "two", **mention(carol))
    say(dave, room, "three")
    assert counts(carol, room) == (1, 0)
    assert counts(dave, room) == (0, 0)
    carol.must("PUT", path, {"ignored_users": {}})
    assert counts(carol, room) == (3, 2)


def test_coming_into_a_room(alice: Client) -> None:
    """Whoever comes in, or comes back, begins with nothing unread."""
    erin = Client.register(alice.url)
    room = room_of(alice)
    say(alice, room, "before", **mention(erin))
    erin.join(room)
    assert counts(erin, room) == (0, 0)
    say(alice, room, "between")
    assert counts(erin, room) == (1, 0)
    erin.leave(room)
    say(alice, room, "away", **mention(erin))
    erin.join(room)
    assert counts(erin, room) == (0, 0)
    say(alice, room, "again", **mention(erin))
    assert counts(erin, room) == (1, 1)


def test_rules_count_from_when_they_were_changed(alice: Client) -> None:
    """Each event is judged by the rules that its reader had when it came."""
    erin = Client.register(alice.url)
    room = room_of(alice, erin)
    rule = f"/pushrules/global/room/{seg(room)}"
    say(alice, room, "one")
    erin.must("PUT", rule, {"actions": []})
    say(alice, room, "two", **mention(erin))
    say(alice, room, "three")
    assert counts(erin, room) == (2, 1)
    loud = ["notify", {"set_tweak": "highlight"}]
    erin.must("PUT", "/pushrules/global/content/tea", {"pattern": "tea", "actions": loud})
    say(alice, room, "time for tea")
    say(alice, room, "four")
    assert counts(erin, room) == (3, 2)
    erin.must("DELETE", rule)
    say(alice, room, "five")
    assert counts(erin, room) == (4, 2)
    erin.must("PUT", "/pushrules/global/override/.m.rule.master/enabled", {"enabled": True})
    last = say(alice, room, "six", **mention(erin))
    assert counts(erin, room) == (4, 2)
    read(erin, room, last)
    assert counts(erin, room) == (0, 0)


def test_many_in_a_room_count_each_for_themselves(alice: Client) -> None:
    """Those who have the same rules are judged together and read apart."""
    others = [Client.register(alice.url) for _ in range(4)]
    room = room_of(alice, *others)
    others[0].must("PUT", f"/pushrules/global/room/{seg(room)}", {"actions": []})
    first = say(alice, room, "@room", **{"m.mentions": {"room": True}})
    say(others[1], room, "hello", **mention(others[0], others[2]))
    read(others[3], room, first)
    assert [counts(one, room) for one in others] == [(2, 2), (0, 0), (2, 2), (1, 0)]
    assert counts(alice, room) == (1, 0)


def test_what_is_stored_is_what_is_in_memory(tmp_path: Path) -> None:
    """After a restart the counts are the same."""
    server = HearthProcess(tmp_path / "data").start()
    alice, bob = Client.register(server.url), Client.register(server.url)
    room = room_of(alice, bob)
    root = say(alice, room, "root", **mention(bob))
    say(alice, room, "reply", **thread(root))
    say(alice, room, "next")
    bob.must("PUT", f"/pushrules/global/room/{seg(room)}", {"actions": []})
    say(alice, room, "muted")
    say(alice, room, "heard", **mention(bob))
    expected = {"": (3, 2), root: (1, 0)}
    assert by_thread(bob, room) == expected
    server.stop()
    server.start()
    assert by_thread(bob, room) == expected
    say(alice, room, "more", **mention(bob))
    assert by_thread(bob, room) == {"": (4, 3), root: (1, 0)}
    server.end()


# GET /notifications -----------------------------------------------------------------------------------------------


def test_the_list_of_notifications(alice: Client, bob: Client) -> None:
    """It has what the user was notified of, the latest first, with whether it was read, in pages."""
    rooms = [room_of(alice, bob) for _ in range(3)]
    sent = [say(alice, rooms[number % 3], str(number)) for number in range(7)]
    read(bob, rooms[0], sent[3])
    sent.append(say(alice, rooms[1], "you", **mention(bob)))
    say(bob, rooms[2], "mine")
    invited = alice.create_room(name="for bob")
    alice.invite(invited, bob)
    found, query = [], {}
    while True:
        page = bob.must("GET", "/notifications", limit=3, **query)
        assert len(page["notifications"]) <= 3
        found += page["notifications"]
        if "next_token" not in page:
            break
        query = {"from": page["next_token"]}
    first, *rest = found
    assert first["room_id"] == invited
    assert (first["event"]["type"], first["event"]["state_key"]) == ("m.room.member", bob.user_id)
    assert [one["event"]["event_id"] for one in rest] == sent[::-1]
    assert [one["room_id"] for one in rest] == [rooms[1], *(rooms[number % 3] for number in reversed(range(7)))]
    # Bob has read the first room up to the fourth message, and has spoken last in the third.
    assert [one["read"] for one in rest] == [False, False, True, False, True, True, False, True]
    assert rest[0]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
    assert rest[1]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}]
    assert rest[1]["ts"] == rest[1]["event"]["origin_server_ts"]
    assert "room_id" not in rest[1]["event"]
    loud = bob.must("GET", "/notifications", only="highlight")
    assert [one["event"]["event_id"] for one in loud["notifications"]] == [sent[-1]]
    assert "next_token" not in loud
    assert alice.must("GET", "/notifications")["notifications"][0]["event"]["content"]["body"] == "mine"
    bob.refused("M_INVALID_PARAM", 400, "GET", "/notifications", **{"from": "nowhere"})
    bob.must("PUT", f"/pushrules/global/room/{seg(rooms[0])}", {"actions": []})
    say(alice, rooms[0], "muted")
    alice.redact(rooms[1], sent[-1])
    page = bob.must("GET", "/notifications", limit=2)
    assert [one["event"]["event_id"] for one in page["notifications"]][1:] == [sent[6]]
