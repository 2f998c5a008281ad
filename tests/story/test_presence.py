"""Who is online (client-server API, module "Presence")."""

import pytest

from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess
from tests.support.sliding import DEPLOYED


@pytest.fixture
def pair(furnished: HearthProcess) -> tuple[Client, Client, str]:
    """Two people in a room."""
    alice, bob = Client.register(furnished.url), Client.register(furnished.url)
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return alice, bob, room


def status(user: Client) -> str:
    """The path of a user's presence."""
    return f"/presence/{seg(user.user_id)}/status"


def told(answer: Json, user: Client) -> list[Json]:
    """The presence of a user in a sync."""
    events = answer.get("presence", {}).get("events", [])
    return [event["content"] for event in events if event["sender"] == user.user_id]


def test_what_one_says_is_told_to_those_who_share_a_room(pair: tuple[Client, Client, str]) -> None:
    """State and message come with their sync, and when they ask; nobody else may ask, and nobody speaks for others."""
    alice, bob, _ = pair
    alice.sync()
    assert bob.must("PUT", status(bob), {"presence": "unavailable", "status_msg": "Having tea"}) == {}
    (content,) = told(alice.sync_until(lambda answer: told(answer, bob)), bob)
    assert (content["presence"], content["status_msg"]) == ("unavailable", "Having tea")
    assert alice.must("GET", status(bob))["presence"] == "unavailable"
    assert bob.must("GET", status(bob))["status_msg"] == "Having tea"
    bob.must("PUT", status(bob), {"presence": "online"})
    content = told(alice.sync_until(lambda answer: told(answer, bob)), bob)[-1]
    assert (content["presence"], content["currently_active"], "status_msg" in content) == ("online", True, False)
    assert content["last_active_ago"] < 60_000
    stranger = Client.register(alice.url)
    stranger.refused("M_FORBIDDEN", 403, "GET", status(bob))
    stranger.refused("M_FORBIDDEN", 403, "PUT", status(bob), {"presence": "online"})
    assert told(stranger.sync(), bob) == []
    bob.refused("M_INVALID_PARAM", 400, "PUT", status(bob), {"presence": "busy"})
    bob.refused("M_MISSING_PARAM", 400, "PUT", status(bob), {})


def test_whoever_syncs_is_online_unless_they_say_otherwise(pair: tuple[Client, Client, str]) -> None:
    """``set_presence`` of offline leaves it, unavailable says that its user is idle."""
    alice, bob, _ = pair
    bob.sync(set_presence="offline")
    assert alice.must("GET", status(bob)) == {"presence": "offline"}
    bob.sync()
    assert alice.must("GET", status(bob))["presence"] == "online"
    bob.sync(set_presence="unavailable")
    assert alice.must("GET", status(bob))["presence"] == "unavailable"
    bob.refused("M_INVALID_PARAM", 400, "GET", "/sync", set_presence="asleep")


def test_sliding_sync_says_it_too(pair: tuple[Client, Client, str]) -> None:
    """As a parameter of the request; there is no extension that would tell of others."""
    alice, bob, _ = pair
    for wanted, state in (("unavailable", "unavailable"), ("online", "online")):
        bob.must("POST", DEPLOYED, {"lists": {}}, set_presence=wanted)
        assert alice.must("GET", status(bob))["presence"] == state
    bob.refused("M_INVALID_PARAM", 400, "POST", DEPLOYED, {"lists": {}}, set_presence="asleep")


def test_sending_something_makes_one_active(pair: tuple[Client, Client, str]) -> None:
    """Whatever the client last said of being idle."""
    alice, bob, room = pair
    bob.sync(set_presence="unavailable")
    bob.send(room, "I am back")
    assert alice.must("GET", status(bob))["presence"] == "online"


def test_a_first_sync_and_a_new_room_tell_who_is_there(furnished: HearthProcess) -> None:
    """At first everybody who is online in one's rooms; later those of a room that one came into."""
    alice, bob, carol = (Client.register(furnished.url) for _ in range(3))
    room = alice.create_room(preset="public_chat")
    alice.sync()
    bob.sync()
    carol.must("PUT", status(carol), {"presence": "online", "status_msg": "new here"})
    bob.join(room)
    carol.join(room)
    answer = bob.sync()
    assert [content["presence"] for content in told(answer, alice)] == ["online"]
    assert told(answer, carol)[0]["status_msg"] == "new here"
    assert told(alice.sync(), carol)[0]["status_msg"] == "new here"
    assert told(carol.login().sync(), bob)[0]["presence"] == "online"
    assert told(bob.sync(), alice) == []


def test_a_filter_may_want_none(pair: tuple[Client, Client, str]) -> None:
    """A filter for presence by type and sender holds for these events too."""
    alice, bob, _ = pair
    bob.sync()
    phone = alice.login()
    assert told(phone.sync(filter='{"presence":{"types":[]}}'), bob) == []
    only = f'{{"presence":{{"not_senders":["{bob.user_id}"]}}}}'
    assert told(alice.login().sync(filter=only), bob) == []
    assert told(alice.login().sync(), bob) != []


def test_logging_out_ends_it_at_once(pair: tuple[Client, Client, str]) -> None:
    """Nobody is online on a device that is gone."""
    alice, bob, _ = pair
    bob.sync()
    phone = bob.login()
    bob.must("POST", "/logout", {})
    assert alice.must("GET", status(bob))["presence"] == "offline"
    phone.sync()
    assert alice.must("GET", status(bob))["presence"] == "online"


def test_where_presence_is_off_nobody_is_online(alice: Client, bob: Client) -> None:
    """Asking and saying still work, without any effect."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.must("PUT", status(bob), {"presence": "online"})
    assert alice.must("GET", status(bob)) == {"presence": "offline"}
    assert "presence" not in alice.sync()
