"""Rooms are published, listed and searched (client-server API, "Published room directory")."""

import time
from typing import Any

from tests.support.client import PATIENCE, Client, Json, Refused, seg, unique


def listing(who: Client, **query: Any) -> Json:
    """A page of the published rooms, by POST."""
    return who.must("POST", "/publicRooms", query)


def search(who: Client, term: str, **query: Any) -> Json:
    """The published rooms that a term finds."""
    return listing(who, filter={"generic_search_term": term}, **query)


def ids(page: Json) -> list[str]:
    """The ids of the rooms on a page."""
    return [entry["room_id"] for entry in page["chunk"]]


def publish(who: Client, room: str, visibility: str = "public") -> None:
    """Publish a room or take it back."""
    assert who.must("PUT", f"/directory/list/room/{seg(room)}", {"visibility": visibility}) == {}


def until_found(who: Client, term: str, room: str, **fields: Any) -> None:
    """Search until a room is told with these fields, and no other room."""
    deadline = time.monotonic() + PATIENCE
    while True:
        chunk = search(who, term)["chunk"]
        if [entry["room_id"] for entry in chunk] == [room] and fields.items() <= chunk[0].items():
            return
        if time.monotonic() > deadline:
            raise Refused(f"{fields} was not told: {chunk}")


def test_an_entry_says_all_that_a_room_shows(alice: Client, bob: Client) -> None:
    """Name, topic, alias, picture, how many are in it, who may read and come in, and what kind of room it is."""
    word = unique("wombles")
    room = alice.create_room(
        visibility="public",
        name="Un nom français",
        topic=f"Tea {word}",
        room_alias_name=word,
        creation_content={"type": "m.space"},
        initial_state=[{"type": "m.room.avatar", "content": {"url": "mxc://hearth.example/tea"}}],
    )
    bob.join(room)
    assert search(bob, word)["chunk"] == [
        {
            "room_id": room,
            "name": "Un nom français",
            "topic": f"Tea {word}",
            "canonical_alias": f"#{word}:hearth.example",
            "avatar_url": "mxc://hearth.example/tea",
            "num_joined_members": 2,
            "world_readable": False,
            "guest_can_join": False,
            "join_rule": "public",
            "room_type": "m.space",
        }
    ]


def test_a_room_without_a_name_has_none(alice: Client) -> None:
    """What a room does not say is left out."""
    room = alice.create_room(visibility="public")
    entry = next(one for one in Client(alice.url).must("GET", "/publicRooms")["chunk"] if one["room_id"] == room)
    assert entry.keys() == {"room_id", "num_joined_members", "world_readable", "guest_can_join", "join_rule"}


def test_what_changes_in_a_room_changes_in_its_entry(alice: Client, bob: Client) -> None:
    """The list follows the room: its name, its rules, its members; who takes a word back does so here too."""
    word = unique("porridge")
    room = alice.create_room(visibility="public", name=word)
    until_found(alice, word, room, num_joined_members=1)
    bob.join(room)
    until_found(alice, word, room, num_joined_members=2)
    bob.leave(room)
    until_found(alice, word, room, num_joined_members=1)
    topic = alice.set_state(room, "m.room.topic", {"topic": "Hot"})
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    alice.set_state(room, "m.room.guest_access", {"guest_access": "can_join"})
    alice.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    until_found(alice, word, room, topic="Hot", world_readable=True, guest_can_join=True, join_rule="knock")
    alice.redact(room, topic)
    assert "topic" not in search(alice, word)["chunk"][0]
    alice.set_state(room, "m.room.name", {"name": "Soup"})
    assert ids(search(alice, word)) == []
    alice.leave(room)
    assert room not in ids(listing(alice))


def test_a_room_is_published_and_taken_back(alice: Client, bob: Client) -> None:
    """Whoever may set a room's main alias decides whether it is published."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    where = f"/directory/list/room/{seg(room)}"
    stranger = Client(alice.url)
    assert stranger.must("GET", where) == {"visibility": "private"}
    assert room not in ids(listing(alice))
    bob.refused("M_FORBIDDEN", 403, "PUT", where, {"visibility": "public"})
    stranger.refused("M_MISSING_TOKEN", 401, "PUT", where, {"visibility": "public"})
    publish(alice, room)
    assert stranger.must("GET", where) == {"visibility": "public"}
    assert room in ids(listing(alice))
    publish(alice, room, "private")
    assert stranger.must("GET", where) == {"visibility": "private"}
    assert room not in ids(listing(alice))
    assert alice.must("PUT", where, {}) == {}
    assert stranger.must("GET", where) == {"visibility": "public"}
    alice.refused("M_BAD_JSON", 400, "PUT", where, {"visibility": "secret"})
    unknown = f"/directory/list/room/{seg('!unknown:hearth.example')}"
    alice.refused("M_NOT_FOUND", 404, "GET", unknown)
    alice.refused("M_NOT_FOUND", 404, "PUT", unknown, {"visibility": "public"})


def test_a_replaced_room_hands_over_its_place(alice: Client) -> None:
    """After an upgrade the new room is published and the old one is not."""
    word = unique("phoenix")
    for version, successor in (("11", "12"), ("12", "11")):
        old = alice.create_room(visibility="public", name=word, room_version=version)
        assert ids(search(alice, word)) == [old]
        new = alice.must("POST", f"/rooms/{seg(old)}/upgrade", {"new_version": successor})["replacement_room"]
        assert ids(search(alice, word)) == [new]
        publish(alice, new, "private")


def test_kinds_of_rooms_are_told_apart(alice: Client) -> None:
    """room_types names the kinds that are wanted, null those without one; case does not matter in the term."""
    word = unique("Kinds")
    space = alice.create_room(visibility="public", name=word, creation_content={"type": "m.space"})
    video = alice.create_room(visibility="public", name=word, creation_content={"type": "org.example.video"})
    plain = alice.create_room(visibility="public", name=word)

    def found(*room_types: str | None) -> set[str]:
        query = {"generic_search_term": word.upper(), "room_types": list(room_types)}
        return set(ids(listing(alice, filter=query)))

    assert found("m.space") == {space}
    assert found(None) == {plain}
    assert found(None, "org.example.video") == {plain, video}
    assert found() == set()
    assert set(ids(search(alice, word.lower()))) == {space, video, plain}
    alice.refused("M_BAD_JSON", 400, "POST", "/publicRooms", {"filter": {"room_types": [1]}})


def test_pages(alice: Client, bob: Client) -> None:
    """The fullest rooms come first; tokens lead forwards and back, and no room is missed or told twice."""
    word = unique("pages")
    rooms = [alice.create_room(visibility="public", name=word) for _ in range(5)]
    bob.join(rooms[2])
    order = [rooms[2], rooms[4], rooms[3], rooms[1], rooms[0]]
    first = search(alice, word, limit=2)
    assert ids(first) == order[:2]
    assert "prev_batch" not in first
    second = search(alice, word, limit=2, since=first["next_batch"])
    assert ids(second) == order[2:4]
    # What happens on the pages before must not shift the next one.
    publish(alice, rooms[4], "private")
    third = search(alice, word, limit=2, since=second["next_batch"])
    assert ids(third) == order[4:]
    assert "next_batch" not in third
    back = search(alice, word, limit=2, since=third["prev_batch"])
    assert ids(back) == order[2:4]
    start = search(alice, word, limit=2, since=back["prev_batch"])
    assert ids(start) == [rooms[2]]
    assert "prev_batch" not in start
    assert ids(search(alice, word, limit=2, since=start["next_batch"])) == order[2:4]
    assert first["total_room_count_estimate"] >= 5


def test_a_search_looks_past_what_it_does_not_want(alice: Client) -> None:
    """What is asked for is found among many rooms, forwards and back."""
    word, other = unique("needle"), unique("hay")
    wanted: list[str] = []
    for number in range(60):
        room = alice.create_room(visibility="public", name=word if number % 25 == 0 else other)
        if number % 25 == 0:
            wanted.insert(0, room)
    assert ids(search(alice, word)) == wanted
    pages = [search(alice, word, limit=1)]
    while "next_batch" in pages[-1]:
        pages.append(search(alice, word, limit=1, since=pages[-1]["next_batch"]))
    assert [ids(page) for page in pages] == [[room] for room in wanted]
    back = search(alice, word, limit=1, since=pages[-1]["prev_batch"])
    assert ids(back) == wanted[1:2]


def test_what_cannot_be_listed(alice: Client) -> None:
    """A token that the server did not make is refused, and so are, as yet, other servers' rooms."""
    alice.refused("M_INVALID_PARAM", 400, "POST", "/publicRooms", {"since": "elsewhere"})
    alice.refused("M_INVALID_PARAM", 400, "GET", "/publicRooms", since="elsewhere")
    alice.refused("M_INVALID_PARAM", 400, "GET", "/publicRooms", limit="many")
    alice.refused("M_UNKNOWN", 400, "GET", "/publicRooms", server="elsewhere.example")
    alice.refused("M_UNKNOWN", 400, "POST", "/publicRooms?server=elsewhere.example", {})
    Client(alice.url).refused("M_MISSING_TOKEN", 401, "POST", "/publicRooms", {})
    assert "chunk" in alice.must("GET", "/publicRooms", server="hearth.example", limit="1")
