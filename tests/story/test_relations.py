"""Events that relate to others, and what is told of them (client-server API, "Forming relationships")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, joined, seg, timeline, unique

V1 = "/_matrix/client/v1"


def relate(
    client: Client, room: str, parent: str, rel_type: str, *, event_type: str = "m.room.message", **content: Any
) -> str:
    """Send an event that relates to another."""
    path = f"/rooms/{seg(room)}/send/{seg(event_type)}/{unique('t')}"
    relates = {"rel_type": rel_type, "event_id": parent}
    if "key" in content:
        relates["key"] = content.pop("key")
    whole = {"msgtype": "m.text", "body": "related", **content, "m.relates_to": relates}
    return str(client.must("PUT", path, whole)["event_id"])


def edit(client: Client, room: str, parent: str, text: str) -> str:
    """Replace what somebody said."""
    new = {"msgtype": "m.text", "body": text}
    return relate(client, room, parent, "m.replace", body=f"* {text}", **{"m.new_content": new})


def react(client: Client, room: str, parent: str, key: str) -> str:
    """React to an event."""
    return relate(client, room, parent, "m.annotation", event_type="m.reaction", key=key)


def children(client: Client, room: str, parent: str, *kind: str, **query: Any) -> Json:
    """A page of an event's children."""
    path = "/".join(["", "rooms", seg(room), "relations", seg(parent), *map(seg, kind)])
    return client.must("GET", V1 + path, **query)


def ids(page: Json) -> list[str]:
    """The ids of a page's events."""
    return [event["event_id"] for event in page["chunk"]]


def bundle(event: Json) -> Json:
    """What is told of an event's children."""
    found: Json = event["unsigned"].get("m.relations", {})
    return found


def test_children_by_kind_and_type(alice: Client) -> None:
    """All children, those of a kind, and those of a kind and a type, the latest first or in their order."""
    room = alice.create_room()
    root = alice.send(room, "root")
    reply = relate(alice, room, root, "m.thread")
    dummy = relate(alice, room, root, "m.thread", event_type="a.dummy")
    changed = edit(alice, room, root, "edited")
    assert ids(children(alice, room, root)) == [changed, dummy, reply]
    assert ids(children(alice, room, root, dir="f")) == [reply, dummy, changed]
    assert ids(children(alice, room, root, "m.thread")) == [dummy, reply]
    assert ids(children(alice, room, root, "m.thread", "m.room.message")) == [reply]
    assert ids(children(alice, room, root, "m.annotation")) == []
    page = children(alice, room, root, "m.replace")
    assert page["chunk"][0]["room_id"] == room
    assert page["chunk"][0]["content"]["m.new_content"]["body"] == "edited"
    assert "next_batch" not in page
    assert "recursion_depth" not in page


def test_children_in_pages(alice: Client) -> None:
    """next_batch leads on in either direction until there is no more; the tokens of sync are points too."""
    room = alice.create_room()
    root = alice.send(room, "root")
    sent = [relate(alice, room, root, "m.thread") for _ in range(5)]
    alice.sync()
    middle = alice.since
    sent += [relate(alice, room, root, "m.thread") for _ in range(5)]
    for direction, expected in (("b", sent[::-1]), ("f", sent)):
        found: list[str] = []
        query: Json = {}
        for _ in range(4):
            page = children(alice, room, root, limit=3, dir=direction, **query)
            assert page.get("prev_batch") == query.get("from")
            found += ids(page)
            query = {"from": page.get("next_batch")}
        assert found == expected
        assert query == {"from": None}
    assert ids(children(alice, room, root, dir="f", limit=20, **{"from": middle})) == sent[5:]
    assert ids(children(alice, room, root, limit=20, **{"from": middle})) == sent[4::-1]
    assert ids(children(alice, room, root, limit=20, to=middle)) == sent[:4:-1]
    assert ids(children(alice, room, root, limit=20, dir="f", to=middle)) == sent[:5]
    assert len(ids(children(alice, room, root))) == 5
    path = f"{V1}/rooms/{seg(room)}/relations/{seg(root)}"
    alice.refused("M_INVALID_PARAM", 400, "GET", path, **{"from": "nonsense"})
    alice.refused("M_INVALID_PARAM", 400, "GET", path, dir="x")
    alice.refused("M_INVALID_PARAM", 400, "GET", path, limit="0")


def test_children_of_children(alice: Client) -> None:
    """With recurse also what relates to the event by way of others, three levels deep; kinds count for the result."""
    room = alice.create_room()
    root = alice.send(room, "root")
    reply = relate(alice, room, root, "m.thread")
    liked = react(alice, room, reply, "👍")
    noted = relate(alice, room, liked, "m.reference")
    deep = relate(alice, room, noted, "m.reference")
    assert ids(children(alice, room, root)) == [reply]
    page = children(alice, room, root, recurse="true", limit=10)
    assert ids(page)[-3:] == [noted, liked, reply]
    assert page["recursion_depth"] == 3
    assert deep not in ids(page)
    assert ids(children(alice, room, root, "m.annotation", recurse="true")) == [liked]
    first = children(alice, room, root, recurse="true", limit=2, dir="f")
    assert ids(first) == [reply, liked]
    assert ids(children(alice, room, root, recurse="true", limit=2, dir="f", **{"from": first["next_batch"]})) == [
        noted
    ]


def test_whose_children(alice: Client, bob: Client) -> None:
    """Only those of an event that the asker may see, in that room."""
    room, other = alice.create_room(), alice.create_room(preset="public_chat")
    root = alice.send(room, "root")
    relate(alice, room, root, "m.thread")
    path = "{}/rooms/{}/relations/{}"
    bob.refused("M_FORBIDDEN", 403, "GET", path.format(V1, seg(room), seg(root)))
    bob.join(other)
    bob.refused("M_NOT_FOUND", 404, "GET", path.format(V1, seg(other), seg(root)))
    alice.refused("M_NOT_FOUND", 404, "GET", path.format(V1, seg(room), seg("$nothing")))
    alice.set_state(other, "m.room.history_visibility", {"history_visibility": "joined"})
    root = alice.send(other, "root")
    bob.leave(other)
    unseen = relate(alice, other, root, "m.thread")
    bob.join(other)
    seen = relate(alice, other, root, "m.thread")
    assert ids(children(bob, other, root)) == [seen]
    assert ids(children(alice, other, root)) == [seen, unseen]


def test_edits_are_told_with_the_event(alice: Client, bob: Client) -> None:
    """The last valid edit stands beside the event, whose own content stays; invalid ones count for nothing."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    original = alice.send(room, "original")
    edit(alice, room, original, "first")
    last = edit(alice, room, original, "second")
    edit(bob, room, original, "not his")
    relate(alice, room, original, "m.replace", body="no new content")
    relate(alice, room, original, "m.replace", event_type="a.type", **{"m.new_content": {}})
    of_edit = edit(alice, room, last, "an edit of an edit")
    seen = alice.event(room, original)
    assert seen["content"]["body"] == "original"
    told = bundle(seen)["m.replace"]
    assert (told["event_id"], told["content"]["m.new_content"]["body"]) == (last, "second")
    assert told["room_id"] == room
    assert bundle(alice.event(room, last)) == {}
    alice.redact(room, of_edit)
    alice.redact(room, last)
    assert bundle(bob.event(room, original))["m.replace"]["content"]["m.new_content"]["body"] == "first"
    alice.redact(room, original)
    assert bundle(bob.event(room, original)) == {}


def test_reactions_and_references(alice: Client) -> None:
    """References are listed with the event, reactions are for clients to count."""
    room = alice.create_room()
    target = alice.send(room, "target")
    react(alice, room, target, "👍")
    assert bundle(alice.event(room, target)) == {}
    first = relate(alice, room, target, "m.reference")
    second = relate(alice, room, target, "m.reference", event_type="a.type")
    assert bundle(alice.event(room, target)) == {"m.reference": {"chunk": [{"event_id": first}, {"event_id": second}]}}
    alice.redact(room, first)
    assert bundle(alice.event(room, target)) == {"m.reference": {"chunk": [{"event_id": second}]}}
    name = alice.set_state(room, "m.room.name", {"name": "Kitchen"})
    relate(alice, room, name, "m.reference")
    assert bundle(alice.event(room, name)) == {}


def test_where_it_is_told(alice: Client) -> None:
    """In /messages, /relations, and in sync where the timeline is limited; nowhere else."""
    room = alice.create_room()
    alice.sync()
    original = alice.send(room, "original")
    last = edit(alice, room, original, "edited")
    answer = alice.sync()
    assert [bundle(event) for event in timeline(answer, room)] == [{}, {}]
    page = alice.messages(room, limit=2)
    assert [bundle(event).get("m.replace", {}).get("event_id") for event in page["chunk"]] == [None, last]
    answer = alice.login().sync(filter='{"room":{"timeline":{"limit":2}}}')
    assert joined(answer, room)["timeline"]["limited"] is True
    assert [bundle(event).get("m.replace", {}).get("event_id") for event in timeline(answer, room)] == [last, None]
    root = alice.send(room, "root")
    reply = relate(alice, room, root, "m.thread")
    last = edit(alice, room, reply, "better")
    (seen,) = children(alice, room, root)["chunk"]
    assert bundle(seen)["m.replace"]["event_id"] == last


@pytest.mark.parametrize("version", ["10", "12"])
def test_a_redacted_child_is_no_child(alice: Client, version: str) -> None:
    """A redaction breaks the relation; the children of a redacted parent stay."""
    room = alice.create_room(room_version=version)
    root = alice.send(room, "root")
    first, second = relate(alice, room, root, "m.thread"), relate(alice, room, root, "m.thread")
    alice.redact(room, second)
    assert ids(children(alice, room, root)) == [first]
    alice.redact(room, root)
    assert ids(children(alice, room, root)) == [first]
    assert bundle(alice.event(room, root))["m.thread"]["count"] == 1
    alice.redact(room, first)
    assert bundle(alice.event(room, root)) == {}
