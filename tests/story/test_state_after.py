"""The state after the timeline (client-server API, ``use_state_after``; MSC4222), under both of its names."""

import json

import pytest

from tests.support.client import Client, Json, joined, state_of, timeline

NAMES = {
    "use_state_after": "state_after",
    "org.matrix.msc4222.use_state_after": "org.matrix.msc4222.state_after",
}
Slot = tuple[str, str]


class Asking:
    """A client that asks for the state after the timeline by one of the names, or for the one before it.

    Args:
        client: who asks.
        name: the parameter; empty for the state before.
        rule: the filter for rooms.
    """

    def __init__(self, client: Client, name: str, **rule: Json) -> None:
        self.client, self.field = client, NAMES.get(name, "state")
        self.query = {"filter": json.dumps({"room": rule}), **({name: "true"} if name else {})}
        self.token: str | None = None

    def ask(self, **more: str) -> Json:
        """A sync, which goes on where the last one ended."""
        query = {**self.query, **({"since": self.token} if self.token else {}), **more}
        answer = self.client.must("GET", "/sync", **query)
        self.token = answer["next_batch"]
        return answer

    def told(self, answer: Json, room: str, membership: str = "join") -> dict[Slot, Json]:
        """The content of the state of a room in an answer; no other field has any."""
        section = answer["rooms"][membership][room]
        assert {field for field in ("state", *NAMES.values()) if field in section} == {self.field}
        return {(event["type"], event["state_key"]): event["content"] for event in section[self.field]["events"]}


def short(count: int) -> Json:
    """A filter for short timelines."""
    return {"timeline": {"limit": count}}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the names."""
    if request.param != "use_state_after":
        monkeypatch.setattr(Client, "witness", None)  # the specification does not know the other one
    return str(request.param)


def test_a_first_sync_tells_all_of_it(alice: Client, name: str) -> None:
    """All state up to the end of the timeline, whatever of it the timeline shows too."""
    room = alice.create_room(name="Kitchen")
    alice.set_state(room, "m.room.name", {"name": "Hall"})
    alice.send(room, "hello")
    for count in (1, 2, 50):
        asking = Asking(alice, name, **short(count))
        told = asking.told(asking.ask(), room)
        assert told == {(one["type"], one["state_key"]): one["content"] for one in _state(alice, room)}
        assert told["m.room.name", ""] == {"name": "Hall"}


def test_what_changes_in_the_timeline_is_told(alice: Client, name: str) -> None:
    """The last of each slot, once; nothing where nothing changed, and then the field is there and empty."""
    room = alice.create_room()
    asking, before = Asking(alice, name), Asking(alice, "")
    for one in (asking, before):
        one.ask()
    alice.set_state(room, "m.room.topic", {"topic": "one"})
    alice.set_state(room, "m.room.topic", {"topic": "two"})
    alice.set_state(room, "a.type", {"a": 1}, "key")
    answer = asking.ask()
    assert asking.told(answer, room) == {("m.room.topic", ""): {"topic": "two"}, ("a.type", "key"): {"a": 1}}
    assert len(timeline(answer, room)) == 3
    assert before.told(before.ask(), room) == {}
    alice.send(room, "hello")
    answer = asking.ask()
    assert asking.told(answer, room) == {}
    assert joined(answer, room)[asking.field] == {"events": []}


def test_what_changes_in_a_gap_is_told_with_the_rest(alice: Client, name: str) -> None:
    """Between the previous sync and the end of the timeline: what the gap hides and what the timeline shows."""
    room = alice.create_room()
    asking, before = Asking(alice, name, **short(2)), Asking(alice, "", **short(2))
    for one in (asking, before):
        one.ask()
    alice.set_state(room, "m.room.name", {"name": "hidden"})
    alice.set_state(room, "m.room.topic", {"topic": "hidden"})
    alice.send(room, "between")
    alice.set_state(room, "m.room.topic", {"topic": "shown"})
    alice.send(room, "last")
    answer = asking.ask()
    assert joined(answer, room)["timeline"]["limited"] is True
    assert asking.told(answer, room) == {
        ("m.room.name", ""): {"name": "hidden"},
        ("m.room.topic", ""): {"topic": "shown"},
    }
    assert before.told(before.ask(), room) == {
        ("m.room.name", ""): {"name": "hidden"},
        ("m.room.topic", ""): {"topic": "hidden"},
    }


def test_what_a_filter_keeps_out_of_the_timeline(alice: Client, name: str) -> None:
    """Is told all the same; what it keeps out of the state is not."""
    room = alice.create_room()
    messages = Asking(alice, name, timeline={"types": ["m.room.message"]})
    topics = Asking(alice, name, state={"types": ["m.room.topic"]})
    for one in (messages, topics):
        one.ask()
    alice.set_state(room, "m.room.topic", {"topic": "x"})
    alice.set_state(room, "m.room.name", {"name": "x"})
    alice.send(room, "hello")
    answer = messages.ask()
    assert [event["type"] for event in timeline(answer, room)] == ["m.room.message"]
    assert messages.told(answer, room) == {("m.room.topic", ""): {"topic": "x"}, ("m.room.name", ""): {"name": "x"}}
    assert topics.told(topics.ask(), room) == {("m.room.topic", ""): {"topic": "x"}}


def test_a_room_that_one_comes_into_and_leaves(alice: Client, bob: Client, name: str) -> None:
    """All of the state on coming in; on leaving what changed up to that, and nothing of what came after."""
    room = alice.create_room(preset="public_chat", name="Kitchen")
    asking = Asking(bob, name)
    asking.ask()
    bob.join(room)
    told = asking.told(asking.ask(), room)
    assert told == {(one["type"], one["state_key"]): one["content"] for one in _state(bob, room)}
    alice.set_state(room, "m.room.topic", {"topic": "before"})
    bob.leave(room)
    alice.set_state(room, "m.room.topic", {"topic": "after"})
    told = asking.told(asking.ask(), room, "leave")
    assert told["m.room.topic", ""] == {"topic": "before"}
    assert told["m.room.member", bob.user_id]["membership"] == "leave"
    assert len(told) == 2


def test_lazy_members_and_all_of_the_state(alice: Client, bob: Client, name: str) -> None:
    """Lazily loaded members are those who speak; full_state tells all again."""
    room = alice.create_room(preset="public_chat", name="Kitchen")
    bob.join(room)
    asking = Asking(alice, name, state={"lazy_load_members": True}, **short(1))
    told = asking.told(asking.ask(), room)
    # What was said last is that Bob came in.
    assert {key for event_type, key in told if event_type == "m.room.member"} == {alice.user_id, bob.user_id}
    told = asking.told(asking.ask(full_state="true"), room)
    assert told["m.room.name", ""] == {"name": "Kitchen"}
    assert ("m.room.member", alice.user_id) in told


def test_without_it_the_state_is_that_before(alice: Client) -> None:
    """If false, servers MUST respond with the state in state and MUST omit state_after."""
    room = alice.create_room()
    for value in ("false", ""):
        answer = alice.must("GET", "/sync", use_state_after=value)
        assert "state" in joined(answer, room)
        assert not set(NAMES.values()) & joined(answer, room).keys()
        assert state_of(answer, room) == {}


def _state(client: Client, room: str) -> list[Json]:
    found: list[Json] = client.http.get(
        f"/_matrix/client/v3/rooms/{room}/state", headers={"Authorization": f"Bearer {client.token}"}
    ).json()
    return found
