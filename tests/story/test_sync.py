"""Sync (client-server API, "Syncing")."""

import json
import time
from typing import Any

import pytest

from tests.support.client import Client, Json, body, joined, seg, state_of, timeline


def summary(answer: Json, room: str) -> Json:
    """The summary of a room in a sync."""
    found: Json = joined(answer, room).get("summary", {})
    return found


def limited_to(count: int) -> str:
    """A filter for short timelines."""
    return f'{{"room":{{"timeline":{{"limit":{count}}}}}}}'


# A first sync -----------------------------------------------------------------------------------------------------


def test_nothing_yet(alice: Client) -> None:
    """Somebody new has a token, the rules for notifications, and counts of keys; a token brings nothing twice."""
    answer = alice.sync()
    assert answer.keys() == {
        "next_batch", "account_data", "device_one_time_keys_count", "device_unused_fallback_key_types",
    }  # fmt: skip
    assert [event["type"] for event in answer["account_data"]["events"]] == ["m.push_rules"]
    assert alice.sync().keys() == answer.keys() - {"account_data"}


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_a_whole_room(alice: Client, version: str) -> None:
    """A short room is in its timeline from the beginning, with nothing before it and no state beside it."""
    room = alice.create_room(room_version=version)
    alice.send(room, "hello")
    section = joined(alice.sync(), room)
    assert section.keys() == {"timeline", "state", "summary", "unread_notifications"}
    assert section["timeline"].keys() == {"events", "limited", "prev_batch"}
    assert section["timeline"]["limited"] is False
    assert section["state"] == {"events": []}
    events = section["timeline"]["events"]
    assert events[0]["type"] == "m.room.create"
    assert body(events[-1]) == "hello"
    assert all("room_id" not in event for event in events)


def test_state_and_timeline_fit_together(alice: Client) -> None:
    """The state is that before the timeline, or with state_after the one after it."""
    room = alice.create_room(name="before", topic="stays")
    for number in range(6):
        alice.send(room, str(number))
    alice.set_state(room, "m.room.name", {"name": "after"})
    alice.send(room, "last")
    answer = alice.sync(filter=limited_to(3))
    assert [event["type"] for event in timeline(answer, room)] == ["m.room.message", "m.room.name", "m.room.message"]
    assert state_of(answer, room)["m.room.name", ""]["content"] == {"name": "before"}
    assert state_of(answer, room)["m.room.topic", ""]["content"]["topic"] == "stays"
    alice.since = None
    section = joined(alice.sync(filter=limited_to(3), use_state_after="true"), room)
    assert "state" not in section
    after = {(event["type"], event["state_key"]): event["content"] for event in section["state_after"]["events"]}
    assert after["m.room.name", ""] == {"name": "after"}
    assert ("m.room.create", "") in after


def test_state_after_is_there_even_if_empty(alice: Client) -> None:
    """A client finds out from the field whether the server knows it."""
    room = alice.create_room()
    alice.sync(use_state_after="true")
    alice.send(room, "hello")
    section = joined(alice.sync(use_state_after="true"), room)
    assert section["state_after"] == {"events": []}
    alice.set_state(room, "m.room.name", {"name": "Kitchen"})
    section = joined(alice.sync(use_state_after="true"), room)
    assert [event["type"] for event in section["state_after"]["events"]] == ["m.room.name"]
    assert [event["type"] for event in section["timeline"]["events"]] == ["m.room.name"]
    alice.send(room, "again")
    assert joined(alice.sync(use_state_after="false"), room).keys() >= {"state"}


# Going on ---------------------------------------------------------------------------------------------------------


def test_only_what_is_new(alice: Client, bob: Client) -> None:
    """A later sync holds the rooms in which something happened, and of them what did."""
    room, quiet = alice.create_room(preset="public_chat"), alice.create_room()
    bob.join(room)
    alice.sync()
    bob.send(room, "hello")
    answer = alice.sync()
    assert answer["rooms"].keys() == {"join"}
    assert answer["rooms"]["join"].keys() == {room}
    section = joined(answer, room)
    assert [body(event) for event in section["timeline"]["events"]] == ["hello"]
    assert section["timeline"]["limited"] is False
    assert section["state"]["events"] == []
    assert "summary" not in section
    assert "rooms" not in alice.sync()
    assert quiet in alice.login().sync()["rooms"]["join"]


def test_a_token_gives_the_same_again(alice: Client) -> None:
    """Asking changes nothing, and two who ask with the same token get the same."""
    room = alice.create_room()
    token = alice.sync()["next_batch"]
    alice.send(room, "hello")
    answers = [alice.must("GET", "/sync", since=token) for _ in range(3)]
    assert [[event["event_id"] for event in timeline(one, room)] for one in answers] == [
        [timeline(answers[0], room)[0]["event_id"]]
    ] * 3
    assert len({one["next_batch"] for one in answers}) == 1


def test_a_gap_brings_the_state_of_the_gap(alice: Client, bob: Client) -> None:
    """What changed in the part that was left out is in the state, and only that."""
    room = alice.create_room(preset="public_chat", name="first")
    alice.sync()
    alice.set_state(room, "m.room.name", {"name": "second"})
    alice.set_state(room, "m.room.name", {"name": "third"})
    bob.join(room)
    for number in range(12):
        alice.send(room, str(number))
    alice.set_state(room, "m.room.topic", {"topic": "in the timeline"})
    answer = alice.sync()
    assert joined(answer, room)["timeline"]["limited"] is True
    assert len(timeline(answer, room)) == 10
    state = state_of(answer, room)
    assert state.keys() == {("m.room.name", ""), ("m.room.member", bob.user_id)}
    assert state["m.room.name", ""]["content"] == {"name": "third"}


@pytest.mark.parametrize("happens", [9, 10, 11])
def test_limited_means_left_out(alice: Client, happens: int) -> None:
    """A timeline that holds all that is new is not limited, however long."""
    room = alice.create_room()
    alice.sync()
    for number in range(happens):
        alice.send(room, str(number))
    section = joined(alice.sync(), room)["timeline"]
    assert (len(section["events"]), section["limited"]) == (min(10, happens), happens > 10)


def test_no_timeline_at_all(alice: Client) -> None:
    """With a limit of nothing everything is in the gap, and the state is complete."""
    room = alice.create_room(name="Kitchen")
    answer = alice.sync(filter=limited_to(0))
    assert timeline(answer, room) == []
    assert joined(answer, room)["timeline"]["limited"] is True
    assert state_of(answer, room)["m.room.name", ""]["content"] == {"name": "Kitchen"}
    alice.set_state(room, "m.room.name", {"name": "Hall"})
    answer = alice.sync(filter=limited_to(0))
    assert joined(answer, room)["timeline"]["limited"] is True
    assert state_of(answer, room)["m.room.name", ""]["content"] == {"name": "Hall"}
    page = alice.messages(room, "b", **{"from": joined(answer, room)["timeline"]["prev_batch"], "limit": 1})
    assert page["chunk"][0]["content"] == {"name": "Hall"}


def test_the_full_state_again(alice: Client) -> None:
    """full_state brings all rooms with all of their state and what is new, and waits for nothing."""
    rooms = {alice.create_room(name=str(number)) for number in range(2)}
    alice.sync()
    began = time.monotonic()
    answer = alice.sync(full_state="true", timeout=30_000)
    assert time.monotonic() - began < 20
    assert answer["rooms"]["join"].keys() == rooms
    for room in rooms:
        assert timeline(answer, room) == []
        assert ("m.room.create", "") in state_of(answer, room)
        assert summary(answer, room)["m.joined_member_count"] == 1


# Coming in --------------------------------------------------------------------------------------------------------


def test_a_room_that_one_just_joined(alice: Client, bob: Client) -> None:
    """It comes with its whole state and its latest history, once."""
    room = alice.create_room(preset="public_chat", name="Kitchen")
    for number in range(4):
        alice.send(room, str(number))
    bob.sync()
    bob.join(room)
    answer = bob.sync(filter=limited_to(3))
    section = joined(answer, room)
    assert [body(event) for event in section["timeline"]["events"]] == ["2", "3", None]
    assert section["timeline"]["limited"] is True
    state = state_of(answer, room)
    assert state["m.room.name", ""]["content"] == {"name": "Kitchen"}
    assert state["m.room.member", alice.user_id]["content"]["membership"] == "join"
    assert summary(answer, room) == {"m.joined_member_count": 2, "m.invited_member_count": 0}
    assert "rooms" not in bob.sync()


def test_out_and_in_again_at_once(alice: Client, bob: Client) -> None:
    """Leaving and coming back between two syncs is a coming, and no leaving."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.sync()
    bob.leave(room)
    bob.join(room)
    answer = bob.sync()
    assert answer["rooms"].keys() == {"join"}
    assert joined(answer, room)["timeline"]["limited"] is True
    held = {**state_of(answer, room), **{(one["type"], one.get("state_key")): one for one in timeline(answer, room)}}
    assert ("m.room.create", "") in held


def test_in_and_out_and_in(alice: Client, bob: Client) -> None:
    """From before all of it, only the last counts; from in between, each has its turn."""
    room = alice.create_room(preset="public_chat")
    before = bob.sync()["next_batch"]
    bob.join(room)
    assert bob.sync()["rooms"].keys() == {"join"}
    bob.leave(room)
    assert bob.sync()["rooms"].keys() == {"leave"}
    bob.join(room)
    assert bob.sync()["rooms"].keys() == {"join"}
    assert bob.must("GET", "/sync", since=before)["rooms"].keys() == {"join"}


def test_an_invitation_is_told_once(alice: Client, bob: Client) -> None:
    """Until it changes; a first sync tells it always."""
    room = alice.create_room(name="Kitchen")
    bob.sync()
    alice.invite(room, bob)
    assert room in bob.sync()["rooms"]["invite"]
    alice.send(room, "not for Bob")
    assert "rooms" not in bob.sync()
    assert room in bob.login().sync()["rooms"]["invite"]
    bob.join(room)
    assert room in bob.sync()["rooms"]["join"]
    assert bob.login().sync()["rooms"].keys() == {"join"}


# Who is in the room -----------------------------------------------------------------------------------------------


def test_counts_and_heroes(alice: Client, bob: Client) -> None:
    """A room without a name is called after those who came first; counts come when they change."""
    people = [bob, *(Client.register(alice.url) for _ in range(6))]
    room = alice.create_room(preset="public_chat", invite=[people[0].user_id, people[1].user_id])
    answer = alice.sync()
    assert summary(answer, room) == {
        "m.heroes": [people[0].user_id, people[1].user_id], "m.joined_member_count": 1, "m.invited_member_count": 2,
    }  # fmt: skip
    people[0].join(room)
    assert summary(alice.sync(), room)["m.invited_member_count"] == 1
    for client in people[1:]:
        client.join(room)
    found = summary(alice.sync(), room)
    assert (found["m.joined_member_count"], found["m.invited_member_count"]) == (8, 0)
    assert len(found["m.heroes"]) == 5
    assert alice.user_id not in found["m.heroes"]
    own = summary(people[3].sync(), room)
    assert own["m.heroes"][0] == alice.user_id
    assert people[3].user_id not in own["m.heroes"]
    for client in people:
        client.leave(room)
    assert set(summary(alice.sync(), room)["m.heroes"]) <= {client.user_id for client in people}
    assert summary(alice.login().sync(), room)["m.joined_member_count"] == 1


@pytest.mark.parametrize(
    ("event_type", "content", "named"),
    [
        ("m.room.name", {"name": "Kitchen"}, True),
        ("m.room.name", {"name": ""}, False),
        ("m.room.name", {}, False),
        ("m.room.canonical_alias", {}, False),
    ],
)
def test_a_name_makes_heroes_needless(alice: Client, bob: Client, event_type: str, content: Json, named: bool) -> None:
    """An empty name is none."""
    room = alice.create_room(preset="public_chat", initial_state=[{"type": event_type, "content": content}])
    bob.join(room)
    assert ("m.heroes" in summary(alice.sync(), room)) is not named


def test_lazy_members(alice: Client, bob: Client) -> None:
    """Lazily loaded, the state has the members who speak or name the room, and oneself when all is told."""
    lazy = '{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":2}}}'
    people = [Client.register(alice.url) for _ in range(7)]
    room = alice.create_room(preset="public_chat", name="Kitchen")
    for client in (bob, *people):
        client.join(room)
    people[6].send(room, "one")
    bob.send(room, "two")

    def members(answer: Json) -> set[str]:
        return {key for event_type, key in state_of(answer, room) if event_type == "m.room.member"}

    answer = alice.sync(filter=lazy)
    assert members(answer) == {alice.user_id, bob.user_id, people[6].user_id}
    assert ("m.room.create", "") in state_of(answer, room)
    people[5].send(room, "three")
    assert members(alice.sync(filter=lazy)) == {people[5].user_id}
    people[4].leave(room)
    for number in range(3):
        alice.send(room, str(number))
    answer = alice.sync(filter=lazy)
    assert people[4].user_id in members(answer)
    assert state_of(answer, room)["m.room.member", people[4].user_id]["content"] == {"membership": "leave"}
    assert members(answer) <= {alice.user_id, people[4].user_id}
    answer = alice.sync(filter=lazy, full_state="true")
    assert members(answer) == {alice.user_id}
    alice.set_state(room, "m.room.name", {})
    bob.leave(room)
    answer = alice.sync(filter=lazy)
    heroes = summary(answer, room)["m.heroes"]
    told = {alice.user_id, bob.user_id, *(people[number].user_id for number in (4, 5, 6))}
    assert set(heroes) <= members(answer) | told


def test_lazy_members_after_the_timeline(alice: Client, bob: Client) -> None:
    """With state_after too every sender has a membership."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for client in (alice, bob):
        client.send(room, "hello")
    query = {"filter": '{"room":{"state":{"lazy_load_members":true}}}', "use_state_after": "true"}
    events = joined(alice.login().sync(**query), room)["state_after"]["events"]
    assert {event["state_key"] for event in events if event["type"] == "m.room.member"} == {alice.user_id, bob.user_id}


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "errcode"),
    [
        ({"since": "nonsense"}, 400, "M_INVALID_PARAM"),
        ({"since": "t1_1_1"}, 400, "M_INVALID_PARAM"),
        ({"since": "s1_-5_0_0_0"}, 400, "M_INVALID_PARAM"),
        ({"timeout": "long"}, 400, "M_INVALID_PARAM"),
        ({"set_presence": "asleep"}, 400, "M_INVALID_PARAM"),
        ({"filter": "{"}, 400, "M_INVALID_PARAM"),
        ({"filter": '{"room":5}'}, 400, "M_INVALID_PARAM"),
        ({"filter": "12345"}, 404, "M_NOT_FOUND"),
        ({"filter": "no number"}, 404, "M_NOT_FOUND"),
    ],
)
def test_mistakes(alice: Client, query: Json, status: int, errcode: str) -> None:
    """Each is named."""
    alice.refused(errcode, status, "GET", "/sync", **query)


def test_a_token_from_the_future(alice: Client) -> None:
    """Whoever has a token beyond the present, as after a restored backup, begins anew (test_restored_backup.py)."""
    room = alice.create_room()
    alice.send(room, "hello")
    alice.since = f"s1_{2**50}_0_0_0"
    told = alice.sync()
    assert joined(told, room)["timeline"]["limited"]
    assert body(timeline(told, room)[-1]) == "hello"
    alice.send(room, "again")
    assert [body(event) for event in timeline(alice.sync(), room)] == ["again"]


def test_redundant_members(alice: Client, bob: Client, carol: Client) -> None:
    """A member who was told of is not told of again, unless that is asked for, something changed, or it was lost."""

    def lazy(**more: Any) -> str:
        rule = {"lazy_load_members": True, **more}
        return json.dumps({"room": {"state": rule, "timeline": {"limit": 1}}})

    def members(since: str | None, filter_text: str) -> tuple[set[str], str]:
        query = {"filter": filter_text, **({"since": since} if since else {})}
        answer = alice.must("GET", "/sync", **query)
        return {key for event_type, key in state_of(answer, room) if event_type == "m.room.member"}, answer[
            "next_batch"
        ]

    room = alice.create_room(preset="public_chat", name="Kitchen")
    bob.join(room)
    carol.join(room)
    found, begin = members(None, lazy())
    assert found == {alice.user_id}  # Carol's own coming is the timeline
    bob.send(room, "one")
    found, first = members(begin, lazy())
    assert found == {bob.user_id}
    # The answer was lost and is asked for again.
    assert members(begin, lazy())[0] == {bob.user_id}
    bob.send(room, "two")
    assert members(begin, lazy())[0] == {bob.user_id}
    found, second = members(first, lazy())
    bob.send(room, "three")
    assert members(second, lazy())[0] == set()
    assert members(second, lazy(include_redundant_members=True))[0] == {bob.user_id}
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Bob"})
    alice.sync_until(lambda sync: any(event["type"] == "m.room.member" for event in timeline(sync, room)))
    bob.send(room, "four")
    found, third = members(second, lazy())
    assert found == {bob.user_id}
    bob.send(room, "five")
    assert members(third, lazy())[0] == set()
    # Another first sync knows nothing of the other's.
    carol.send(room, "six")
    _, other = members(None, lazy())
    bob.send(room, "seven")
    assert members(other, lazy())[0] == {bob.user_id}


def test_a_summary_when_the_name_goes(alice: Client, bob: Client) -> None:
    """The heroes are told as soon as the room has no name of its own."""
    room = alice.create_room(preset="public_chat", name="Kitchen")
    bob.join(room)
    assert "m.heroes" not in summary(alice.sync(), room)
    alice.send(room, "x")
    assert "summary" not in joined(alice.sync(), room)
    alice.set_state(room, "m.room.name", {})
    assert summary(alice.sync(), room)["m.heroes"] == [bob.user_id]


def test_account_data_of_a_left_room(alice: Client) -> None:
    """What was kept about a room that one has left is told with it."""
    room = alice.create_room()
    alice.sync()
    alice.leave(room)
    alice.must("PUT", f"/user/{seg(alice.user_id)}/rooms/{seg(room)}/account_data/a.type", {"a": 1})
    section = alice.sync()["rooms"]["leave"][room]
    assert section["account_data"]["events"] == [{"type": "a.type", "content": {"a": 1}}]
