"""Keys of devices: uploading, asking, claiming (client-server API, module "End-to-end encryption")."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import Client, Json
from tests.support.keys import DeviceSecrets, changed, claim, curve, query, upload, with_keys

# Identity keys ----------------------------------------------------------------------------------------------------


def test_keys_are_served_as_they_were_uploaded(alice: Client, bob: Client) -> None:
    """With the device's name, to anybody; a device without keys is not there, nor is a user that is none."""
    own = DeviceSecrets(alice)
    identity = own.identity()
    alice.login()
    upload(alice, device_keys={**identity, "unsigned": {"device_display_name": "a lie"}})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {alice.device_id: identity}}
    alice.must("PUT", f"/devices/{alice.device_id}", {"display_name": "Phone"})
    named = {**identity, "unsigned": {"device_display_name": "Phone"}}
    nobody = f"@nobody:{alice.user_id.partition(':')[2]}"
    answer = query(bob, alice, bob, nobody)
    assert answer["device_keys"] == {alice.user_id: {alice.device_id: named}, bob.user_id: {}}
    assert answer["failures"] == {}
    assert answer["master_keys"] == answer["self_signing_keys"] == answer["user_signing_keys"] == {}
    some = query(bob, devices={alice.user_id: [alice.device_id, "OTHER"], bob.user_id: ["OTHER"]})
    assert some["device_keys"] == {alice.user_id: {alice.device_id: named}, bob.user_id: {}}


def test_only_a_device_uploads_its_keys(alice: Client, bob: Client) -> None:
    """Another user's, another device's, and what lacks something are refused, and nothing of the request is kept."""
    own, other = DeviceSecrets(alice), DeviceSecrets(bob)
    identity = own.identity()
    wrong: list[tuple[Json, str]] = [
        (other.identity(), "M_INVALID_PARAM"),
        ({**identity, "device_id": "OTHER"}, "M_INVALID_PARAM"),
        ({"user_id": alice.user_id, "device_id": alice.device_id}, "M_BAD_JSON"),
        ({**identity, "algorithms": "x"}, "M_BAD_JSON"),
        ({**identity, "algorithms": [1]}, "M_BAD_JSON"),
        ({**identity, "keys": {"ed25519:x": 1}}, "M_BAD_JSON"),
        ({**identity, "signatures": {alice.user_id: "x"}}, "M_BAD_JSON"),
    ]
    for keys, errcode in wrong:
        body = {"device_keys": keys, "one_time_keys": own.one_time("A")}
        alice.refused(errcode, 400, "POST", "/keys/upload", body)
    large = {**identity, "more": "x" * 70_000}
    alice.refused("M_TOO_LARGE", 413, "POST", "/keys/upload", {"device_keys": large})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    assert upload(alice) == 0


def test_new_identity_keys_take_the_place_of_old_ones(alice: Client, bob: Client) -> None:
    """And the one-time keys that the old ones signed go with them."""
    old = with_keys(alice, "A", "B")
    upload(alice, fallback_keys=old.fallback("F"))
    new = DeviceSecrets(alice)
    identity = new.identity()
    assert upload(alice, device_keys=identity, one_time_keys=new.one_time("A")) == 1
    assert query(bob, alice)["device_keys"][alice.user_id] == {alice.device_id: identity}
    assert len(claim(bob, alice)) == 1
    assert claim(bob, alice) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"device_keys": []},
        {"device_keys": {"@a:x": {"D": True}}},
        {"device_keys": {"@a:x": [1]}},
        {"device_keys": {"@a:x": []}, "timeout": "1"},
    ],
)
def test_questions_of_another_shape_are_refused(alice: Client, body: Json) -> None:
    alice.refused("M_BAD_JSON", 400, "POST", "/keys/query", body)


# One-time keys ----------------------------------------------------------------------------------------------------


def test_one_time_keys_are_counted(alice: Client) -> None:
    """By upload and by sync, by algorithm; before there are any, as none of the one that clients use."""
    own = DeviceSecrets(alice)
    assert alice.sync()["device_one_time_keys_count"] == {"signed_curve25519": 0}
    body: Json = {"one_time_keys": {**own.one_time("A", "B"), "curve25519:A": curve()}}
    counts = alice.must("POST", "/keys/upload", body)["one_time_key_counts"]
    assert counts == {"signed_curve25519": 2, "curve25519": 1}
    assert alice.sync()["device_one_time_keys_count"] == counts
    claim(alice, alice, algorithm="curve25519")
    assert alice.sync()["device_one_time_keys_count"] == {"signed_curve25519": 2}
    assert alice.login().sync()["device_one_time_keys_count"] == {"signed_curve25519": 0}


def test_the_oldest_upload_is_claimed_first(alice: Client, bob: Client) -> None:
    own = DeviceSecrets(alice)
    for ids in (("Z", "Y"), ("M",), ("A", "B")):
        upload(alice, one_time_keys=own.one_time(*ids))
    taken = []
    for _ in range(5):
        (keys,) = claim(bob, alice).values()
        taken += [name.partition(":")[2] for name in keys]
    assert (set(taken[:2]), taken[2], set(taken[3:])) == ({"Z", "Y"}, "M", {"A", "B"})
    assert claim(bob, alice) == {}


def test_a_key_is_given_as_it_was_uploaded(alice: Client, bob: Client) -> None:
    own = DeviceSecrets(alice)
    keys = own.one_time("A")
    upload(alice, one_time_keys=keys)
    assert claim(bob, alice, bob) == {(alice.user_id, alice.device_id): keys}


def test_the_same_keys_again_change_nothing(alice: Client, bob: Client) -> None:
    """Neither while they are there nor once they were given out; another key under the same id is refused."""
    own = DeviceSecrets(alice)
    first, second = own.one_time("A", "B", "C"), own.one_time("D")
    assert upload(alice, one_time_keys=first) == 3
    assert upload(alice, one_time_keys=first) == 3
    assert upload(alice, one_time_keys={**first, **second}) == 4
    (given,) = claim(bob, alice).values()
    assert upload(alice, one_time_keys={**first, **second}) == 3
    left = [name for _ in range(3) for name in next(iter(claim(bob, alice).values()))]
    assert sorted([*left, *given]) == sorted([*first, *second])
    assert upload(alice, one_time_keys={**first, **second}) == 0
    third = own.one_time("E")
    upload(alice, one_time_keys=third)
    body = {"one_time_keys": {**own.one_time("E", "F")}}
    error = alice.refused("M_UNKNOWN", 400, "POST", "/keys/upload", body)
    assert "signed_curve25519:E already exists" in error["error"]
    assert upload(alice) == 1


@pytest.mark.parametrize(
    "keys",
    [
        [],
        {"noalgorithm": "x"},
        {":x": "x"},
        {"signed_curve25519:": "x"},
        {"signed_curve25519:A": 1},
        {"signed_curve25519:A": {"no": "key"}},
        {"signed_curve25519:" + "x" * 300: "x"},
    ],
)
def test_one_time_keys_of_another_shape_are_refused(alice: Client, keys: Any) -> None:
    for name in ("one_time_keys", "fallback_keys"):
        alice.refused("M_BAD_JSON", 400, "POST", "/keys/upload", {name: keys})


def test_keys_have_a_size_and_a_number(alice: Client) -> None:
    own = DeviceSecrets(alice)
    large = own.one_time("A", more="x" * 5_000)
    alice.refused("M_TOO_LARGE", 413, "POST", "/keys/upload", {"one_time_keys": large})
    for start in (0, 500):
        upload(alice, one_time_keys={f"curve25519:{n}": "x" for n in range(start, start + 500)})
    alice.refused("M_TOO_LARGE", 413, "POST", "/keys/upload", {"one_time_keys": own.one_time("A")})


# Fallback keys ----------------------------------------------------------------------------------------------------


def test_a_fallback_key_helps_out_until_it_is_replaced(alice: Client, bob: Client) -> None:
    """Only when there is no other; sync says whether it is unused; the same key again stays used."""
    own = DeviceSecrets(alice)
    fallback = own.fallback("F")
    upload(alice, one_time_keys=own.one_time("A"), fallback_keys=fallback)
    assert alice.sync()["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert claim(bob, alice)[alice.user_id, alice.device_id].keys() == {"signed_curve25519:A"}
    assert alice.sync()["device_unused_fallback_key_types"] == ["signed_curve25519"]
    for _ in range(2):
        assert claim(bob, alice)[alice.user_id, alice.device_id] == fallback
        assert alice.sync()["device_unused_fallback_key_types"] == []
    upload(alice, fallback_keys=fallback)
    assert alice.sync()["device_unused_fallback_key_types"] == []
    other = own.fallback("G")
    upload(alice, **{"org.matrix.msc2732.fallback_keys": other})
    assert alice.sync()["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert claim(bob, alice)[alice.user_id, alice.device_id] == other
    two = {"fallback_keys": {**own.fallback("H"), **own.fallback("I")}}
    alice.refused("M_INVALID_PARAM", 400, "POST", "/keys/upload", two)


def test_of_two_hundred_claims_at_once_for_a_hundred_keys_none_gets_anothers(alice: Client, bob: Client) -> None:
    """Each key goes out once, then the fallback key; another hundred keys come in meanwhile and go out once, too."""
    own = DeviceSecrets(alice)
    upload(alice, device_keys=own.identity(), fallback_keys=own.fallback("F"))
    for batch in range(2):
        upload(alice, one_time_keys=own.one_time(*(f"{batch}-{n}" for n in range(50))))
    local = threading.local()

    def take(_: int) -> str:
        if not hasattr(local, "client"):
            local.client = Client(bob.url, bob.token, bob.user_id, bob.device_id)
        (keys,) = claim(local.client, alice).values()
        (name,) = keys
        return str(name).partition(":")[2]

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(take, range(200)))
    counted = Counter(taken)
    assert counted.pop("F") == 100
    assert counted == Counter({f"{batch}-{n}": 1 for batch in range(2) for n in range(50)})
    assert {name.partition("-")[0] for name in taken[:30]} == {"0"}
    assert alice.sync()["device_one_time_keys_count"] == {"signed_curve25519": 0}


def test_claims_of_another_shape_are_refused(alice: Client) -> None:
    for wanted in ([], {"@a:x": []}, {"@a:x": {"D": 1}}):
        alice.refused("M_BAD_JSON", 400, "POST", "/keys/claim", {"one_time_keys": wanted})
    alice.refused("M_MISSING_PARAM", 400, "POST", "/keys/claim", {})


def test_servers_that_cannot_be_asked_are_named(alice: Client) -> None:
    """Where no way leads to other servers, as where they do not answer; what is here is answered all the same."""
    with_keys(alice, "A")
    asked: Json = {"device_keys": {"@x:other.example": [], alice.user_id: []}}
    answer = alice.must("POST", "/keys/query", asked)
    assert (answer["failures"].keys(), answer["device_keys"].keys()) == ({"other.example"}, {alice.user_id})
    wanted = {"@x:other.example": {"D": "signed_curve25519"}, alice.user_id: {alice.device_id: "signed_curve25519"}}
    answer = alice.must("POST", "/keys/claim", {"one_time_keys": wanted})
    assert (answer["failures"].keys(), answer["one_time_keys"].keys()) == ({"other.example"}, {alice.user_id})


# Devices that go --------------------------------------------------------------------------------------------------


def test_a_device_takes_its_keys_with_it(alice: Client, bob: Client) -> None:
    """By logout, by deletion, and with a new device of the same name nothing of it comes back."""
    phone = alice.login(device_id="PHONE")
    with_keys(phone, "A")
    phone.must("POST", "/logout", {})
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    assert claim(bob, phone) == {}
    phone = alice.login(device_id="PHONE")
    assert phone.sync()["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    with_keys(phone, "A")
    identifier = {"type": "m.id.user", "user": alice.user_id}
    auth = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}
    alice.sync()
    alice.must("DELETE", "/devices/PHONE", {"auth": auth})
    assert changed(alice.sync()) == {alice.user_id}
    assert query(bob, alice)["device_keys"] == {alice.user_id: {}}
    assert claim(bob, phone) == {}


def test_so_many_users_and_devices_can_be_named_at_once(alice: Client) -> None:
    """Whoever names more is refused before anything is looked up."""
    users = [f"@u{number}:hearth.example" for number in range(10_001)]
    alice.refused("M_TOO_LARGE", 413, "POST", "/keys/query", {"device_keys": {user: [] for user in users}})
    found = alice.must("POST", "/keys/query", {"device_keys": {user: [] for user in [*users[:9_999], alice.user_id]}})
    assert list(found["device_keys"]) == [alice.user_id]
    messages = {user: {"*": {}} for user in users[:5_001]}
    alice.refused("M_TOO_LARGE", 413, "PUT", "/sendToDevice/m.test/many", {"messages": messages})
