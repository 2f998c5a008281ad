"""Whose devices changed, for whom (client-server API, "Tracking the device list for a user")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, together
from tests.support.hearth import HearthProcess
from tests.support.keys import DeviceSecrets, changed, left, upload, with_keys


def told(client: Client, **query: Any) -> tuple[set[str], set[str]]:
    """Whose devices changed, and who is left, in the next sync; /keys/changes must say the same."""
    before = client.since
    sync = client.sync(**query)
    found = changed(sync), left(sync)
    asked = client.must("GET", "/keys/changes", **{"from": before, "to": client.since})
    assert (set(asked["changed"]), set(asked["left"])) == found
    assert ("device_lists" in sync) == any(found)
    return found


@pytest.fixture
def room(alice: Client, bob: Client) -> str:
    """A room with both, who have heard of everything."""
    return together(alice, bob)


def test_new_keys_are_told_to_whom_one_shares_a_room_with(alice: Client, bob: Client, carol: Client, room: str) -> None:
    """And to oneself; a sync that waits is woken; nobody else is told. A first sync tells nothing."""
    carol.sync()
    with_keys(alice, "A")
    assert told(bob, timeout=10_000) == ({alice.user_id}, set())
    assert told(alice) == ({alice.user_id}, set())
    assert told(carol) == (set(), set())
    assert told(bob) == (set(), set())
    bob.since = None
    assert "device_lists" not in bob.sync()


def test_what_is_no_change_is_not_told(alice: Client, bob: Client, room: str) -> None:
    """One-time and fallback keys, and the same keys again."""
    own = DeviceSecrets(alice)
    identity = own.identity()
    upload(alice, device_keys=identity)
    assert told(bob) == ({alice.user_id}, set())
    upload(alice, device_keys=identity, one_time_keys=own.one_time("A"), fallback_keys=own.fallback("F"))
    assert told(bob) == (set(), set())
    upload(alice, device_keys=DeviceSecrets(alice).identity())
    assert told(bob) == ({alice.user_id}, set())


def test_devices_that_come_go_and_get_names_are_told(alice: Client, bob: Client, room: str) -> None:
    phone = alice.login(device_id="PHONE")
    assert told(bob) == ({alice.user_id}, set())
    with_keys(phone, "A")
    assert told(bob) == ({alice.user_id}, set())
    alice.must("PUT", "/devices/PHONE", {"display_name": "Phone"})
    assert told(bob) == ({alice.user_id}, set())
    phone.must("POST", "/logout", {})
    assert told(bob) == ({alice.user_id}, set())
    alice.login()
    told(bob)
    alice.must("POST", "/logout/all", {})
    assert told(bob) == ({alice.user_id}, set())


def test_who_comes_into_a_room_and_who_is_in_it_are_told_of_each_other(
    alice: Client, bob: Client, carol: Client, room: str
) -> None:
    carol.sync()
    carol.join(room)
    # In a first room one is newly seen oneself, which concerns one's other devices.
    assert told(carol) == ({alice.user_id, bob.user_id, carol.user_id}, set())
    assert told(alice) == ({carol.user_id}, set())
    # Another room with the same people changes nothing.
    other = alice.create_room(preset="public_chat")
    carol.join(other)
    assert told(carol) == told(alice) == (set(), set())
    # An invitation is no sharing.
    third = alice.create_room()
    dave = Client.register(alice.url)
    dave.sync()
    alice.invite(third, dave)
    assert told(dave) == told(alice) == (set(), set())


def test_who_leaves_the_last_room_is_told_as_left(alice: Client, bob: Client, room: str) -> None:
    """To those who stay, and they to whoever leaves; not before the last room that is shared."""
    other = alice.create_room(preset="public_chat")
    bob.join(other)
    told(alice)
    told(bob)
    bob.leave(room)
    assert told(alice) == told(bob) == (set(), set())
    alice.kick(other, bob)
    assert told(alice) == (set(), {bob.user_id})
    assert told(bob) == (set(), {alice.user_id})
    # From now on there is nothing to follow.
    with_keys(bob, "A")
    assert told(alice) == (set(), set())


def test_who_comes_back_is_told_as_changed(alice: Client, bob: Client, room: str) -> None:
    """Also where the client did not look in between, if anything changed meanwhile."""
    bob.leave(room)
    assert told(alice) == (set(), {bob.user_id})
    with_keys(bob, "A")
    bob.join(room)
    assert told(alice) == ({bob.user_id}, set())
    # Away and back between two syncs, with new keys made while away.
    bob.leave(room)
    upload(bob, device_keys=DeviceSecrets(bob).identity())
    bob.join(room)
    assert told(alice) == ({bob.user_id}, set())
    # Away and back with nothing new: nothing to tell.
    bob.leave(room)
    bob.join(room)
    assert told(alice) == (set(), set())


def test_who_comes_and_goes_between_two_syncs_leaves_no_trace(alice: Client, room: str, carol: Client) -> None:
    carol.join(room)
    with_keys(carol, "A")
    carol.leave(room)
    assert told(alice) == (set(), set())


def test_an_old_token_tells_all_that_happened_since(alice: Client, bob: Client, carol: Client, room: str) -> None:
    """In one go, and the same again when asked again."""
    old = alice.since
    with_keys(bob, "A")
    carol.join(room)
    bob.leave(room)
    for _ in range(3):
        alice.sync()
    for _ in range(2):
        alice.since = old
        assert told(alice) == ({carol.user_id}, {bob.user_id})
    bob.join(room)
    alice.since = old
    assert told(alice) == ({bob.user_id, carol.user_id}, set())


def test_changes_want_two_tokens(alice: Client) -> None:
    token = alice.sync()["next_batch"]
    alice.refused("M_MISSING_PARAM", 400, "GET", "/keys/changes", **{"from": token})
    alice.refused("M_INVALID_PARAM", 400, "GET", "/keys/changes", **{"from": token, "to": "nonsense"})
    empty: Json = {"changed": [], "left": []}
    assert alice.must("GET", "/keys/changes", **{"from": token, "to": token}) == empty


@pytest.mark.slow
def test_nothing_is_forgotten_over_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What happened before it is told after it, to whoever comes with an older token."""
    server = HearthProcess(tmp_path_factory.mktemp("lists") / "data").start()
    try:
        alice, bob, carol = (Client.register(server.url) for _ in range(3))
        room, other = (alice.create_room(preset="public_chat") for _ in range(2))
        bob.join(room)
        alice.sync()
        with_keys(bob, "A")
        carol.join(other)
        server.kill()
        server.start()
        assert told(alice) == ({bob.user_id, carol.user_id}, set())
        carol.leave(other)
        assert told(alice) == (set(), {carol.user_id})
        assert told(alice) == (set(), set())
    finally:
        server.end()
