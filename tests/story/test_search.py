"""Search in what was said (client-server API, module "Server side search")."""

from itertools import pairwise
from typing import Any

import pytest

from tests.support.client import Client, Json, body, seg, unique
from tests.support.related import bundle, edit


def search(client: Client, term: str, *, token: str = "", rooms: list[str] | None = None, **wanted: Any) -> Json:
    """What is found for some words, in some rooms if they are given."""
    rule = {**wanted.pop("filter", {}), **({} if rooms is None else {"rooms": rooms})}
    asked = {"search_term": term, "filter": rule, **wanted}
    query = {"next_batch": token} if token else {}
    answer = client.must("POST", "/search", {"search_categories": {"room_events": asked}}, **query)
    found: Json = answer["search_categories"]["room_events"]
    return found


def texts(found: Json) -> list[Any]:
    """What the results say."""
    return [body(one["result"]) for one in found["results"]]


def ids(found: Json) -> list[str]:
    """The ids of the results."""
    return [one["result"]["event_id"] for one in found["results"]]


def test_by_body(alice: Client) -> None:
    """All words must be there, in any order and case, with or without accents; phrases in quotation marks."""
    room = alice.create_room(name="Kitchen", topic="What is in the oven")
    sent = alice.send(room, "hello, World: the Café is open")
    alice.send(room, "good bye")
    found = search(alice, "hello", keys=["content.body"])
    (result,) = found["results"]
    assert (found["count"], result["result"]["event_id"], result["result"]["room_id"]) == (1, sent, room)
    assert result["rank"] > 0
    assert found["highlights"] == ["hello"]
    for term in ("WORLD hello", "cafe", "wor", "hel wor", '"hello world"', "open?", "café", "(hello", "hello*"):
        assert ids(search(alice, term)) == [sent], term
    for term in ("hello good", '"world hello"', "x", "", "!!!", '"', "ello", "NEAR(hello world)", "body:hello"):
        assert search(alice, term)["results"] == [], term
    assert [one["result"]["type"] for one in search(alice, "kitchen")["results"]] == ["m.room.name"]
    assert [one["result"]["type"] for one in search(alice, "oven", keys=["content.topic"])["results"]] == [
        "m.room.topic"
    ]
    assert search(alice, "oven", keys=["content.body"])["results"] == []
    assert search(alice, "oven", keys=[])["results"] == []


def test_words_without_spaces(alice: Client) -> None:
    """Some scripts set no spaces between words."""
    room = alice.create_room()
    sent = alice.send(room, "今日はいい天気ですね")
    alice.send(room, "気天")
    assert ids(search(alice, "天気")) == [sent]
    assert ids(search(alice, "いい 今日")) == [sent]


def test_what_is_around(alice: Client, bob: Client) -> None:
    """Events before and after each result, the nearest first, and how those who speak there called themselves."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for number in range(1, 8):
        alice.send(room, f"Message number {number}")
    around = {"before_limit": 2, "after_limit": 2, "include_profile": True}
    found = search(alice, "Message 4", order_by="recent", rooms=[room], filter={"limit": 1}, event_context=around)
    assert found["count"] == 1
    assert "next_batch" in found
    context = found["results"][0]["context"]
    assert [body(event) for event in context["events_before"]] == ["Message number 3", "Message number 2"]
    assert [body(event) for event in context["events_after"]] == ["Message number 5", "Message number 6"]
    assert context["profile_info"] == {alice.user_id: {"displayname": alice.user_id[1:].partition(":")[0]}} or set(
        context["profile_info"]
    ) == {alice.user_id}
    assert body(alice.messages(room, "b", limit=1, **{"from": context["start"]})["chunk"][0]) == "Message number 1"
    assert body(alice.messages(room, "f", limit=1, **{"from": context["end"]})["chunk"][0]) == "Message number 7"
    assert "context" not in search(alice, "Message 4", rooms=[room])["results"][0]


def test_in_pages(alice: Client) -> None:
    """The latest first or the best first, page by page, each once, until there is no more."""
    room = alice.create_room()
    sent = [alice.send(room, "tea " * (number % 3 + 1) + "for two" * (number % 2)) for number in range(20)]
    first = search(alice, "tea", order_by="recent", rooms=[room])
    assert (ids(first), first["count"]) == (sent[:9:-1], 20)
    second = search(alice, "tea", order_by="recent", rooms=[room], token=first["next_batch"])
    assert ids(second) == sent[9::-1]
    third = search(alice, "tea", order_by="recent", rooms=[room], token=second["next_batch"])
    assert (third["results"], third["count"]) == ([], 20)
    assert "next_batch" not in third
    found: list[str] = []
    ranks: list[float] = []
    token = ""
    for _ in range(10):
        page = search(alice, "tea", rooms=[room], token=token, filter={"limit": 7})
        found += ids(page)
        ranks += [one["rank"] for one in page["results"]]
        alice.send(room, "more tea")
        token = page.get("next_batch", "")
        if not token:
            break
    assert sorted(found) == sorted(sent)
    # What is said meanwhile makes words weigh a little less, and with them all that is compared with the best.
    assert all(after < before + 0.01 for before, after in pairwise(ranks))
    path = {"search_categories": {"room_events": {"search_term": "tea"}}}
    alice.refused("M_INVALID_PARAM", 400, "POST", "/search", path, next_batch="x")


def test_only_what_one_may_see(alice: Client, bob: Client) -> None:
    """Nothing from rooms that one is not in, from before one's time, or by whom one ignores."""
    word = unique("word")
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
    ])  # fmt: skip
    before = alice.send(room, f"{word} before")
    assert search(bob, word)["results"] == []
    bob.join(room)
    # Not even that there is something.
    assert search(bob, word)["count"] == 0
    seen = alice.send(room, f"{word} seen")
    assert ids(search(bob, word)) == [seen]
    assert (search(bob, word)["count"], search(alice, word)["count"]) == (1, 2)
    assert set(ids(search(alice, word))) == {before, seen}
    assert search(bob, word, rooms=["!nowhere:x"])["results"] == []
    assert search(bob, word, filter={"not_rooms": [room]})["results"] == []
    path = f"/user/{seg(bob.user_id)}/account_data/m.ignored_user_list"
    bob.must("PUT", path, {"ignored_users": {alice.user_id: {}}})
    assert search(bob, word)["results"] == []
    bob.must("PUT", path, {"ignored_users": {}})
    bob.leave(room)
    alice.send(room, f"{word} after")
    assert search(bob, word)["results"] == []
    assert ids(search(bob, word, rooms=[room])) == [seen]
    bob.forget(room)
    assert search(bob, word, rooms=[room])["results"] == []


def test_words_of_an_edit_that_one_may_not_see(alice: Client, bob: Client) -> None:
    word = unique("word")
    room = alice.create_room(preset="public_chat")
    sent = alice.send(room, "what everybody sees")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    edit(alice, room, sent, f"now {word}")
    bob.join(room)
    assert ids(search(alice, word)) == [sent]
    assert bob.event(room, sent)["content"]["body"] == "what everybody sees"
    found = search(bob, word)
    assert (found["results"], found["count"]) == ([], 0)


def test_redactions_and_edits(alice: Client) -> None:
    """What was redacted is not found, what was edited by its last words."""
    for order in ("rank", "recent"):
        word = unique("word")
        room = alice.create_room()
        gone, stays = alice.send(room, f"{word} one"), alice.send(room, f"{word} two")
        late = alice.send(room, f"{word} three")
        assert len(search(alice, word, order_by=order)["results"]) == 3
        alice.redact(room, gone)
        assert set(ids(search(alice, word, order_by=order))) == {stays, late}
        edit(alice, room, stays, f"{word} fourth")
        last = edit(alice, room, stays, f"{word} fifth")
        (result,) = search(alice, f"{word} fifth", order_by=order)["results"]
        assert result["result"]["event_id"] == stays
        assert bundle(result["result"])["m.replace"]["event_id"] == last
        assert search(alice, f"{word} fourth", order_by=order)["results"] == []
        assert search(alice, f"{word} two", order_by=order)["results"] == []
        assert set(ids(search(alice, word, order_by=order))) == {stays, late}
        alice.redact(room, last)
        assert ids(search(alice, f"{word} fourth", order_by=order)) == [stays]
        alice.redact(room, stays)
        assert ids(search(alice, word, order_by=order)) == [late]


def test_across_an_upgrade(alice: Client, bob: Client) -> None:
    """Where a filter names a room, what was before it counts as well."""
    word = unique("word")
    room = alice.create_room(room_version="10", preset="public_chat")
    bob.join(room)
    before = alice.send(room, f"{word} before")
    upgraded = alice.must("POST", f"/rooms/{seg(room)}/upgrade", {"new_version": "12"})["replacement_room"]
    after = alice.send(upgraded, f"{word} after")
    assert set(ids(search(alice, word, rooms=[upgraded]))) == {before, after}
    assert set(ids(search(alice, word, rooms=[room, upgraded]))) == {before, after}
    assert ids(search(alice, word, rooms=[room])) == [before]
    assert search(bob, word, rooms=[upgraded])["results"] == []


def test_groups_filters_and_state(alice: Client, bob: Client) -> None:
    """Results by room and by sender, each group with a way on; by sender and type; the state of the rooms."""
    word = unique("word")
    one, two = (alice.create_room(preset="public_chat") for _ in range(2))
    for room in (one, two):
        bob.join(room)
    first, second = alice.send(one, word), bob.send(one, word)
    third, fourth = alice.send(two, word), alice.send(two, word)
    groupings = {"group_by": [{"key": "room_id"}, {"key": "sender"}]}
    found = search(alice, word, order_by="recent", filter={"limit": 3}, groupings=groupings, include_state=True)
    assert ids(found) == [fourth, third, second]
    by_room, by_sender = found["groups"]["room_id"], found["groups"]["sender"]
    assert by_room[two]["results"] == [fourth, third]
    assert by_room[one]["results"] == [second]
    assert by_room[two]["order"] != by_room[one]["order"]
    assert by_sender[bob.user_id]["results"] == [second]
    assert set(found["state"]) == {one, two}
    assert "m.room.create" in {event["type"] for event in found["state"][one]}
    assert ids(search(alice, word, order_by="recent", token=by_room[one]["next_batch"])) == [first]
    assert ids(search(alice, word, order_by="recent", token=by_room[two]["next_batch"])) == []
    assert ids(search(alice, word, order_by="recent", token=by_sender[alice.user_id]["next_batch"])) == [first]
    assert ids(search(alice, word, order_by="recent", filter={"senders": [bob.user_id]})) == [second]
    assert search(alice, word, filter={"types": ["m.room.name"]})["results"] == []


def test_wrong_questions(alice: Client) -> None:
    """Each is named."""
    assert alice.must("POST", "/search", {"search_categories": {}}) == {"search_categories": {}}
    for asked, errcode in (
        ({}, "M_MISSING_PARAM"),
        ({"search_term": 7}, "M_BAD_JSON"),
        ({"search_term": "x", "order_by": "x"}, "M_BAD_JSON"),
        ({"search_term": "x", "keys": ["content.secret"]}, "M_BAD_JSON"),
        ({"search_term": "x", "groupings": {"group_by": [{"key": "x"}]}}, "M_BAD_JSON"),
        ({"search_term": "x", "event_context": {"before_limit": -1}}, "M_BAD_JSON"),
    ):
        alice.refused(errcode, 400, "POST", "/search", {"search_categories": {"room_events": asked}})
    alice.refused("M_MISSING_PARAM", 400, "POST", "/search", {})


def test_how_well_something_fits_says_nothing_of_others(alice: Client, bob: Client) -> None:
    """What is said in rooms that one is not in does not change how well one's own words fit."""
    word = unique("word").replace("-", "")
    room, elsewhere = alice.create_room(), bob.create_room()
    alice.send(room, f"{word} once")
    alice.send(room, f"{word} {word} twice, with more around it")

    def ranks() -> list[float]:
        wanted = {"search_categories": {"room_events": {"search_term": word}}}
        found = alice.must("POST", "/search", wanted)["search_categories"]["room_events"]["results"]
        return [one["rank"] for one in found]

    before = ranks()
    for _ in range(5):
        bob.send(elsewhere, f"{word} here")
    assert len(before) == 2
    # Their length matters a little, as it moves what is long.
    assert ranks() == pytest.approx(before, abs=0.05)
