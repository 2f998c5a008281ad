"""Who sees what of a room's history (client-server API, "Room history visibility")."""

import pytest

from tests.support.client import Client, Json, body, seg, state_of, timeline

SETTINGS = ["world_readable", "shared", "invited", "joined"]
LONG = '{"room":{"timeline":{"limit":100},"include_leave":true}}'


def room_with(client: Client, setting: object, preset: str = "public_chat") -> str:
    """A room with a visibility from its beginning."""
    state = [{"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": setting}}]
    return client.create_room(preset=preset, initial_state=state)


def sees(client: Client, room: str, event_id: str) -> bool:
    """Whether an event can be had by its id."""
    answer = client.ask("GET", f"/rooms/{seg(room)}/event/{seg(event_id)}")
    assert answer.status_code == 200 or answer.json()["errcode"] == "M_NOT_FOUND"
    return answer.status_code == 200


def in_context(client: Client, room: str, event_id: str) -> bool:
    """Whether an event can be had with what is around it."""
    answer = client.ask("GET", f"/rooms/{seg(room)}/context/{seg(event_id)}?limit=0")
    assert answer.status_code == 200 or answer.json()["errcode"] == "M_NOT_FOUND"
    return answer.status_code == 200


def searched(client: Client, room: str) -> list[str]:
    """The ids of what a search for a word of all messages finds."""
    asked = {"search_term": "kettle", "filter": {"rooms": [room], "limit": 50}, "order_by": "recent"}
    answer = client.must("POST", "/search", {"search_categories": {"room_events": asked}})
    return [found["result"]["event_id"] for found in answer["search_categories"]["room_events"]["results"]]


def paged(client: Client, room: str) -> list[str]:
    """The ids of all events that the pages of a history hold, earliest first; both ways must agree."""
    found = []
    for direction in ("f", "b"):
        ids: list[str] = []
        token: Json = {}
        while True:
            page = client.messages(room, direction, limit=50, **token)
            ids += [event["event_id"] for event in page["chunk"]]
            if "end" not in page:
                break
            token = {"from": page["end"]}
        found.append(ids)
    assert found[0] == found[1][::-1]
    return found[0]


def synced(client: Client, room: str) -> list[str]:
    """The ids of all that a first sync holds in the room's timeline."""
    client.since = None
    rooms = client.sync(filter=LONG)["rooms"]
    return [
        event["event_id"]
        for membership in ("join", "leave")
        for event in rooms.get(membership, {}).get(room, {}).get("timeline", {}).get("events", [])
    ]


@pytest.mark.parametrize(
    ("setting", "visible"),
    [
        ("world_readable", ["before", "invited", "joined", "left", "back"]),
        ("shared", ["before", "invited", "joined", "left", "back"]),
        ("invited", ["invited", "joined", "back"]),
        ("joined", ["joined", "back"]),
        ("unheard-of", ["before", "invited", "joined", "left", "back"]),
        (5, ["before", "invited", "joined", "left", "back"]),
    ],
)
def test_by_membership_at_the_event(alice: Client, bob: Client, setting: object, visible: list[str]) -> None:
    """Every way of reading judges by the setting and by how one stood to the room when an event was sent."""
    room = room_with(alice, setting)
    sent = {"before": alice.send(room, "kettle before")}
    alice.invite(room, bob)
    sent["invited"] = alice.send(room, "kettle invited")
    bob.join(room)
    sent["joined"] = alice.send(room, "kettle joined")
    bob.leave(room)
    sent["left"] = alice.send(room, "kettle left")
    without = [word for word in visible if word not in ("left", "back")]
    if setting == "world_readable":
        without.append("left")
    assert [word for word in sent if sees(bob, room, sent[word])] == without
    assert [word for word in sent if in_context(bob, room, sent[word])] == without
    assert [word for word in sent if sent[word] in paged(bob, room)] == without
    assert [word for word in sent if sent[word] in synced(bob, room)] == [word for word in without if word != "left"]
    bob.join(room)
    sent["back"] = alice.send(room, "kettle back")
    assert [word for word in sent if sees(bob, room, sent[word])] == visible
    assert [word for word in sent if in_context(bob, room, sent[word])] == visible
    assert [word for word in sent if sent[word] in searched(bob, room)] == visible
    assert [word for word in sent if sent[word] in paged(bob, room)] == visible
    # The timeline of a room that one is in has no holes: with the state before it, it makes the state after it.
    unbroken = visible if "left" in visible else ["back"]
    assert [word for word in sent if sent[word] in synced(bob, room)] == unbroken
    assert all(sees(alice, room, event_id) for event_id in sent.values())


@pytest.mark.parametrize("setting", SETTINGS)
def test_strangers(alice: Client, bob: Client, setting: str) -> None:
    """Only what is for the world is for those who never were there."""
    room = room_with(alice, setting)
    event_id = alice.send(room, "hello")
    assert sees(bob, room, event_id) is (setting == "world_readable")
    for path in ("state", "members", "messages?dir=b", "state/m.room.create"):
        status = bob.ask("GET", f"/rooms/{seg(room)}/{path}").status_code
        assert status == (200 if setting == "world_readable" else 403)
    if setting == "world_readable":
        assert event_id in paged(bob, room)
        assert bob.event(room, event_id)["unsigned"]["membership"] == "leave"
    bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/joined_members")
    assert "rooms" not in bob.sync()


def test_the_setting_counts_when_an_event_is_sent(alice: Client, bob: Client) -> None:
    """A change does not reach back; the change itself is seen by whoever sees by the one before or the one after."""
    room = room_with(alice, "shared")
    sent: dict[str, str] = {}
    for setting in ("joined", "shared", "invited", "world_readable", "joined"):
        sent[f"set {setting} {len(sent)}"] = alice.set_state(
            room, "m.room.history_visibility", {"history_visibility": setting}
        )
        sent[f"say {setting} {len(sent)}"] = alice.send(room, setting)
    before = [word for word in sent if sees(bob, room, sent[word])]
    assert before == ["set world_readable 6", "say world_readable 7", "set joined 8"]
    bob.join(room)
    after = [word for word in sent if sees(bob, room, sent[word])]
    assert after == ["set joined 0", "set shared 2", "say shared 3", "set invited 4", *before]
    assert [word for word in sent if sent[word] in paged(bob, room)] == after


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_sees_ones_own_coming_and_going(alice: Client, bob: Client, setting: str) -> None:
    """However closed the history, what changed one's own membership is shown."""
    room = room_with(alice, setting)
    alice.invite(room, bob)
    bob.join(room)
    alice.kick(room, bob)
    alice.ban(room, bob)
    alice.unban(room, bob)
    bob.join(room)
    ids = paged(alice, room)
    own = [one for one in ids if alice.event(room, one).get("state_key") == bob.user_id]
    assert len(own) == 6
    assert [one for one in paged(bob, room) if one in own] == own
    assert all(sees(bob, room, one) for one in own)


def test_members_see_the_present_state_whatever_its_history(alice: Client, bob: Client) -> None:
    """State that was set before one came is in the state and not in the timeline."""
    room = room_with(alice, "joined")
    alice.set_state(room, "m.room.name", {"name": "Kitchen"})
    bob.join(room)
    answer = bob.sync()
    assert "m.room.name" not in [event["type"] for event in timeline(answer, room)]
    assert state_of(answer, room)["m.room.name", ""]["content"] == {"name": "Kitchen"}
    assert bob.state(room, "m.room.name") == {"name": "Kitchen"}


def test_state_that_changed_while_one_was_away(alice: Client, bob: Client) -> None:
    """Back in a room with a closed history, one knows its present state, though the change was not for one's eyes."""
    room = room_with(alice, "joined")
    bob.join(room)
    alice.set_state(room, "m.room.name", {"name": "before"})
    bob.leave(room)
    alice.set_state(room, "m.room.name", {"name": "away"})
    alice.set_state(room, "m.room.topic", {"topic": "away"})
    bob.join(room)
    for client in (bob, bob.login()):
        answer = client.sync(filter=LONG)
        held = {slot: event["content"] for slot, event in state_of(answer, room).items()}
        for event in timeline(answer, room):
            if "state_key" in event:
                held[event["type"], event["state_key"]] = event["content"]
        assert held["m.room.name", ""] == {"name": "away"}
        assert held["m.room.topic", ""] == {"topic": "away"}


def test_what_was_before_is_as_hidden_as_ever(alice: Client, bob: Client) -> None:
    """The former content of a state event is told to those who may see the former event; its id to everybody."""
    room = room_with(alice, "joined")
    first = alice.set_state(room, "m.room.name", {"name": "before"})
    bob.join(room)
    second = alice.set_state(room, "m.room.name", {"name": "after"})
    third = alice.set_state(room, "m.room.name", {"name": "last"})
    unsigned = bob.event(room, second)["unsigned"]
    assert not {"prev_content", "prev_sender"} & unsigned.keys()
    assert unsigned["replaces_state"] == first
    assert bob.event(room, third)["unsigned"]["prev_content"] == {"name": "after"}
    assert alice.event(room, second)["unsigned"]["prev_content"] == {"name": "before"}


def test_after_leaving_nothing_more(alice: Client, bob: Client) -> None:
    """Messages and state stay as they were when one left, by whatever door."""
    doors = (lambda: bob.leave(room), lambda: alice.kick(room, bob), lambda: alice.ban(room, bob))
    for number, leave in enumerate(doors):
        room = room_with(alice, "shared")
        bob.join(room)
        bob.sync()
        alice.set_state(room, "m.room.name", {"name": "before"})
        leave()
        alice.set_state(room, "m.room.name", {"name": "after"})
        secret = alice.send(room, "after")
        answer = bob.sync()
        assert "after" not in str(answer), number
        assert bob.state(room, "m.room.name") == {"name": "before"}
        assert not sees(bob, room, secret)
        assert "after" not in [body(alice.event(room, one)) for one in paged(bob, room)]
        alice.set_state(room, "m.room.topic", {"topic": "after"})
        if number == 2:
            alice.unban(room, bob)
        assert "after" not in str(bob.sync())
        bob.since = None
        assert "after" not in str(bob.sync(filter=LONG))


@pytest.mark.parametrize(
    ("setting", "away", "back"),
    [
        ("world_readable", "before invited joined left", "before invited joined left back"),
        ("shared", "before invited joined", "before invited joined left back"),
        ("invited", "invited joined", "invited joined back"),
        ("joined", "joined", "joined back"),
    ],
)
def test_relations_are_those_of_events_that_one_may_see(
    alice: Client, bob: Client, setting: str, away: str, back: str
) -> None:
    """Whoever may see an event is told of those of its children that they may see, and of no others."""
    room = room_with(alice, "world_readable")
    root = alice.send(room, "the root")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": setting})
    said: dict[str, str] = {}

    def say(word: str) -> None:
        relation = {"rel_type": "m.thread", "event_id": root}
        content = {"msgtype": "m.text", "body": word, "m.relates_to": relation}
        answer = alice.must("PUT", f"/rooms/{seg(room)}/send/m.room.message/{word}", content)
        said[answer["event_id"]] = word

    def listed(client: Client) -> str:
        found = []
        for kind in ("", "/m.thread", "/m.thread/m.room.message"):
            path = f"/_matrix/client/v1/rooms/{seg(room)}/relations/{seg(root)}{kind}"
            chunk = client.must("GET", path, dir="f", limit=50)["chunk"]
            found.append(" ".join(said[event["event_id"]] for event in chunk))
        assert found == [found[0]] * 3
        return found[0]

    say("before")
    alice.invite(room, bob)
    say("invited")
    bob.join(room)
    say("joined")
    bob.leave(room)
    say("left")
    assert listed(bob) == away
    bob.join(room)
    say("back")
    assert listed(bob) == back
    assert listed(alice) == "before invited joined left back"


@pytest.mark.parametrize("setting", ["shared", "joined"])
def test_who_left_gets_state_and_members_as_they_were(alice: Client, bob: Client, carol: Client, setting: str) -> None:
    """State, single pieces of it, and members stay as they were when one left, at whatever point one asks for."""
    room = room_with(alice, setting)
    alice.set_state(room, "m.room.name", {"name": "first"})
    early = alice.sync()["next_batch"]
    bob.join(room)
    alice.set_state(room, "m.room.topic", {"topic": "then"})
    bob.leave(room)
    alice.set_state(room, "m.room.name", {"name": "later"})
    alice.set_state(room, "m.room.topic", {"topic": "later"})
    alice.set_state(room, "org.example.later", {})
    carol.join(room)
    late = carol.sync()["next_batch"]

    def members(client: Client, **query: str) -> Json:
        chunk = client.must("GET", f"/rooms/{seg(room)}/members", **query)["chunk"]
        return {event["state_key"]: event["content"]["membership"] for event in chunk}

    as_left = {alice.user_id: "join", bob.user_id: "leave"}
    held = {event["type"]: event["content"] for event in bob.must("GET", f"/rooms/{seg(room)}/state")}
    assert held["m.room.name"] == {"name": "first"}
    assert held["m.room.topic"] == {"topic": "then"}
    assert "org.example.later" not in held
    assert bob.state(room, "m.room.topic") == {"topic": "then"}
    bob.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/state/org.example.later")
    bob.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/state/m.room.member/{seg(carol.user_id)}")
    assert members(bob) == members(bob, at=late) == as_left
    assert members(bob, membership="leave") == {bob.user_id: "leave"}
    assert members(bob, not_membership="leave") == members(bob, at=early) == {alice.user_id: "join"}
    bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/joined_members")
    now = {**as_left, carol.user_id: "join"}
    assert members(alice) == members(alice, at=late) == now
    bob.join(room)
    assert members(bob) == {**now, bob.user_id: "join"}
    assert bob.state(room, "m.room.topic") == {"topic": "later"}
