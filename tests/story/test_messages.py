"""Reading a room's history (client-server API, "Getting events for a room")."""

import json
from typing import Any

import pytest

from tests.support.client import Client, Json, body, seg, timeline


def texts(page: Json) -> list[str]:
    """What the messages of a page say."""
    return [body(event) for event in page["chunk"] if event["type"] == "m.room.message"]


def said(client: Client, room: str, *words: object) -> list[str]:
    """Say some words, and give the events' ids."""
    return [client.send(room, str(word)) for word in words]


def everything(client: Client, room: str, direction: str, limit: int, **query: Any) -> list[Json]:
    """All pages in one direction, one after another."""
    events: list[Json] = []
    for _ in range(100):
        page = client.messages(room, direction, limit=limit, **query)
        events += page["chunk"]
        assert len(page["chunk"]) <= limit
        if "end" not in page:
            return events
        query["from"] = page["end"]
    raise AssertionError("the history does not end")


def test_both_ways_give_the_whole_room(alice: Client) -> None:
    """Pages of any size give each event once, in order, and end where the room begins or has got to."""
    room = alice.create_room(name="Kitchen")
    said(alice, room, *range(13))
    forwards = everything(alice, room, "f", 100)
    assert forwards[0]["type"] == "m.room.create"
    assert [body(event) for event in forwards[-13:]] == [str(number) for number in range(13)]
    ids = [event["event_id"] for event in forwards]
    for limit in (1, 2, 3, 7, len(ids) - 1, len(ids), len(ids) + 1):
        assert [event["event_id"] for event in everything(alice, room, "f", limit)] == ids
        assert [event["event_id"] for event in everything(alice, room, "b", limit)] == ids[::-1]
    assert all(event["room_id"] == room for event in forwards)


def test_ten_at_a_time(alice: Client) -> None:
    """A page has ten events unless said otherwise; fewer than one make no sense, and too many are cut."""
    room = alice.create_room()
    said(alice, room, *range(12))
    assert texts(alice.messages(room)) == [str(number) for number in range(11, 1, -1)]
    assert len(alice.messages(room, limit=100_000)["chunk"]) == 12 + 6
    alice.refused("M_INVALID_PARAM", 400, "GET", f"/rooms/{seg(room)}/messages", dir="b", limit="many")


def test_from_the_tokens_of_sync(alice: Client) -> None:
    """next_batch and prev_batch are points of the history, for reading both ways."""
    room = alice.create_room()
    said(alice, room, "a", "b")
    answer = alice.sync(filter='{"room":{"timeline":{"limit":1}}}')
    batch = answer["rooms"]["join"][room]["timeline"]["prev_batch"]
    said(alice, room, "c", "d")
    now = answer["next_batch"]
    assert texts(alice.messages(room, "b", **{"from": now})) == ["b", "a"]
    assert texts(alice.messages(room, "f", **{"from": now})) == ["c", "d"]
    assert texts(alice.messages(room, "b", **{"from": batch})) == ["a"]
    assert texts(alice.messages(room, "f", **{"from": batch})) == ["b", "c", "d"]
    assert texts(alice.messages(room, "f", **{"from": batch, "to": now})) == ["b"]
    assert texts(alice.messages(room, "b", to=now)) == ["d", "c"]
    assert texts(alice.messages(room, "b", to=batch)) == ["d", "c", "b"]
    page = alice.messages(room, "b", **{"from": now, "limit": 1})
    assert page["start"] == now
    assert texts(alice.messages(room, "f", **{"from": page["end"], "limit": 1})) == ["b"]


def test_a_gap_is_filled(alice: Client, bob: Client) -> None:
    """What a limited sync left out is between the token before and its prev_batch."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    before = bob.sync()["next_batch"]
    said(alice, room, *range(30))
    answer = bob.sync(filter='{"room":{"timeline":{"limit":4}}}')
    section = answer["rooms"]["join"][room]["timeline"]
    assert section["limited"] is True
    gap = bob.messages(room, "b", **{"from": section["prev_batch"], "to": before, "limit": 100})
    assert texts(gap)[::-1] + [body(event) for event in section["events"]] == [str(number) for number in range(30)]
    assert "end" not in gap


def test_where_there_is_no_more(alice: Client) -> None:
    """The last page has no end, also where it is full to the last event."""
    room = alice.create_room()
    (last,) = said(alice, room, "last")
    everything_there = len(everything(alice, room, "b", 100))
    page = alice.messages(room, "b", limit=everything_there)
    assert page["chunk"][-1]["type"] == "m.room.create"
    assert "end" not in page or not alice.messages(room, "b", **{"from": page["end"]})["chunk"]
    now = alice.sync()["next_batch"]
    page = alice.messages(room, "f", **{"from": now})
    assert page == {"chunk": [], "start": now}
    assert alice.messages(room, "b", limit=1)["chunk"][0]["event_id"] == last


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"dir": "x"}, "M_INVALID_PARAM"),
        ({"dir": "b", "from": "nonsense"}, "M_INVALID_PARAM"),
        ({"dir": "b", "to": "s1_x_0_0_0"}, "M_INVALID_PARAM"),
        ({"dir": "b", "from": "t1_99999999999999999999999_0"}, "M_INVALID_PARAM"),
        ({"dir": "b", "filter": "{"}, "M_INVALID_PARAM"),
        ({"dir": "b", "filter": "[]"}, "M_INVALID_PARAM"),
        ({"dir": "b", "filter": '{"types":"m.room.message"}'}, "M_INVALID_PARAM"),
    ],
)
def test_wrong_questions(alice: Client, query: Json, errcode: str) -> None:
    """Each is named."""
    room = alice.create_room()
    alice.refused(errcode, 400, "GET", f"/rooms/{seg(room)}/messages", **query)


def test_tokens_from_far_away(alice: Client) -> None:
    """Points beyond the room's ends are its ends."""
    room = alice.create_room()
    said(alice, room, "a")
    assert texts(alice.messages(room, "b", **{"from": f"s1_{2**50}_0_0_0"})) == ["a"]
    assert texts(alice.messages(room, "b", **{"from": f"t1_{2**50}_{2**50}"})) == ["a"]
    assert alice.messages(room, "f", **{"from": f"t1_{2**50}_{2**50}"})["chunk"] == []
    assert alice.messages(room, "b", **{"from": "s1_0_0_0_0"})["chunk"] == []
    assert alice.messages(room, "f", **{"from": "s1_0_0_0_0"})["chunk"][0]["type"] == "m.room.create"


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"types": ["m.room.message"]}, ["a", "b", "c"]),
        ({"types": ["a.*"]}, ["x"]),
        ({"types": []}, []),
        ({"not_types": ["m.room.*"]}, ["x"]),
        ({"types": ["m.room.message", "a.type"], "not_types": ["*.type"]}, ["a", "b", "c"]),
        ({"types": ["m.room.message"], "senders": ["ALICE"]}, ["a", "c"]),
        ({"types": ["m.room.message"], "not_senders": ["ALICE"]}, ["b"]),
        ({"senders": ["BOB"], "not_senders": ["BOB"]}, []),
        ({"contains_url": True}, ["c"]),
        ({"contains_url": False, "types": ["m.room.message"]}, ["a", "b"]),
        ({"rooms": ["ROOM"], "types": ["a.type"]}, ["x"]),
        ({"rooms": []}, []),
        ({"not_rooms": ["ROOM"]}, []),
    ],
)
def test_filters(alice: Client, bob: Client, rule: Json, wanted: list[str]) -> None:
    """Types, senders, URLs and rooms, in their positive and negative forms, of which the negative wins."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.send(room, "a")
    bob.send(room, "b")
    path = f"/rooms/{seg(room)}/send/m.room.message/c"
    alice.must("PUT", path, {"body": "c", "msgtype": "m.image", "url": "mxc://a/b"})
    alice.send(room, "x", event_type="a.type")
    text = json.dumps(rule).replace("ALICE", alice.user_id).replace("BOB", bob.user_id).replace("ROOM", room)
    found = [body(event) for event in everything(alice, room, "f", 2, filter=text)]
    assert found == wanted


def test_a_filter_looks_past_what_it_does_not_want(alice: Client) -> None:
    """A page is filled with what is wanted, wherever that is."""
    room = alice.create_room()
    said(alice, room, "first")
    for number in range(30):
        alice.send(room, str(number), event_type="a.type")
    page = alice.messages(room, "b", limit=1, filter='{"types":["m.room.message"]}')
    assert texts(page) == ["first"]


def test_members_with_the_page(alice: Client, bob: Client) -> None:
    """Lazily loaded, the members are those who speak on the page."""
    carol = Client.register(alice.url)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    before = alice.sync()["next_batch"]
    bob.send(room, "b")
    middle = alice.sync()["next_batch"]
    carol.send(room, "c")
    lazy = '{"lazy_load_members":true}'
    page = alice.messages(room, "f", **{"from": middle, "filter": lazy})
    assert [(event["type"], event["state_key"]) for event in page["state"]] == [("m.room.member", carol.user_id)]
    page = alice.messages(room, "b", to=before, filter=lazy)
    assert {event["state_key"] for event in page["state"]} == {bob.user_id, carol.user_id}
    assert all(event["room_id"] == room for event in page["state"])
    assert "state" not in alice.messages(room)
    bob.leave(room)
    page = alice.messages(room, "f", **{"from": before, "to": middle, "filter": lazy})
    assert [event["content"]["membership"] for event in page["state"]] in (["join"], ["leave"])


def test_one_event(alice: Client, bob: Client) -> None:
    """An event is found under its room alone, by those who may see it."""
    room, other = alice.create_room(), alice.create_room()
    event_id = alice.send(room, "hello")
    assert body(alice.event(room, event_id)) == "hello"
    for where, what in ((other, event_id), (room, "$nothing"), ("!nowhere:x", event_id), (room, "nothing")):
        alice.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(where)}/event/{seg(what)}")
    bob.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/event/{seg(event_id)}")


def test_former_members_are_not_led_through_what_followed(alice: Client, bob: Client) -> None:
    """Whoever left finds the last of what they may see at once, and nothing after it."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    said(alice, room, "before")
    bob.leave(room)
    since = bob.sync()["next_batch"]
    for number in range(150):
        alice.send(room, str(number))
    page = bob.messages(room, "b", limit=2)
    assert [event["type"] for event in page["chunk"]] == ["m.room.member", "m.room.message"]
    assert bob.messages(room, "f", **{"from": since}) == {"chunk": [], "start": since}
    assert everything(bob, room, "f", 5)[-1]["content"] == {"membership": "leave"}


def test_messages_of_a_fresh_joiner(alice: Client, bob: Client) -> None:
    """All of a shared history is there for whoever comes later."""
    room = alice.create_room(preset="public_chat")
    ids = said(alice, room, *range(25))
    bob.join(room)
    found = everything(bob, room, "b", 10)
    assert [event["event_id"] for event in found if event["type"] == "m.room.message"] == ids[::-1]
    assert {event["unsigned"]["membership"] for event in found[1:]} == {"leave"}
    assert timeline(bob.sync(), room)[-1]["unsigned"]["membership"] == "join"
