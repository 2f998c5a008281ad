"""Dehydrated devices (MSC3814)."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg
from tests.support.keys import DeviceSecrets, changed, claim, query, send_to_device

PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


def dehydrate(client: Client, device_id: str, **more: Any) -> DeviceSecrets:
    """Leave a dehydrated device behind."""
    own = DeviceSecrets(Client(client.url, "", client.user_id, device_id))
    body = {
        "device_id": device_id,
        "device_data": {"algorithm": "m.dehydration.v1.olm", "device_pickle": device_id},
        "device_keys": own.identity(dehydrated=True),
        "one_time_keys": own.one_time("A"),
        "fallback_keys": own.fallback("F"),
        **more,
    }
    assert client.must("PUT", PATH, body) == {"device_id": device_id}
    return own


def listed(client: Client) -> set[str]:
    """The ids of a user's devices."""
    return {device["device_id"] for device in client.must("GET", "/devices")["devices"]}


def test_a_dehydrated_device_is_a_device_with_keys(alice: Client, bob: Client) -> None:
    """All at once; it is told to others, its keys can be asked for and claimed; the next one takes its place."""
    bob.join(alice.create_room(preset="public_chat"))
    bob.sync()
    for method in ("GET", "DELETE"):
        alice.refused("M_NOT_FOUND", 404, method, PATH)
    dehydrate(alice, "DRY", initial_device_display_name="Dry")
    assert alice.must("GET", PATH) == {
        "device_id": "DRY",
        "device_data": {"algorithm": "m.dehydration.v1.olm", "device_pickle": "DRY"},
    }
    assert changed(bob.sync()) == {alice.user_id}
    keys = query(bob, alice)["device_keys"][alice.user_id]["DRY"]
    assert (keys["dehydrated"], keys["unsigned"]) == (True, {"device_display_name": "Dry"})
    dry = Client(alice.url, "", alice.user_id, "DRY")
    assert [next(iter(claim(bob, dry)[alice.user_id, "DRY"])) for _ in range(3)] == [
        "signed_curve25519:A",
        "signed_curve25519:F",
        "signed_curve25519:F",
    ]
    dehydrate(alice, "DRIER")
    assert listed(alice) == {alice.device_id, "DRIER"}
    assert query(bob, alice)["device_keys"][alice.user_id].keys() == {"DRIER"}
    # The same one again is a new one, too: its old keys are gone.
    dehydrate(alice, "DRIER")
    assert alice.must("DELETE", PATH) == {"device_id": "DRIER"}
    alice.refused("M_NOT_FOUND", 404, "GET", PATH)
    assert listed(alice) == {alice.device_id}


def test_its_messages_are_read_a_page_at_a_time_and_stay(alice: Client, bob: Client) -> None:
    """Until it goes; the last page says so by having no next_batch, in the older form by having no events."""
    dehydrate(alice, "DRY")
    for n in range(7):
        send_to_device(bob, {alice.user_id: {"DRY": {"n": n}}})
    path = f"{PATH}/DRY/events"
    for name in ("from", "next_batch"):
        got: list[int] = []
        where: Json = {}
        while True:
            page = alice.must("GET", path, limit=3, **where)
            got += [event["content"]["n"] for event in page["events"]]
            if "next_batch" not in page:
                break
            where = {name: page["next_batch"]}
        assert got == list(range(7))
    got, body = [], {}
    while events := (page := alice.must("POST", path, body, limit=3))["events"]:
        got += [event["content"]["n"] for event in events]
        assert events[0]["sender"] == bob.user_id
        body = {"next_batch": page["next_batch"]}
    assert got == list(range(7))
    alice.refused("M_FORBIDDEN", 403, "GET", f"{PATH}/{seg(alice.device_id)}/events")
    alice.refused("M_INVALID_PARAM", 400, "GET", path, **{"from": "nonsense"})
    alice.must("DELETE", PATH)
    alice.refused("M_NOT_FOUND", 404, "GET", path)
    dehydrate(alice, "DRY")
    assert alice.must("GET", path)["events"] == []


@pytest.mark.parametrize("missing", ["device_id", "device_data", "device_keys"])
def test_a_dehydrated_device_must_be_whole(alice: Client, missing: str) -> None:
    """And nobody's other device; a refused one leaves the one before as it was."""
    own = dehydrate(alice, "DRY")
    body = {"device_id": "NEW", "device_data": {}, "device_keys": own.identity()}
    alice.refused("M_INVALID_PARAM", 400, "PUT", PATH, body)
    del body[missing]
    alice.refused("M_MISSING_PARAM", 400, "PUT", PATH, body)
    keys = DeviceSecrets(alice).identity()
    taken = {"device_id": alice.device_id, "device_data": {}, "device_keys": keys}
    alice.refused("M_INVALID_PARAM", 400, "PUT", PATH, taken)
    assert alice.must("GET", PATH)["device_id"] == "DRY"


def test_it_goes_with_a_logout_of_all_devices(alice: Client, bob: Client) -> None:
    dehydrate(alice, "DRY")
    phone = alice.login()
    alice.must("POST", "/logout", {})
    assert query(bob, alice)["device_keys"][alice.user_id].keys() == {"DRY"}
    phone.must("POST", "/logout/all", {})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    again = phone.login()
    again.refused("M_NOT_FOUND", 404, "GET", PATH)
