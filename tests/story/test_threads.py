"""Threads (client-server API, module "Threading")."""

from typing import Any

from tests.support.client import Client, Json, seg
from tests.support.related import V1, bundle, edit, ids, relate


def threads(client: Client, room: str, **query: Any) -> Json:
    """A page of the threads of a room."""
    return client.must("GET", f"{V1}/rooms/{seg(room)}/threads", **query)


def latest(page: Json) -> list[tuple[str, str]]:
    """Each thread's root with its last event."""
    return [(one["event_id"], bundle(one)["m.thread"]["latest_event"]["event_id"]) for one in page["chunk"]]


def test_told_with_the_root(alice: Client, bob: Client) -> None:
    """How many events there are, the last one with what is told of it, and whether the asker took part."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol = Client.register(alice.url)
    carol.join(room)
    root = alice.send(room, "root")
    relate(bob, room, root, "m.thread")
    last = relate(bob, room, root, "m.thread", body="last")
    edit(bob, room, last, "better")
    for who, took_part in ((alice, True), (bob, True), (carol, False)):
        told = bundle(who.event(room, root))["m.thread"]
        assert (told["count"], told["current_user_participated"]) == (2, took_part)
        event = told["latest_event"]
        assert (event["event_id"], event["room_id"], event["content"]["body"]) == (last, room, "last")
        assert bundle(event)["m.replace"]["content"]["body"] == "* better"
    relate(carol, room, root, "m.thread")
    assert bundle(carol.event(room, root))["m.thread"]["current_user_participated"] is True


def test_list(alice: Client) -> None:
    """All threads of a room, that of the last event first."""
    room = alice.create_room()
    assert threads(alice, room) == {"chunk": []}
    one, two = alice.send(room, "one"), alice.send(room, "two")
    first, second = relate(alice, room, one, "m.thread"), relate(alice, room, two, "m.thread")
    assert latest(threads(alice, room)) == [(two, second), (one, first)]
    third = relate(alice, room, one, "m.thread")
    assert latest(threads(alice, room)) == [(one, third), (two, second)]
    alice.redact(room, third)
    assert latest(threads(alice, room)) == [(two, second), (one, first)]
    alice.redact(room, first)
    assert latest(threads(alice, room)) == [(two, second)]
    alice.redact(room, two)
    assert latest(threads(alice, room)) == [(two, second)]


def test_list_in_pages(alice: Client, bob: Client) -> None:
    """Page by page, all of them or those in which the asker took part."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    roots = [(bob if number == 3 else alice).send(room, str(number)) for number in range(7)]
    for root in roots:
        relate(alice, room, root, "m.thread")
    relate(bob, room, roots[5], "m.thread")
    relate(bob, room, roots[1], "m.thread")

    def everything(who: Client, **query: Any) -> list[str]:
        found: list[str] = []
        for _ in range(5):
            page = threads(who, room, limit=2, **query)
            found += ids(page)
            if "next_batch" not in page:
                return found
            query["from"] = page["next_batch"]
        raise AssertionError("the list does not end")

    order = [roots[number] for number in (1, 5, 6, 4, 3, 2, 0)]
    assert everything(alice) == order
    assert everything(alice, include="participated") == order
    assert everything(bob) == order
    assert everything(bob, include="participated") == [roots[1], roots[5], roots[3]]
    assert ids(threads(alice, room, limit=1000)) == order
    path = f"{V1}/rooms/{seg(room)}/threads"
    alice.refused("M_INVALID_PARAM", 400, "GET", path, include="some")
    alice.refused("M_INVALID_PARAM", 400, "GET", path, limit="0")
    alice.refused("M_INVALID_PARAM", 400, "GET", path, **{"from": "nonsense"})


def test_whose_threads(alice: Client, bob: Client) -> None:
    """Members see them, former members those of their time, nobody else does."""
    room = alice.create_room(preset="public_chat")
    path = f"{V1}/rooms/{seg(room)}/threads"
    root = alice.send(room, "root")
    before = relate(alice, room, root, "m.thread")
    bob.refused("M_FORBIDDEN", 403, "GET", path)
    bob.refused("M_FORBIDDEN", 403, "GET", f"{V1}/rooms/{seg('!nowhere:x')}/threads")
    bob.join(room)
    bob.leave(room)
    later = alice.send(room, "later")
    relate(alice, room, later, "m.thread")
    assert latest(threads(bob, room)) == [(root, before)]
    after = relate(alice, room, root, "m.thread")
    assert latest(threads(alice, room)) == [(root, after), (later, latest(threads(alice, room))[1][1])]
    assert latest(threads(bob, room)) == [(root, before)]
    assert bundle(bob.event(room, root))["m.thread"]["latest_event"]["event_id"] == before


def test_a_thread_by_an_ignored_user(alice: Client, bob: Client) -> None:
    """Its root is shown without its content, as a client would do it by itself."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    root = bob.send(room, "something nasty")
    relate(alice, room, root, "m.thread")
    path = f"/user/{seg(alice.user_id)}/account_data/m.ignored_user_list"
    alice.must("PUT", path, {"ignored_users": {bob.user_id: {}}})
    (seen,) = threads(alice, room)["chunk"]
    assert (seen["event_id"], seen["content"]) == (root, {})
    assert bundle(seen)["m.thread"]["count"] == 1
