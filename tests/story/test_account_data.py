"""What clients keep for their user (client-server API, "Client config"), and its deletion (MSC3391, MSC3890)."""

import pytest

from tests.support.client import Client, Json, joined, seg

TYPE = "org.example.test"


def where(user: Client, type_: str = TYPE, room: str = "", base: str = "/_matrix/client/v3") -> str:
    """The path of a piece, for all rooms or for one."""
    inside = f"/rooms/{seg(room)}" if room else ""
    return f"{base}/user/{seg(user.user_id)}{inside}/account_data/{seg(type_)}"


def told(answer: Json, room: str, type_: str = TYPE) -> list[Json]:
    """The contents of a piece in a sync."""
    section = joined(answer, room).get("account_data", {}) if room else answer.get("account_data", {})
    return [one["content"] for one in section.get("events", []) if one["type"] == type_]


@pytest.mark.parametrize("in_room", [False, True])
@pytest.mark.parametrize("way", ["DELETE", "PUT"])
def test_what_is_deleted_is_told_once_and_gone(alice: Client, way: str, in_room: bool) -> None:
    """Other devices hear of an empty content; asking for it finds nothing, and a first sync does not tell of it."""
    room = alice.create_room() if in_room else ""
    phone = alice.login()
    alice.must("PUT", where(alice, room=room), {"a": 1})
    assert alice.must("GET", where(alice, room=room)) == {"a": 1}
    assert told(phone.sync(), room) == [{"a": 1}]
    if way == "DELETE":
        alice.must("DELETE", where(alice, room=room, base="/_matrix/client/unstable/org.matrix.msc3391"))
    else:
        alice.must("PUT", where(alice, room=room), {})
    assert told(phone.sync(), room) == [{}]
    alice.refused("M_NOT_FOUND", 404, "GET", where(alice, room=room))
    assert told(alice.login().sync(), room) == []
    alice.must("PUT", where(alice, room=room), {"b": 2})
    assert told(phone.sync(), room) == [{"b": 2}]


@pytest.mark.parametrize("type_", ["m.push_rules", "m.fully_read"])
def test_what_is_the_servers_own_is_written_by_its_own_endpoint(alice: Client, type_: str) -> None:
    """Neither written nor deleted here, for no room and for one."""
    room = alice.create_room()
    unstable = "/_matrix/client/unstable/org.matrix.msc3391"
    for place in ("", room):
        alice.refused("M_BAD_JSON", 405, "PUT", where(alice, type_, place), {"a": 1})
        alice.refused("M_BAD_JSON", 405, "DELETE", where(alice, type_, place, unstable))
    assert alice.must("GET", where(alice, "m.push_rules"))["global"]


def test_others_data_is_not_to_be_touched(alice: Client, bob: Client) -> None:
    """Neither read, written nor deleted."""
    alice.must("PUT", where(alice), {"a": 1})
    bob.refused("M_FORBIDDEN", 403, "GET", where(alice))
    bob.refused("M_FORBIDDEN", 403, "PUT", where(alice), {"a": 2})
    unstable = where(alice, base="/_matrix/client/unstable/org.matrix.msc3391")
    bob.refused("M_FORBIDDEN", 403, "DELETE", unstable)
    assert alice.must("GET", where(alice)) == {"a": 1}


def test_with_a_device_goes_what_is_kept_about_it(alice: Client) -> None:
    """Its local notification settings; those of others stay, and a waiting device is told."""
    phone = alice.login()
    about = "org.matrix.msc3890.local_notification_settings."
    for device_id in (phone.device_id, alice.device_id):
        alice.must("PUT", where(alice, about + device_id), {"is_silenced": True})
    alice.sync()
    phone.must("POST", "/logout", {})
    answer = alice.sync_until(lambda sync: told(sync, "", about + phone.device_id))
    assert told(answer, "", about + phone.device_id) == [{}]
    alice.refused("M_NOT_FOUND", 404, "GET", where(alice, about + phone.device_id))
    assert alice.must("GET", where(alice, about + alice.device_id)) == {"is_silenced": True}
