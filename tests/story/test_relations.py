"""Events that relate to others, and what is told of them (client-server API, "Forming relationships")."""

import json

import pytest

from tests.support.client import Client, Json, joined, seg, timeline, unique
from tests.support.related import V1, bundle, children, edit, ids, react, relate


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


def test_what_may_be_sent(alice: Client) -> None:
    """The parent is an event of the room; the same reaction twice is refused, and so is a thread that is nested."""
    room, other = alice.create_room(), alice.create_room()
    root, elsewhere = alice.send(room, "root"), alice.send(other, "elsewhere")

    def refused(parent: str, rel_type: str, errcode: str = "M_UNKNOWN", **more: str) -> None:
        content = {"m.relates_to": {"rel_type": rel_type, "event_id": parent, **more}}
        path = f"/rooms/{seg(room)}/send/m.reaction/{unique('t')}"
        alice.refused(errcode, 400, "PUT", path, content)

    refused(elsewhere, "m.thread")
    refused("$nothing", "m.reference")
    refused(root, "m.annotation")
    refused(root, "m.annotation", key="x" * 501)
    reaction = react(alice, room, root, "👍")
    react(alice, room, root, "👎")
    relate(alice, room, root, "m.annotation", event_type="a.type", key="👍")
    refused(root, "m.annotation", "M_DUPLICATE_ANNOTATION", key="👍")
    alice.redact(room, reaction)
    react(alice, room, root, "👍")
    reply = relate(alice, room, root, "m.thread")
    refused(reply, "m.thread")
    refused(edit(alice, room, root, "edited"), "m.thread")
    path = f"/rooms/{seg(room)}/state/a.type"
    alice.refused("M_UNKNOWN", 400, "PUT", path, {"m.relates_to": {"rel_type": "m.thread", "event_id": reply}})
    path = f"/rooms/{seg(room)}/send/m.room.message/{unique('t')}"
    alice.must("PUT", path, {"m.relates_to": {"m.in_reply_to": {"event_id": "$nothing"}}})
    assert set(ids(children(alice, room, root, limit=50))).isdisjoint({reaction})


def test_redacted_with_what_relates_to_it(alice: Client, bob: Client) -> None:
    """An event may take along what relates to it in certain ways, as far as the redacting user may (MSC3912)."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    mine, his = alice.send(room, "mine"), bob.send(room, "his")
    edited, liked = edit(alice, room, mine, "edited"), react(bob, room, mine, "👍")
    his_edit, her_like = edit(bob, room, his, "edited"), react(alice, room, his, "👍")

    def redact(who: Client, target: str, kinds: list[str]) -> str:
        path = f"/rooms/{seg(room)}/redact/{seg(target)}/{unique('t')}"
        body = {"reason": "oops", "org.matrix.msc3912.with_relations": kinds}
        return str(who.must("PUT", path, body)["event_id"])

    redaction = redact(alice, mine, ["m.replace"])
    assert alice.event(room, redaction)["content"] == {"reason": "oops", "redacts": mine}
    assert alice.event(room, edited)["content"] == {}
    assert alice.event(room, liked)["content"] != {}
    redact(bob, his, ["*"])
    assert bob.event(room, his_edit)["content"] == {}
    assert bob.event(room, her_like)["content"] != {}
    path = f"/rooms/{seg(room)}/redact/{seg(his)}/{unique('t')}"
    bob.refused("M_INVALID_PARAM", 400, "PUT", path, {"org.matrix.msc3912.with_relations": "m.replace"})
    many = alice.send(room, "many")
    replies = [relate(alice, room, many, "m.reference") for _ in range(60)]
    redact(alice, many, ["*"])
    assert children(alice, room, many)["chunk"] == []
    assert alice.event(room, replies[-1])["unsigned"]["redacted_because"]["content"]["reason"] == "oops"


def test_filters_by_relation(alice: Client, bob: Client) -> None:
    """Events by what relates to them, and by what they relate to (MSC3874), in /messages and in sync."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    plain, root = alice.send(room, "plain"), alice.send(room, "root")
    reply, noted = relate(bob, room, root, "m.thread"), relate(alice, room, plain, "m.reference")
    liked = react(bob, room, plain, "👍")

    def found(**rule: Json | list[str]) -> list[str]:
        rule = {"types": ["m.room.message", "m.reaction"], **rule}
        text = json.dumps(rule)
        page = ids(alice.messages(room, "f", limit=50, filter=text))
        text = json.dumps({"room": {"timeline": {**rule, "limit": 50}}})
        assert [event["event_id"] for event in timeline(alice.login().sync(filter=text), room)] == page
        return page

    assert found() == [plain, root, reply, noted, liked]
    assert found(related_by_rel_types=["m.thread"]) == [root]
    assert found(related_by_rel_types=["m.thread", "m.annotation"]) == [plain, root]
    assert found(related_by_senders=[bob.user_id]) == [plain, root]
    assert found(related_by_senders=[alice.user_id]) == [plain]
    assert found(related_by_senders=[alice.user_id], related_by_rel_types=["m.annotation"]) == []
    assert found(related_by_senders=[]) == []
    assert found(**{"org.matrix.msc3874.rel_types": ["m.thread", "m.reference"]}) == [reply, noted]
    assert found(**{"org.matrix.msc3874.not_rel_types": ["m.thread", "m.reference"]}) == [plain, root, liked]


def test_ignored_users_do_not_count(alice: Client, bob: Client, carol: Client) -> None:
    """What somebody relates to an event is not told to those who ignore them, nor is what they say; state is."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bob.join(room)
    carol.join(room)
    root = alice.send(room, "root")
    hers, his = relate(carol, room, root, "m.thread"), relate(bob, room, root, "m.thread")
    noted, also = relate(bob, room, root, "m.reference"), relate(carol, room, root, "m.reference")
    topic = bob.set_state(room, "m.room.topic", {"topic": "tea"})
    told = bundle(alice.event(room, root))
    assert (told["m.thread"]["count"], told["m.thread"]["latest_event"]["event_id"]) == (2, his)
    assert len(told["m.reference"]["chunk"]) == 2
    path = f"/user/{seg(alice.user_id)}/account_data/m.ignored_user_list"
    alice.must("PUT", path, {"ignored_users": {bob.user_id: {}}})
    told = bundle(alice.event(room, root))
    assert (told["m.thread"]["count"], told["m.thread"]["latest_event"]["event_id"]) == (1, hers)
    assert told["m.reference"] == {"chunk": [{"event_id": also}]}
    assert set(ids(children(alice, room, root))) == {hers, also}
    seen = ids(alice.messages(room, limit=20))
    assert topic in seen
    assert {his, noted}.isdisjoint(seen)
    shown = [event["event_id"] for event in timeline(alice.sync(), room)]
    assert topic in shown
    assert {his, noted}.isdisjoint(shown)
    assert bundle(carol.event(room, root))["m.thread"]["count"] == 2
    alice.must("PUT", path, {"ignored_users": {bob.user_id: {}, carol.user_id: {}}})
    assert bundle(alice.event(room, root)) == {}
    alice.must("PUT", path, {"ignored_users": {}})
    assert bundle(alice.event(room, root))["m.thread"]["count"] == 2
