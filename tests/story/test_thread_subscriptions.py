"""Which threads one follows (MSC4306), and how one's other devices learn of it (MSC4308)."""

from tests.support.client import Client, Json, seg, unique
from tests.support.sliding import Sliding

ALL = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions"
EXTENSION = "io.element.msc4308.thread_subscriptions"


def path(room: str, root: str) -> str:
    """The path of the asker's subscription to a thread."""
    return f"/_matrix/client/unstable/io.element.msc4306/rooms/{seg(room)}/thread/{seg(root)}/subscription"


def reply(user: Client, room: str, root: str) -> str:
    """An answer in a thread."""
    content = {"msgtype": "m.text", "body": "so", "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    where = f"/rooms/{seg(room)}/send/m.room.message/{seg(unique('txn'))}"
    return str(user.must("PUT", where, content)["event_id"])


def extension(user: Client, **options: int) -> Sliding:
    """A connection that wants to know of subscriptions alone."""
    sliding = Sliding(user)
    sliding.extensions = {EXTENSION: {"enabled": True, **options}}
    return sliding


def told(sliding: Sliding) -> Json:
    """What the next answer says of them."""
    found: Json = sliding.sync()["extensions"].get(EXTENSION, {})
    return found


def test_a_thread_is_followed_and_left(alice: Client, bob: Client) -> None:
    """What the user chose is not turned into what the client does by itself; leaving twice is no error."""
    room = alice.create_room()
    root = alice.send(room, "what do you think?")
    answer = reply(alice, room, root)
    alice.refused("M_NOT_FOUND", 404, "GET", path(room, root))
    assert alice.must("PUT", path(room, root), {"automatic": answer}) == {}
    assert alice.must("GET", path(room, root)) == {"automatic": True}
    alice.must("PUT", path(room, root), {})
    assert alice.must("GET", path(room, root)) == {"automatic": False}
    alice.must("PUT", path(room, root), {"automatic": answer})
    assert alice.must("GET", path(room, root)) == {"automatic": False}
    assert alice.must("DELETE", path(room, root)) == {}
    assert alice.must("DELETE", path(room, root)) == {}
    alice.refused("M_NOT_FOUND", 404, "GET", path(room, root))
    for method in ("GET", "PUT", "DELETE"):
        bob.refused("M_NOT_FOUND", 404, method, path(room, root), {})
        alice.refused("M_NOT_FOUND", 404, method, path(room, "$unknown"), {})
    alice.refused("M_BAD_JSON", 400, "PUT", path(room, root), {"automatic": 5})


def test_a_client_follows_by_itself_only_for_an_event_of_the_thread(alice: Client) -> None:
    """Not for its root, for another thread's, or for none; and not for what was said before the user left it."""
    room = alice.create_room()
    root, other = alice.send(room, "one"), alice.send(room, "two")
    for cause in (root, reply(alice, room, other), "$unknown"):
        alice.refused("IO.ELEMENT.MSC4306.M_NOT_IN_THREAD", 400, "PUT", path(room, root), {"automatic": cause})
    first = reply(alice, room, root)
    alice.must("PUT", path(room, root), {"automatic": first})
    second = reply(alice, room, root)
    alice.must("DELETE", path(room, root))
    third = reply(alice, room, root)
    conflict = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION"
    for cause in (first, second):
        alice.refused(conflict, 409, "PUT", path(room, root), {"automatic": cause})
        alice.refused("M_NOT_FOUND", 404, "GET", path(room, root))
    alice.must("PUT", path(room, root), {"automatic": third})
    assert alice.must("GET", path(room, root)) == {"automatic": True}


def test_other_devices_learn_of_it(alice: Client) -> None:
    """By sliding sync: at first all that there is, then what changed; a waiting one is woken."""
    room = alice.create_room()
    roots = [alice.send(room, f"{number}") for number in range(3)]
    phone = extension(alice.login())
    assert told(phone) == {}
    alice.must("PUT", path(room, roots[0]), {})
    found = told(phone)
    stamp = found["subscribed"][room][roots[0]].pop("bump_stamp")
    assert found == {"subscribed": {room: {roots[0]: {"automatic": False}}}}
    assert stamp > 0
    assert told(phone) == {}
    alice.must("DELETE", path(room, roots[0]))
    alice.must("PUT", path(room, roots[1]), {"automatic": reply(alice, room, roots[1])})
    found = told(phone)
    assert found["unsubscribed"][room].keys() == {roots[0]}
    assert found["unsubscribed"][room][roots[0]].keys() == {"bump_stamp"}
    assert found["subscribed"][room][roots[1]]["automatic"] is True
    assert told(extension(alice)).keys() == {"subscribed", "unsubscribed"}


def test_what_is_too_much_is_paged(alice: Client) -> None:
    """The latest come first; the rest is asked for from where that ended, up to a token of a sync."""
    room = alice.create_room()
    alice.sync()
    before = alice.since
    roots = [alice.send(room, f"{number}") for number in range(5)]
    for root in roots:
        alice.must("PUT", path(room, root), {})
    first = told(extension(alice, limit=2))
    assert first["subscribed"][room].keys() == set(roots[3:])
    second = alice.must("GET", ALL, dir="b", limit=2, to=before, **{"from": first["prev_batch"]})
    assert second["subscribed"][room].keys() == {roots[1], roots[2]}
    last = alice.must("GET", ALL, dir="b", limit=2, to=before, **{"from": second["end"]})
    assert last["subscribed"][room].keys() == {roots[0]}
    assert "end" not in last
    alice.sync()
    assert alice.must("GET", ALL, dir="b", to=alice.since) == {}
    alice.refused("M_INVALID_PARAM", 400, "GET", ALL, dir="f")
