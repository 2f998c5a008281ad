"""Cross-signing (client-server API, module "End-to-end encryption", "Cross-signing")."""

import pytest

from appliance.protocol import unpadded
from tests.support.client import Client, Json
from tests.support.keys import (
    DeviceSecrets,
    UserSecrets,
    changed,
    query,
    sign,
    upload,
    with_cross_signing,
    with_keys,
)

UPLOAD, SIGN = "/keys/device_signing/upload", "/keys/signatures/upload"


def password(client: Client, session: str, text: str = "wonderland") -> Json:
    """The proof that a client is its user."""
    identifier = {"type": "m.id.user", "user": client.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": text, "session": session}


def _session(client: Client, path: str) -> str:
    return str(client.ask("POST", path, {}).json()["session"])


def replace(client: Client, keys: Json, *, auth_alone: bool = False) -> None:
    """Upload keys for which the server wants a proof."""
    asked = client.ask("POST", UPLOAD, keys)
    assert asked.status_code == 401, asked.text
    assert asked.json()["flows"] == [{"stages": ["m.login.password"]}]
    auth = {"auth": password(client, asked.json()["session"])}
    assert client.must("POST", UPLOAD, auth if auth_alone else {**keys, **auth}) == {}


def signed(client: Client, target: str, name: str, value: Json) -> Json:
    """Upload one signature, which must be taken."""
    answer = client.must("POST", SIGN, {target: {name: value}})
    assert answer == {"failures": {}}
    return answer


def public(key_id: str) -> str:
    """The public key in a key's id."""
    return key_id.removeprefix("ed25519:")


# Keys of users ----------------------------------------------------------------------------------------------------


def test_the_first_keys_need_no_proof_and_neither_do_the_same_again(alice: Client, bob: Client) -> None:
    own = with_cross_signing(alice)
    for _ in range(2):
        assert alice.must("POST", UPLOAD, own.all()) == {}
    assert alice.must("POST", UPLOAD, {"self_signing_key": own.public("self_signing")}) == {}
    seen = query(alice, alice)
    assert seen["master_keys"] == {alice.user_id: own.public("master")}
    assert seen["self_signing_keys"] == {alice.user_id: own.public("self_signing")}
    assert seen["user_signing_keys"] == {alice.user_id: own.public("user_signing")}
    seen = query(bob, alice)
    assert seen["master_keys"] == {alice.user_id: own.public("master")}
    assert seen["self_signing_keys"] == {alice.user_id: own.public("self_signing")}
    assert seen["user_signing_keys"] == {}


def test_other_and_further_keys_need_a_proof(alice: Client, bob: Client) -> None:
    """A key that is added under the master key as well as another master key; a wrong password changes nothing."""
    own = UserSecrets(alice)
    master = {"master_key": own.public("master")}
    assert alice.must("POST", UPLOAD, master) == {}
    others = {"self_signing_key": own.public("self_signing"), "user_signing_key": own.public("user_signing")}
    replace(alice, others)
    assert query(alice, alice)["user_signing_keys"] == {alice.user_id: own.public("user_signing")}
    # What was lost on its way is asked again with the used proof.
    assert alice.must("POST", UPLOAD, {**others, "auth": password(alice, "used")}) == {}
    new = UserSecrets(alice)
    session = alice.ask("POST", UPLOAD, new.all()).json()["session"]
    wrong = alice.ask("POST", UPLOAD, {**new.all(), "auth": password(alice, session, "guess")})
    assert (wrong.status_code, wrong.json()["errcode"]) == (401, "M_FORBIDDEN")
    assert query(bob, alice)["master_keys"] == {alice.user_id: own.public("master")}
    replace(alice, new.all(), auth_alone=True)
    assert query(bob, alice)["master_keys"] == {alice.user_id: new.public("master")}
    assert query(bob, alice)["self_signing_keys"] == {alice.user_id: new.public("self_signing")}


def test_another_master_key_ends_what_the_old_one_signed(alice: Client, bob: Client) -> None:
    """The keys below it, and what these signed: devices and other users."""
    own, device = with_cross_signing(alice), DeviceSecrets(alice)
    bobs = with_cross_signing(bob)
    identity = device.identity()
    upload(alice, device_keys=identity)
    signed(alice, alice.user_id, alice.device_id, sign(identity, alice.user_id, own.self_signing))
    target = bobs.public("master")
    signed(alice, bob.user_id, public(bobs.master.key_id), sign(target, alice.user_id, own.user_signing))
    new = UserSecrets(alice)
    replace(alice, {"master_key": new.public("master")})
    seen = query(alice, alice, bob)
    assert seen["master_keys"] == {alice.user_id: new.public("master"), bob.user_id: target}
    assert seen["self_signing_keys"] == {bob.user_id: bobs.public("self_signing")}
    assert seen["user_signing_keys"] == {}
    assert seen["device_keys"][alice.user_id] == {alice.device_id: identity}


def test_keys_must_be_the_users_own_and_well_signed(alice: Client, bob: Client) -> None:
    own, other = UserSecrets(alice), UserSecrets(bob)
    alice.refused("M_MISSING_PARAM", 400, "POST", UPLOAD, {})
    alice.refused("M_MISSING_PARAM", 400, "POST", UPLOAD, {"self_signing_key": own.public("self_signing")})
    unsigned = {**own.public("self_signing"), "signatures": {}}
    by_other = sign(unsigned, alice.user_id, other.master)
    master = own.public("master")
    wrong: list[tuple[str, Json]] = [
        ("M_INVALID_SIGNATURE", {"master_key": master, "self_signing_key": unsigned}),
        ("M_INVALID_SIGNATURE", {"master_key": master, "user_signing_key": {**by_other, "usage": ["user_signing"]}}),
        ("M_INVALID_PARAM", {"master_key": other.public("master")}),
        ("M_INVALID_PARAM", {"master_key": {**master, "usage": ["self_signing"]}}),
        ("M_BAD_JSON", {"master_key": "x"}),
        ("M_BAD_JSON", {"master_key": {**master, "keys": {}}}),
        ("M_BAD_JSON", {"master_key": {**master, "keys": {"ed25519:a": "b"}}}),
        ("M_BAD_JSON", {"master_key": {**master, "keys": {"ed25519:abcd": "abcd"}}}),
        ("M_BAD_JSON", {"master_key": {**master, "signatures": []}}),
    ]
    for errcode, body in wrong:
        alice.refused(errcode, 400, "POST", UPLOAD, body)
    named = alice.login(device_id=own.master.public_key)
    named.refused("M_FORBIDDEN", 403, "POST", UPLOAD, own.all())
    assert query(bob, alice)["master_keys"] == {}


def test_no_device_is_named_like_a_key(alice: Client, bob: Client) -> None:
    """Verification tells devices and keys apart by their names: neither a login nor a dehydrated device takes one."""
    own = with_cross_signing(alice)
    identifier = {"type": "m.id.user", "user": alice.user_id}
    login = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}
    for key in (own.master, own.self_signing, own.user_signing):
        alice.refused("M_INVALID_PARAM", 400, "POST", "/login", {**login, "device_id": key.public_key})
        name: Json = {"user_id": alice.user_id, "device_id": key.public_key}
        dry = {**name, "algorithms": [], "keys": {}, "signatures": {}}
        body = {"device_id": key.public_key, "device_data": {}, "device_keys": dry}
        path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
        alice.refused("M_INVALID_PARAM", 400, "PUT", path, body)
    assert [device["device_id"] for device in alice.must("GET", "/devices")["devices"]] == [alice.device_id]
    # Another user's keys are nobody else's business.
    assert bob.login(device_id=own.master.public_key).device_id == own.master.public_key


def test_an_account_takes_its_keys_with_it(alice: Client, bob: Client) -> None:
    bob.join(alice.create_room(preset="public_chat"))
    with_cross_signing(alice)
    with_keys(alice, "A")
    bob.sync()
    alice.must("POST", "/account/deactivate", {"auth": password(alice, _session(alice, "/account/deactivate"))})
    # She leaves the room at once afterwards; a sync that comes later is told of that alone.
    told = bob.sync_until(lambda sync: sync.get("device_lists"))["device_lists"]
    assert {*told.get("changed", ()), *told.get("left", ())} == {alice.user_id}
    seen = query(bob, alice)
    assert seen["master_keys"] == seen["self_signing_keys"] == {}
    assert seen["device_keys"] == {alice.user_id: {}}


def test_changed_keys_are_told(alice: Client, bob: Client) -> None:
    bob.join(alice.create_room(preset="public_chat"))
    bob.sync()
    alice.sync()
    own = with_cross_signing(alice)
    assert changed(bob.sync(timeout=10_000)) == changed(alice.sync()) == {alice.user_id}
    alice.must("POST", UPLOAD, own.all())
    assert changed(bob.sync()) == changed(alice.sync()) == set()


# Signatures -------------------------------------------------------------------------------------------------------


def test_a_user_signs_their_devices(alice: Client, bob: Client) -> None:
    """Everybody sees it, and is told; uploading the device's keys again does not lose it, another identity does."""
    bob.join(alice.create_room(preset="public_chat"))
    own, device = with_cross_signing(alice), DeviceSecrets(alice)
    identity = device.identity()
    upload(alice, device_keys=identity)
    bob.sync()
    both = sign(identity, alice.user_id, own.self_signing)
    signed(alice, alice.user_id, alice.device_id, both)
    assert changed(bob.sync()) == {alice.user_id}
    assert query(bob, alice)["device_keys"][alice.user_id] == {alice.device_id: both}
    upload(alice, device_keys=identity)
    signed(alice, alice.user_id, alice.device_id, both)
    assert changed(bob.sync()) == set()
    assert query(bob, alice)["device_keys"][alice.user_id] == {alice.device_id: both}
    other = DeviceSecrets(alice).identity()
    upload(alice, device_keys=other)
    assert query(bob, alice)["device_keys"][alice.user_id] == {alice.device_id: other}


def test_a_device_signs_the_master_key(alice: Client, bob: Client) -> None:
    """Everybody sees that as long as the device is there."""
    own = with_cross_signing(alice)
    phone = alice.login(device_id="PHONE")
    device = with_keys(phone)
    both = sign(own.public("master"), alice.user_id, device.key)
    signed(phone, alice.user_id, public(own.master.key_id), both)
    assert query(bob, alice)["master_keys"] == {alice.user_id: both}
    phone.must("POST", "/logout", {})
    seen = query(bob, alice)["master_keys"][alice.user_id]
    assert {**seen, "signatures": {}} == {**own.public("master"), "signatures": {}}
    assert "PHONE" not in str(seen)


def test_what_one_signs_of_others_is_seen_by_oneself_alone(alice: Client, bob: Client, carol: Client) -> None:
    """And is told to one's own devices, which ask again."""
    own, bobs = with_cross_signing(alice), with_cross_signing(bob)
    phone = alice.login()
    target = bobs.public("master")
    both = sign(target, alice.user_id, own.user_signing)
    phone.sync()
    bob.sync()
    signed(alice, bob.user_id, public(bobs.master.key_id), both)
    assert changed(phone.sync(timeout=10_000)) == {bob.user_id}
    assert "device_lists" not in bob.sync()
    assert query(alice, bob)["master_keys"] == query(phone, bob)["master_keys"] == {bob.user_id: both}
    assert query(bob, bob)["master_keys"] == query(carol, bob)["master_keys"] == {bob.user_id: target}


def test_signatures_that_are_not_good_are_named_and_the_others_kept(alice: Client, bob: Client) -> None:
    own, bobs, stranger = with_cross_signing(alice), with_cross_signing(bob), UserSecrets(bob)
    identity = DeviceSecrets(alice).identity()
    upload(alice, device_keys=identity)
    bobs_identity = DeviceSecrets(bob).identity()
    upload(bob, device_keys=bobs_identity)
    good = sign(identity, alice.user_id, own.self_signing)
    forged = {**good, "signatures": {alice.user_id: {own.self_signing.key_id: unpadded.encode(bytes(64))}}}
    name = public(bobs.master.key_id)
    target = bobs.public("master")
    other_key = sign({**target, "usage": ["master", "more"]}, alice.user_id, own.user_signing)
    cases: list[tuple[str, str, Json | str, str]] = [
        (alice.user_id, alice.device_id, forged, "M_INVALID_SIGNATURE"),
        (alice.user_id, alice.device_id, sign(identity, alice.user_id, stranger.master), "M_INVALID_SIGNATURE"),
        (alice.user_id, alice.device_id, {**identity, "signatures": {}}, "M_INVALID_SIGNATURE"),
        (alice.user_id, "GONE", good, "M_NOT_FOUND"),
        (alice.user_id, alice.device_id, "text", "M_BAD_JSON"),
        (bob.user_id, bob.device_id, sign(bobs_identity, alice.user_id, own.user_signing), "M_NOT_FOUND"),
        (bob.user_id, name, other_key, "M_INVALID_PARAM"),
        (bob.user_id, name, sign(target, alice.user_id, own.self_signing), "M_INVALID_SIGNATURE"),
        ("@nobody:other.example", "x", {}, "M_NOT_FOUND"),
    ]
    for user, key, value, errcode in cases:
        failures = alice.must("POST", SIGN, {user: {key: value}})["failures"]
        assert failures[user][key]["errcode"] == errcode
    right = sign(target, alice.user_id, own.user_signing)
    mixed = {alice.user_id: {alice.device_id: forged}, bob.user_id: {name: right}}
    assert alice.must("POST", SIGN, mixed)["failures"].keys() == {alice.user_id}
    assert query(alice, bob)["master_keys"] == {bob.user_id: right}
    assert query(alice, alice)["device_keys"][alice.user_id] == {alice.device_id: identity}


@pytest.mark.parametrize("body", [{"@a:x": []}, {"@a:x": "x"}])
def test_signatures_of_another_shape_are_refused(alice: Client, body: Json) -> None:
    alice.refused("M_BAD_JSON", 400, "POST", SIGN, body)
