"""Rooms show themselves to those outside: summaries, and what is in a space (client-server API, "Spaces")."""

from typing import Any

from tests.support.client import Client, Json, seg, unique

SPACE = {"type": "m.space"}
UNSTABLE = "/_matrix/client/unstable/im.nheko.summary"


def space(who: Client, name: str, **more: Any) -> str:
    """A new public space."""
    return who.create_room(preset="public_chat", name=name, creation_content=SPACE, **more)


def link(who: Client, parent: str, child: str, **content: Any) -> None:
    """Put a room into a space."""
    who.set_state(parent, "m.space.child", {"via": ["hearth.example"], **content}, child)


def hierarchy(who: Client, room: str, **query: Any) -> Json:
    """A page of a walk through a space."""
    return who.must("GET", f"/_matrix/client/v1/rooms/{seg(room)}/hierarchy", **query)


def ids(page: Json) -> list[str]:
    """The rooms on a page."""
    return [room["room_id"] for room in page["rooms"]]


def links(page: Json) -> list[tuple[str, str]]:
    """Parent and child of all links that a page shows."""
    return [(room["room_id"], link["state_key"]) for room in page["rooms"] for link in room["children_state"]]


def summary(who: Client, room: str, path: str = "/_matrix/client/v1/room_summary") -> Json:
    """The summary of a room."""
    return who.must("GET", f"{path}/{seg(room)}")


def hidden(who: Client, room: str) -> None:
    """There is no summary of a room."""
    who.refused("M_NOT_FOUND", 404, "GET", f"/_matrix/client/v1/room_summary/{seg(room)}")


class Tree:
    """A space with rooms and spaces in it, seven rooms in all; its link to itself is one of the loops in it."""

    def __init__(self, who: Client) -> None:
        self.root, self.inner, self.deep = (space(who, name) for name in ("Root", "Inner", "Deep"))
        self.one, self.two, self.three, self.four = (
            who.create_room(preset="public_chat", name=name) for name in ("One", "Two", "Three", "Four")
        )
        link(who, self.root, self.one, suggested=True)
        link(who, self.root, self.inner)
        link(who, self.root, self.two, suggested=True)
        link(who, self.two, self.four)  # of a room that is no space
        link(who, self.inner, self.deep)
        link(who, self.deep, self.three)
        link(who, self.deep, self.root)
        link(who, self.deep, self.one)


def test_a_space_is_walked_through_depth_first(alice: Client, bob: Client) -> None:
    """Every room comes once, the rooms of a space right after it; only spaces have rooms."""
    tree = Tree(alice)
    page = hierarchy(bob, tree.root)
    assert ids(page) == [tree.root, tree.one, tree.inner, tree.deep, tree.three, tree.two]
    assert sorted(links(page)) == sorted(
        [
            (tree.root, tree.one),
            (tree.root, tree.inner),
            (tree.root, tree.two),
            (tree.inner, tree.deep),
            (tree.deep, tree.three),
            (tree.deep, tree.root),
            (tree.deep, tree.one),
        ]
    )
    assert "next_batch" not in page
    first = page["rooms"][0]
    assert (first["name"], first["room_type"], first["num_joined_members"]) == ("Root", "m.space", 1)
    told = first["children_state"][0]
    assert told.keys() == {"type", "state_key", "sender", "content", "origin_server_ts"}
    assert told["content"] == {"via": ["hearth.example"], "suggested": True}


def test_depth_and_suggestions_limit_a_walk(alice: Client) -> None:
    """max_depth ends it early but shows the links beyond; suggested_only leaves out what is not recommended."""
    tree = Tree(alice)
    page = hierarchy(alice, tree.root, max_depth=1)
    assert ids(page) == [tree.root, tree.one, tree.inner, tree.two]
    assert (tree.inner, tree.deep) in links(page)
    assert ids(hierarchy(alice, tree.root, max_depth=0)) == [tree.root]
    page = hierarchy(alice, tree.root, suggested_only="true")
    assert ids(page) == [tree.root, tree.one, tree.two]
    assert links(page) == [(tree.root, tree.one), (tree.root, tree.two)]


def test_pages_of_a_space(alice: Client, bob: Client) -> None:
    """A token goes on where a page ended, as often as it is used, for whom and for what it was given."""
    tree = Tree(alice)
    first = hierarchy(alice, tree.root, limit=4, max_depth=3)
    assert ids(first) == [tree.root, tree.one, tree.inner, tree.deep]
    token = first["next_batch"]
    path = f"/_matrix/client/v1/rooms/{seg(tree.root)}/hierarchy"
    for _ in range(2):
        second = hierarchy(alice, tree.root, **{"from": token})
        assert ids(second) == [tree.three, tree.two]
        assert "next_batch" not in second
    assert ids(hierarchy(alice, tree.root, max_depth=3, suggested_only="false", **{"from": token})) == ids(second)
    for who, query in (
        (bob, {}),
        (alice, {"max_depth": 2}),
        (alice, {"suggested_only": "true"}),
    ):
        who.refused("M_INVALID_PARAM", 400, "GET", path, **{"from": token}, **query)
    other = f"/_matrix/client/v1/rooms/{seg(tree.inner)}/hierarchy"
    alice.refused("M_INVALID_PARAM", 400, "GET", other, **{"from": token})
    for wrong in ({"from": "elsewhere"}, {"limit": 0}, {"max_depth": -1}, {"limit": "all"}):
        alice.refused("M_INVALID_PARAM", 400, "GET", path, **wrong)


def test_the_order_of_a_space(alice: Client) -> None:
    """Rooms with a valid order come first, by it; the others by the age of the link."""
    root = space(alice, "Ordered")
    rooms = [alice.create_room(preset="public_chat", name=str(number)) for number in range(7)]
    orders: list[Any] = ["bbb", None, "aaa", "x" * 51, "ä", 5, " "]
    for room, order in zip(rooms, orders, strict=True):
        link(alice, root, room, **({} if order is None else {"order": order}))
    wanted = [root, rooms[6], rooms[2], rooms[0], rooms[1], rooms[3], rooms[4], rooms[5]]
    assert ids(hierarchy(alice, root)) == wanted


def test_a_link_can_be_invalid_or_cut(alice: Client) -> None:
    """Without a server to find it through a room is not in the space; with a redaction it no longer is."""
    root = space(alice, "Cut")
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    for room in rooms:
        link(alice, root, room)
    event = alice.set_state(root, "m.space.child", {"via": ["hearth.example"], "order": "z"}, rooms[2])
    for via in ([], "hearth.example", [1], None):
        alice.set_state(root, "m.space.child", {"via": via}, rooms[0])
        assert ids(hierarchy(alice, root)) == [root, rooms[2], rooms[1]]
    alice.redact(root, event)
    assert ids(hierarchy(alice, root)) == [root, rooms[1]]
    alice.set_state(root, "m.space.child", {}, rooms[1])
    alice.set_state(root, "m.space.child", {"via": ["hearth.example"]}, "!unknown:hearth.example")
    page = hierarchy(alice, root)
    assert ids(page) == [root]
    assert links(page) == [(root, "!unknown:hearth.example")]


def test_who_sees_what_of_a_space(alice: Client, bob: Client) -> None:
    """Rooms that the asker may not come into are left out with all below them, until they are invited."""
    root = space(alice, "Root")
    private = alice.create_room(name="Private")
    inner = alice.create_room(name="Inner", creation_content=SPACE)
    below = alice.create_room(preset="public_chat", name="Below")
    for parent, child in ((root, private), (root, inner), (inner, below)):
        link(alice, parent, child)
    page = hierarchy(bob, root)
    assert ids(page) == [root]
    assert links(page) == [(root, private), (root, inner)]
    path = f"/_matrix/client/v1/rooms/{seg(inner)}/hierarchy"
    bob.refused("M_FORBIDDEN", 403, "GET", path)
    bob.refused("M_FORBIDDEN", 403, "GET", f"/_matrix/client/v1/rooms/{seg('!unknown:hearth.example')}/hierarchy")
    alice.invite(root, bob)
    alice.invite(inner, bob)
    assert ids(hierarchy(bob, root)) == [root, inner, below]
    alice.ban(root, bob)
    bob.refused("M_FORBIDDEN", 403, "GET", f"/_matrix/client/v1/rooms/{seg(root)}/hierarchy")


def test_restricted_rooms_show_themselves_to_those_they_admit(alice: Client, bob: Client) -> None:
    """A room for the members of a space is seen by them; so is one that can be knocked at, by everybody."""
    root = space(alice, "Root")
    allow = [{"type": "m.room_membership", "room_id": root}, {"type": "org.example.other"}, 3]
    rules = {"restricted": "8", "knock_restricted": "10", "knock": "7"}
    rooms = {}
    for rule, version in rules.items():
        content = {"join_rule": rule, **({} if rule == "knock" else {"allow": allow})}
        state = [{"type": "m.room.join_rules", "content": content}]
        rooms[rule] = alice.create_room(room_version=version, initial_state=state)
        link(alice, root, rooms[rule])
    assert ids(hierarchy(bob, root)) == [root, rooms["knock_restricted"], rooms["knock"]]
    hidden(bob, rooms["restricted"])
    bob.join(root)
    assert ids(hierarchy(bob, root)) == [root, *rooms.values()]
    assert summary(bob, rooms["restricted"])["allowed_room_ids"] == [root]
    assert "allowed_room_ids" not in summary(bob, rooms["knock"])


def test_a_summary(alice: Client, bob: Client) -> None:
    """A summary tells what an entry of the directory tells, the version, the encryption and one's own membership."""
    name = unique("summary")
    room = alice.create_room(
        preset="public_chat",
        name="Kitchen",
        room_alias_name=name,
        room_version="11",
        initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
    )
    wanted = {
        "room_id": room,
        "name": "Kitchen",
        "canonical_alias": f"#{name}:hearth.example",
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_version": "11",
        "encryption": "m.megolm.v1.aes-sha2",
    }
    assert summary(Client(alice.url), room) == wanted
    assert summary(bob, f"#{name}:hearth.example") == {**wanted, "membership": "leave"}
    bob.join(room)
    assert summary(bob, room) == {**wanted, "membership": "join", "num_joined_members": 2}
    alice.ban(room, bob)
    hidden(bob, room)
    hidden(bob, "#nowhere:hearth.example")
    hidden(bob, "!nowhere:hearth.example")


def test_a_summary_of_a_private_room(alice: Client, bob: Client) -> None:
    """Nobody outside learns of a private room but whoever is invited; one that all may read shows itself to all."""
    room = alice.create_room(preset="private_chat", name="Secret")
    nobody = Client(alice.url)
    hidden(bob, room)
    hidden(nobody, room)
    assert summary(alice, room)["membership"] == "join"
    alice.invite(room, bob)
    assert summary(bob, room)["membership"] == "invite"
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert summary(nobody, room)["world_readable"] is True
    nobody.token = "wrong"
    nobody.refused("M_UNKNOWN_TOKEN", 401, "GET", f"/_matrix/client/v1/room_summary/{seg(room)}")


def test_a_summary_for_clients_that_know_the_proposal(alice: Client) -> None:
    """The unstable paths answer the same, with the proposal's names besides."""
    room = alice.create_room(preset="public_chat")
    stable = summary(alice, room)
    for path in (f"{UNSTABLE}/summary/{seg(room)}", f"{UNSTABLE}/rooms/{seg(room)}/summary"):
        # Not by must: no contract is known for it.
        answer = alice.http.get(path, headers={"Authorization": f"Bearer {alice.token}"})
        assert answer.json() == {
            **stable,
            "im.nheko.summary.room_version": stable["room_version"],
            "im.nheko.summary.version": stable["room_version"],
        }
