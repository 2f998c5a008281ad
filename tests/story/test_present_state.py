"""The state of a room asked for again and again is what it is, for each asker (client-server API, "Getting events for a
room"): what is kept ready for the next one who asks must not show.
"""

from typing import Any

from tests.support.client import Client, Json, seg

TIMES = 3
"""From the second on, an answer may be made of what was kept."""


def lists(client: Client, room: str) -> list[Any]:
    """What the endpoints say of the state, without the ages of the events."""
    path = f"/rooms/{seg(room)}"
    found: list[Any] = [
        client.must("GET", f"{path}/state"),
        client.must("GET", f"{path}/members")["chunk"],
        client.must("GET", f"{path}/members", membership="join")["chunk"],
        client.must("GET", f"{path}/members", not_membership="leave")["chunk"],
    ]
    for events in found:
        for event in events:
            assert event["unsigned"].pop("age") >= 0
    return [*found, client.must("GET", f"{path}/joined_members")["joined"]]


def same(client: Client, room: str) -> list[Any]:
    """The same, asked for several times, with the same answer each time."""
    first = lists(client, room)
    for _ in range(TIMES - 1):
        assert lists(client, room) == first
    return first


def slot(events: list[Json], event_type: str, state_key: str = "") -> Json:
    """One of some state events."""
    return next(event for event in events if (event["type"], event["state_key"]) == (event_type, state_key))


def rename(client: Client, room: str, name: str) -> None:
    """Be called something in one room."""
    client.set_state(room, "m.room.member", {"membership": "join", "displayname": name}, client.user_id)


def test_everybody_is_told_what_is_theirs(alice: Client, bob: Client, carol: Client) -> None:
    """How the asker stood to the room at each event, what an event replaced, what only the sending device is told."""
    room = alice.create_room(preset="public_chat", name="100 %d of %s")
    bob.join(room)
    bob.leave(room)
    rename(alice, room, "50 % Alice")
    bob.join(room)
    carol.join(room)
    rename(carol, room, 'Ca"rol\\')
    expected = {alice.user_id: ("join", "join"), bob.user_id: ("leave", "leave"), carol.user_id: ("leave", "leave")}
    for client in (alice, bob, carol, alice):
        state, members, joined, present, shown = same(client, room)
        assert slot(state, "m.room.name")["content"] == {"name": "100 %d of %s"}
        name = slot(state, "m.room.name")["unsigned"]["membership"]
        renamed = slot(members, "m.room.member", alice.user_id)
        assert (name, renamed["unsigned"]["membership"]) == expected[client.user_id]
        assert renamed["content"]["displayname"] == "50 % Alice"
        assert renamed["unsigned"]["prev_content"]["membership"] == "join"
        assert renamed["unsigned"]["replaces_state"].startswith("$")
        assert slot(members, "m.room.member", carol.user_id)["unsigned"]["membership"] == "join"
        assert all(event["room_id"] == room for event in (*state, *members))
        assert members == joined == present
        assert set(shown) == {alice.user_id, bob.user_id, carol.user_id}
        assert shown[carol.user_id]["display_name"] == 'Ca"rol\\'


def test_what_changes_shows_at_once(alice: Client, bob: Client, carol: Client) -> None:
    """A changed name, a redaction, who comes and who goes; and what a former member may see stays as it was."""
    room = alice.create_room(preset="public_chat", topic="secret")
    bob.join(room)
    carol.join(room)
    for client in (alice, bob):
        same(client, room)
    rename(bob, room, "Robert")
    assert same(alice, room)[4][bob.user_id]["display_name"] == "Robert"
    topic = slot(same(alice, room)[0], "m.room.topic")
    alice.redact(room, topic["event_id"])
    for client in (alice, bob):
        redacted = slot(same(client, room)[0], "m.room.topic")
        assert redacted["content"] == {}
        assert redacted["unsigned"]["redacted_because"]["sender"] == alice.user_id
    carol.leave(room)
    *_, joined, present, shown = same(alice, room)
    assert {event["state_key"] for event in joined} == {alice.user_id, bob.user_id} == set(shown)
    assert joined == present
    alice.set_state(room, "m.room.name", {"name": "after"})
    same(alice, room)
    assert "m.room.name" not in {event["type"] for event in carol.must("GET", f"/rooms/{seg(room)}/state")}
    carol.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/joined_members")


def test_a_hidden_past_stays_hidden(alice: Client, bob: Client) -> None:
    """Where members do not see what was before them, what their present state replaced is not told either."""
    room = alice.create_room(preset="public_chat", topic="old")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    alice.set_state(room, "m.room.topic", {"topic": "hidden"})
    alice.set_state(room, "m.room.topic", {"topic": "new"})
    bob.join(room)
    assert slot(same(alice, room)[0], "m.room.topic")["unsigned"]["prev_content"] == {"topic": "hidden"}
    told = slot(same(bob, room)[0], "m.room.topic")["unsigned"]
    assert "prev_content" not in told
    assert told["membership"] == "leave"
