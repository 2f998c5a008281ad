"""Keys of devices and users as clients make them, truly signed, and what a server tells of them."""

import itertools
from collections.abc import Mapping
from typing import Any

from appliance.protocol import unpadded
from appliance.protocol.signing import SigningKey
from tests.support.client import Client, Json, seg, unique

_numbers = itertools.count(1)


def make_key(key_id: str = "") -> SigningKey:
    """A private key; its id is a number unless one is wanted."""
    key = SigningKey.generate()
    return SigningKey(f"ed25519:{key_id}", key.seed) if key_id else key


class DeviceSecrets:
    """What a device keeps to itself: its keys.

    Args:
        client: the device.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.key = make_key(client.device_id)

    def identity(self, **more: Any) -> Json:
        """The identity keys of the device, signed."""
        device = self.client.device_id
        return self.signed(
            {
                "user_id": self.client.user_id,
                "device_id": device,
                "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
                "keys": {f"ed25519:{device}": self.key.public_key, f"curve25519:{device}": curve()},
                **more,
            }
        )

    def one_time(self, *ids: str, **more: Any) -> Json:
        """One-time keys with those ids."""
        return {f"signed_curve25519:{one}": self.signed({"key": curve(), **more}) for one in ids}

    def fallback(self, key_id: str) -> Json:
        """A fallback key."""
        return self.one_time(key_id, fallback=True)

    def signed(self, value: Json) -> Json:
        """A key object with the device's signature."""
        return self.key.sign_json(value, self.client.user_id)


def curve() -> str:
    """Something that looks like a public key and is no other's."""
    return unpadded.encode(next(_numbers).to_bytes(32, "big"))


def with_keys(client: Client, *one_time: str) -> DeviceSecrets:
    """Give a device its identity keys, and one-time keys with those ids."""
    own = DeviceSecrets(client)
    upload(client, device_keys=own.identity(), one_time_keys=own.one_time(*one_time))
    return own


def upload(client: Client, **keys: Any) -> int:
    """Upload keys; how many signed one-time keys there are then."""
    counts = client.must("POST", "/keys/upload", keys)["one_time_key_counts"]
    return int(counts["signed_curve25519"])


def query(client: Client, *users: "Client | str", devices: Mapping[str, list[str]] | None = None) -> Json:
    """What the server says of users' keys."""
    wanted = {user if isinstance(user, str) else user.user_id: [] for user in users}
    return client.must("POST", "/keys/query", {"device_keys": {**wanted, **(devices or {})}})


def claim(client: Client, *owners: Client, algorithm: str = "signed_curve25519") -> Json:
    """Claim a key of each of some devices: (user, device) to what was given, with its full id."""
    wanted: Json = {}
    for owner in owners:
        wanted.setdefault(owner.user_id, {})[owner.device_id] = algorithm
    answer = client.must("POST", "/keys/claim", {"one_time_keys": wanted})
    assert answer["failures"] == {}
    return {
        (user_id, device_id): keys
        for user_id, own in answer["one_time_keys"].items()
        for device_id, keys in own.items()
    }


def send_to_device(
    client: Client, messages: Mapping[str, Mapping[str, Json]], event_type: str = "m.test", txn: str = ""
) -> None:
    """Send messages to devices."""
    path = f"/sendToDevice/{seg(event_type)}/{seg(txn or unique('txn'))}"
    assert client.must("PUT", path, {"messages": messages}) == {}


def messages(sync: Json) -> list[Json]:
    """The messages to the device in a sync."""
    found: list[Json] = sync.get("to_device", {}).get("events", [])
    return found


def changed(sync: Json) -> set[str]:
    """Whose devices changed, in a sync."""
    return set(sync.get("device_lists", {}).get("changed", []))


def left(sync: Json) -> set[str]:
    """With whom nothing is shared any more, in a sync."""
    return set(sync.get("device_lists", {}).get("left", []))


class UserSecrets:
    """What a user keeps to themselves: their cross-signing keys.

    Args:
        client: a device of the user.
    """

    def __init__(self, client: Client) -> None:
        self.user_id = client.user_id
        self.master, self.self_signing, self.user_signing = (_named_by_itself() for _ in range(3))

    def public(self, usage: str, **more: Any) -> Json:
        """One of the keys as it is uploaded, signed by the master key unless it is that itself."""
        key: SigningKey = getattr(self, usage)
        value = {"user_id": self.user_id, "usage": [usage], "keys": {key.key_id: key.public_key}, **more}
        return value if usage == "master" else sign(value, self.user_id, self.master)

    def all(self) -> Json:
        """All three, by the names that they have in a request."""
        return {f"{usage}_key": self.public(usage) for usage in ("master", "self_signing", "user_signing")}


class _NamedKey(SigningKey):
    """A key whose id is its public key, which the ids of servers' keys may not be."""

    def __init__(self, seed: bytes) -> None:
        super().__init__("ed25519:1", seed)
        self.key_id = f"ed25519:{self.public_key}"


def _named_by_itself() -> SigningKey:
    return _NamedKey(SigningKey.generate().seed)


def sign(value: Json, user_id: str, key: SigningKey) -> Json:
    """A key object with one more signature."""
    return key.sign_json(value, user_id)


def with_cross_signing(client: Client) -> UserSecrets:
    """Give a user cross-signing keys, the first ones."""
    own = UserSecrets(client)
    assert client.must("POST", "/keys/device_signing/upload", own.all()) == {}
    return own
