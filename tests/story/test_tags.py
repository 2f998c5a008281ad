"""Room tags (client-server API, module "Room tagging")."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.client import Client, Json, joined, seg


def tags_path(client: Client, room: str, tag: str = "") -> str:
    """The path of a user's tags for a room, or of one of them."""
    path = f"/user/{seg(client.user_id)}/rooms/{seg(room)}/tags"
    return f"{path}/{seg(tag)}" if tag else path


def told(answer: Json, room: str) -> list[Json]:
    """The account data of a room in a sync."""
    found: list[Json] = joined(answer, room).get("account_data", {}).get("events", [])
    return found


def test_tags_are_set_listed_synced_and_removed(alice: Client) -> None:
    """A tag has a content of its own; all of a room's tags are one event of account data, for all devices."""
    room, phone = alice.create_room(), alice.login()
    phone.sync()
    assert alice.must("GET", tags_path(alice, room)) == {"tags": {}}
    assert alice.must("PUT", tags_path(alice, room, "m.favourite"), {"order": 0.25}) == {}
    assert alice.must("PUT", tags_path(alice, room, "u.Küche/Bad"), {}) == {}
    both = {"m.favourite": {"order": 0.25}, "u.Küche/Bad": {}}
    assert alice.must("GET", tags_path(alice, room)) == {"tags": both}
    answer = phone.sync(timeout=10_000)
    assert told(answer, room) == [{"type": "m.tag", "content": {"tags": both}}]
    assert told(alice.sync(), room) == told(answer, room)
    assert alice.must("DELETE", tags_path(alice, room, "m.favourite")) == {}
    assert alice.must("GET", tags_path(alice, room)) == {"tags": {"u.Küche/Bad": {}}}
    assert alice.must("DELETE", tags_path(alice, room, "u.Küche/Bad")) == {}
    assert told(phone.sync(), room) == [{"type": "m.tag", "content": {"tags": {}}}]


def test_a_tag_set_again_is_replaced(alice: Client) -> None:
    """The last content counts; removing what is not there changes nothing and is told to nobody."""
    room = alice.create_room()
    alice.must("PUT", tags_path(alice, room, "u.work"), {"order": 0.1, "org.example.colour": "red"})
    alice.must("PUT", tags_path(alice, room, "u.work"), {"order": 1})
    alice.sync()
    assert alice.must("DELETE", tags_path(alice, room, "u.play")) == {}
    assert "rooms" not in alice.sync()
    assert alice.must("GET", tags_path(alice, room)) == {"tags": {"u.work": {"order": 1}}}


def test_tags_set_at_the_same_time(alice: Client) -> None:
    """None of them is lost."""
    room = alice.create_room()
    names = [f"u.{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: alice.must("PUT", tags_path(alice, room, name), {}), names))
    assert alice.must("GET", tags_path(alice, room))["tags"].keys() == set(names)


def test_what_a_client_wrote_as_account_data(alice: Client) -> None:
    """Whatever was written there by other means does not break the tags."""
    room = alice.create_room()
    alice.must("PUT", tags_path(alice, room)[: -len("tags")] + "account_data/m.tag", {"tags": [], "more": 1})
    assert alice.must("GET", tags_path(alice, room)) == {"tags": {}}
    alice.must("PUT", tags_path(alice, room, "u.new"), {})
    assert alice.must("GET", tags_path(alice, room)) == {"tags": {"u.new": {}}}


def test_refusals(alice: Client, bob: Client) -> None:
    """Another user's tags, names that are too long, orders that are no numbers, and what is no room."""
    room = alice.create_room()
    for method, path, content in (("GET", "", None), ("PUT", "u.x", {}), ("DELETE", "u.x", None)):
        bob.refused("M_FORBIDDEN", 403, method, tags_path(alice, room, path), content)
    alice.refused("M_INVALID_PARAM", 400, "PUT", tags_path(alice, room, "u." + "ü" * 127), {})
    assert alice.must("PUT", tags_path(alice, room, "u." + "x" * 253), {}) == {}
    alice.refused("M_BAD_JSON", 400, "PUT", tags_path(alice, room, "u.x"), {"order": "first"})
    alice.refused("M_BAD_JSON", 400, "PUT", tags_path(alice, room, "u.x"), [])
    alice.refused("M_INVALID_PARAM", 400, "PUT", tags_path(alice, "nowhere", "u.x"), {})


def test_contents_that_are_nested(alice: Client) -> None:
    """As deep as it may be it can be read again, and what is too deep is refused."""
    room, seen = alice.create_room(), set()
    for levels in range(96, 102):
        content: Json = {}
        for _ in range(levels):
            content = {"a": content}
        status = alice.ask("PUT", tags_path(alice, room, f"u.{levels}"), content).status_code
        assert (f"u.{levels}" in alice.must("GET", tags_path(alice, room))["tags"]) == (status == 200)
        seen.add(status)
    assert seen == {200, 400}


def test_what_was_kept_before_joining_is_told_on_joining(alice: Client, bob: Client) -> None:
    """The private data that this user has attached to this room, whenever that was: also before they came (back)."""
    room = bob.create_room(preset="public_chat")
    alice.must("PUT", tags_path(alice, room, "u.later"), {})
    alice.sync()
    alice.join(room)
    expected = [{"type": "m.tag", "content": {"tags": {"u.later": {}}}}]
    assert told(alice.sync_until(lambda sync: joined(sync, room)), room) == expected
    alice.leave(room)
    alice.sync()
    alice.join(room)
    assert told(alice.sync_until(lambda sync: joined(sync, room)), room) == expected


def test_a_room_has_so_many_tags(alice: Client) -> None:
    """What is there can still be changed and taken away."""
    room = alice.create_room()
    for name in ("u.a", "u.b"):
        alice.must("PUT", tags_path(alice, room, name), {"x": "x" * 30_000})
    alice.refused("M_TOO_LARGE", 413, "PUT", tags_path(alice, room, "u.c"), {"x": "x" * 30_000})
    alice.must("PUT", tags_path(alice, room, "u.a"), {})
    alice.must("PUT", tags_path(alice, room, "u.c"), {"x": "x" * 30_000})
    alice.must("DELETE", tags_path(alice, room, "u.b"))
    assert list(alice.must("GET", tags_path(alice, room))["tags"]) == ["u.a", "u.c"]
