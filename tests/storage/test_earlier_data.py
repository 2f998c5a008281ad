"""A house that an earlier version left behind goes on living: nothing that anybody had in it is lost.

The data are those of ``fixtures/m0010_sliding.sql``, in which Alice, Bob and Carol share a kitchen.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.hearth import HearthProcess

FIXTURE = Path(__file__).parent / "fixtures" / "m0010_sliding.sql"
KITCHEN = "!R2gY7UO_d67M0KxIaUL6SSNypwNQXVUqwp5cr9g_iJY"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HearthProcess]:
    """A server of today on the data of then."""
    folder = tmp_path_factory.mktemp("earlier") / "data"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "hearth.db")) as file:
        file.execute("PRAGMA auto_vacuum = INCREMENTAL")
        file.executescript(FIXTURE.read_text())
    server = HearthProcess(folder, "").start()
    yield server
    server.end()


@pytest.fixture
def alice(house: HearthProcess) -> Client:
    """On the device that she had."""
    return Client(house.url, "_aIibVLM8-xeh9HOLpxRZJXGGX84U9lJFIlWSVI6mqA", "@alice:example.org", "ERSYFYQAYP")


@pytest.fixture
def bob(house: HearthProcess) -> Client:
    """On the device that he had."""
    return Client(house.url, "9xGXuugO4VCtd1aTZlssSH2i8ReKwQ1HYhG5dSmLsNw", "@bob:example.org", "BNQKHKVNYP")


def test_rooms_messages_and_what_belongs_to_them_are_there(alice: Client) -> None:
    found = alice.must("GET", "/sync", timeout=0)
    names = {
        event["content"]["name"]
        for room in found["rooms"]["join"].values()
        for event in [*room.get("state", {}).get("events", ()), *room["timeline"]["events"]]
        if event["type"] == "m.room.name"
    }
    assert {"Kitchen", "House"} <= names
    private = {event["type"] for event in found["rooms"]["join"][KITCHEN]["account_data"]["events"]}
    assert private == {"m.tag", "m.fully_read"}
    messages = alice.must("GET", f"/rooms/{KITCHEN}/messages", dir="b", limit=100)["chunk"]
    soup = {event["event_id"]: event for event in messages if "of soup" in event["content"].get("body", "")}
    assert len(soup) == 5
    first = min(soup.values(), key=lambda event: str(event["content"]["body"]))
    told = first["unsigned"]["m.relations"]
    assert told["m.replace"]["content"]["m.new_content"]["body"] == "better"
    assert [event["unsigned"]["redacted_because"]["content"]["reason"] for event in messages if not event["content"]]
    threads = alice.must("GET", f"/_matrix/client/v1/rooms/{KITCHEN}/threads")["chunk"]
    assert [event["unsigned"]["m.relations"]["m.thread"]["count"] for event in threads] == [1]
    assert alice.must("GET", "/directory/room/%23kitchen%3Aexample.org")["room_id"] == KITCHEN


def test_what_was_written_can_be_found(alice: Client) -> None:
    wanted = {"search_categories": {"room_events": {"search_term": "soup"}}}
    found = alice.must("POST", "/search", wanted)["search_categories"]["room_events"]
    assert len(found["results"]) == found["count"] == 5  # and the topic; not what an edit says otherwise now


def test_keys_and_messages_to_devices_are_there(alice: Client, bob: Client) -> None:
    assert alice.must("GET", "/sync", timeout=0)["device_one_time_keys_count"] == {"signed_curve25519": 4}
    assert [event["content"] for event in bob.must("GET", "/sync", timeout=0)["to_device"]["events"]] == [
        {"n": 0},
        {"n": 1},
        {"n": 2},
    ]
    known = bob.must("POST", "/keys/query", {"device_keys": {alice.user_id: []}})
    assert set(known["device_keys"][alice.user_id]) == {alice.device_id}
    assert known["master_keys"][alice.user_id]["usage"] == ["master"]
    claimed = bob.must(
        "POST", "/keys/claim", {"one_time_keys": {alice.user_id: {alice.device_id: "signed_curve25519"}}}
    )["one_time_keys"][alice.user_id][alice.device_id]
    assert list(claimed) == ["signed_curve25519:AAAA1"]
    assert alice.must("GET", "/room_keys/version")["count"] == 1


def test_invitations_knocks_and_bans_stand(alice: Client, bob: Client, house: HearthProcess) -> None:
    found = bob.must("GET", "/sync", timeout=0)["rooms"]
    assert len(found["invite"]) == 1
    assert len(found["knock"]) == 1
    (knocked,) = found["knock"]
    carol = Client(house.url)
    carol._as(carol.must("POST", "/login", {"type": "m.login.password", "user": "carol", "password": "pass-of-carol"}))
    carol.refused("M_FORBIDDEN", 403, "POST", f"/knock/{knocked}", {})
    (invited,) = found["invite"]
    bob.join(invited)
    alice.must("PUT", f"/rooms/{invited}/send/m.room.message/now", {"msgtype": "m.text", "body": "still here"})
    said = bob.must("GET", f"/rooms/{invited}/messages", dir="b", limit=1)["chunk"]
    assert said[0]["content"]["body"] == "still here"


def test_a_life_begins_anew_on_sliding_sync(alice: Client) -> None:
    lists = {"all": {"ranges": [[0, 19]], "timeline_limit": 3, "required_state": [["m.room.name", ""]]}}
    found = alice.must("POST", SLIDING, {"conn_id": "new", "lists": lists}, timeout=0)
    assert found["rooms"][KITCHEN]["name"] == "Kitchen"
