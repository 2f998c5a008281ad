"""Answering for whose keys there are (client-server API, "POST /keys/query").

What is served of a local user is made once, as bytes, and kept until something of it changes: an answer for hundreds of
users joins them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import Struct

from appliance.encryption.key_objects import with_signatures
from appliance.encryption.remote import Failures, by_server
from appliance.errors import bad_json, too_large
from appliance.storage import cross_signing as cross_rows
from appliance.storage import device_keys as rows
from appliance.storage.accounts import find_account
from appliance.storage.cross_signing import CrossSigningKey
from appliance.storage.database import Database
from appliance.storage.lru import SizedLru

KEYS_BYTES, SIGNATURES_BYTES = 12 * 1024 * 1024, 2 * 1024 * 1024
"""Bytes of users' keys, and of their signatures of others, that are kept ready: of some thousands."""
MOST_QUERIED, SLICE = 10_000, 500
"""Users whom one request may ask about, and of how many the keys are put together before others get their turn."""
BESIDE = 800
"""Bytes that an entry takes beside its own, roughly."""

Wanted = Mapping[str, Sequence[str]]
"""User to the devices that are asked for; none for all of them."""
Signatures = dict[tuple[str, str], dict[str, str]]
"""(user, key) to key id to signature."""


class UserKeys(Struct, frozen=True):
    """What is served of a user, as JSON.

    What begins with ``named`` has the user's id before it, as it stands in an answer.

    Args:
        devices: each device's keys.
        named_devices: the object of all devices.
        master: the master key, or None.
        named_master: the same.
        master_id: its id, empty without one.
        named_self_signing: the self-signing key, or None.
        named_user_signing: the user-signing key, or None; for the user's own eyes.
    """

    devices: dict[str, bytes]
    named_devices: bytes
    master: bytes | None
    named_master: bytes | None
    master_id: str
    named_self_signing: bytes | None
    named_user_signing: bytes | None


class KeysOf(Struct):
    """The parts of an answer while it grows: user to JSON that begins with the user's id."""

    device_keys: dict[str, bytes]
    master_keys: dict[str, bytes]
    self_signing_keys: dict[str, bytes]
    user_signing_keys: dict[str, bytes]

    def answer(self, failures: Failures) -> bytes:
        """The body of the answer."""
        parts = [b'"failures":' + orjson.dumps(failures)]
        for name in self.__struct_fields__:
            parts.append(orjson.dumps(name) + b":" + self.part(name))
        return b"{" + b",".join(parts) + b"}"

    def part(self, name: str) -> bytes:
        """One part as a JSON object."""
        return b"{" + b",".join(getattr(self, name).values()) + b"}"


class Elsewhere(Protocol):
    """Knows the keys of users of other servers."""

    async def query(
        self, asks: Mapping[str, Mapping[str, list[str]]], timeout_ms: int
    ) -> tuple[dict[str, dict[str, dict[str, Any]]], Failures]:
        """For servers, their users and devices: what each server's users have, and the servers that failed."""
        ...


class Queries:
    """Knows the keys of users and devices.

    Args:
        database: where they are.
        is_local: whether a user belongs to this server.
        elsewhere: knows those of other servers.
        keys_bytes: how much may be kept ready.
    """

    def __init__(
        self,
        database: Database,
        is_local: Callable[[str], bool],
        elsewhere: Elsewhere,
        keys_bytes: int = KEYS_BYTES,
    ) -> None:
        self._database = database
        self._is_local = is_local
        self._elsewhere = elsewhere
        self._known: SizedLru[str, UserKeys] = SizedLru(keys_bytes)
        self._signatures: SizedLru[str, Signatures] = SizedLru(SIGNATURES_BYTES)

    def forget(self, user_id: str) -> None:
        """Something of what is served of a user changed; called as that is published."""
        self._known.drop(user_id)
        self._signatures.drop(user_id)

    def of(self, user_id: str) -> UserKeys:
        """What is served of a local user."""
        known = self._known.get(user_id)
        return known if known is not None else self._read((user_id,))[user_id]

    async def query(self, asker: str, wanted: Wanted, timeout_ms: int) -> bytes:
        """The answer for users and some or all of their devices.

        Args:
            asker: who asks; sees their own user-signing key and their own signatures.
            wanted: whose keys; see ``read_wanted``.
            timeout_ms: how long other servers may take.
        """
        found = KeysOf({}, {}, {}, {})
        signed = self._signed_by(asker)
        kept, rest = self._known.look(wanted)
        for user_id, known in kept.items():
            self._add(found, user_id, known, wanted[user_id], signed)
        local, others = by_server({user_id: wanted[user_id] for user_id in rest}, self._is_local)
        names = tuple(local)
        for start in range(0, len(names), SLICE):
            if start:
                await asyncio.sleep(0)
            for user_id, known in self._read(names[start : start + SLICE]).items():
                self._add(found, user_id, known, local[user_id], signed)
        if asker in wanted and (key := self.of(asker).named_user_signing) is not None:
            found.user_signing_keys[asker] = key
        return found.answer(await self._ask(found, others, signed, timeout_ms))

    async def query_local(self, wanted: Wanted, *, named: bool) -> dict[str, orjson.Fragment]:
        """The same for another server that asks: without what only users themselves may see.

        Args:
            wanted: whose keys.
            named: whether the names of devices are told.

        Returns:
            ``device_keys``, ``master_keys`` and ``self_signing_keys``, each a map of users.
        """
        found = KeysOf({}, {}, {}, {})
        for number, (user_id, device_ids) in enumerate(wanted.items(), 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            if self._is_local(user_id):
                known = self.of(user_id)
                self._add(found, user_id, _for_servers(known, user_id, named=named), device_ids, {})
        names = ("device_keys", "master_keys", "self_signing_keys")
        return {name: orjson.Fragment(found.part(name)) for name in names}

    async def _ask(self, found: KeysOf, others: Mapping[str, Wanted], signed: Signatures, timeout_ms: int) -> Failures:
        """Ask the other servers and add what they say of their own users."""
        if not others:
            return {}
        asks = {server: {user: list(ids) for user, ids in users.items()} for server, users in others.items()}
        answers, failures = await self._elsewhere.query(asks, timeout_ms)
        for server, told in answers.items():
            for name in ("device_keys", "master_keys", "self_signing_keys"):
                users = told.get(name)
                for user_id in asks[server]:
                    value = users.get(user_id) if isinstance(users, dict) else None
                    if isinstance(value, dict):
                        if name == "master_keys":
                            value = _signed_more(value, user_id, signed)
                        getattr(found, name)[user_id] = _named(user_id, orjson.dumps(value))
        return failures

    def _add(self, found: KeysOf, user_id: str, known: UserKeys, device_ids: Sequence[str], signed: Signatures) -> None:
        if not known.devices and known.master is None and find_account(self._database, user_id) is None:
            return
        if device_ids:
            some = {one: known.devices[one] for one in device_ids if one in known.devices}
            found.device_keys[user_id] = _named(user_id, joined(some))
        else:
            found.device_keys[user_id] = known.named_devices
        if known.named_master is not None and known.master is not None:
            if signed.get((user_id, known.master_id)) is None:
                found.master_keys[user_id] = known.named_master
            else:
                more = _signed_more(orjson.loads(known.master), user_id, signed)
                found.master_keys[user_id] = _named(user_id, orjson.dumps(more))
        if known.named_self_signing is not None:
            found.self_signing_keys[user_id] = known.named_self_signing

    def _signed_by(self, asker: str) -> Signatures:
        """The signatures that a local user made on others' master keys."""
        known = self._signatures.get(asker)
        if known is None:
            known = {}
            for target, target_key, key_id, signature in cross_rows.signatures_by(self._database, asker):
                known.setdefault((target, target_key), {})[f"{asker} {key_id}"] = signature
            size = sum(len(name) + len(by) for each in known.values() for name, by in each.items())
            self._signatures.put(asker, known, size + BESIDE * (len(known) + 1))
        return known

    def _read(self, user_ids: Sequence[str]) -> dict[str, UserKeys]:
        """What is served of some local users, which is kept from now on."""
        if not user_ids:
            return {}
        devices = rows.all_keys(self._database, user_ids)
        keys = cross_rows.keys_of_many(self._database, user_ids)
        found = {user_id: _served(user_id, devices.get(user_id, ()), keys.get(user_id, {})) for user_id in user_ids}
        for user_id, known in found.items():
            self._known.put(user_id, known, _size(known))
        return found


def _served(user_id: str, devices: Sequence[rows.DeviceKeys], keys: Mapping[str, CrossSigningKey]) -> UserKeys:
    """What is served of a user."""
    each_device = {device.device_id: _with_name(device) for device in devices}
    each = {usage: _named(user_id, key.json.encode()) for usage, key in keys.items()}
    return UserKeys(
        each_device,
        _named(user_id, joined(each_device)),
        keys["master"].json.encode() if "master" in keys else None,
        each.get("master"),
        keys["master"].key_id if "master" in keys else "",
        each.get("self_signing"),
        each.get("user_signing"),
    )


def _for_servers(keys: UserKeys, user_id: str, *, named: bool) -> UserKeys:
    """What other servers are told of a user: with or without the names of the devices, and always with ``unsigned``,
    as Synapse does. Dendrite makes a null of one that is missing, and its clients then know nothing of the device.
    """
    devices = {}
    for device_id, told in keys.devices.items():
        if b'"unsigned"' not in told:
            told = told[:-1] + b',"unsigned":{}}'
        elif not named:
            told = orjson.dumps({**orjson.loads(told), "unsigned": {}})
        devices[device_id] = told
    return msgspec.structs.replace(keys, devices=devices, named_devices=_named(user_id, joined(devices)))


def _size(keys: UserKeys) -> int:
    """About how many bytes the keys of a user take in memory."""
    others = (keys.master, keys.named_master, keys.named_self_signing, keys.named_user_signing)
    return 2 * len(keys.named_devices) + sum(len(one) for one in others if one is not None) + BESIDE


def _with_name(device: rows.DeviceKeys) -> bytes:
    """The keys of a device with its name."""
    if device.display_name is None:
        return device.json.encode()
    said = {"device_display_name": device.display_name}
    if '"unsigned"' in device.json:
        return orjson.dumps({**orjson.loads(device.json), "unsigned": said})
    return device.json[:-1].encode() + b',"unsigned":' + orjson.dumps(said) + b"}"


def read_wanted(value: Any) -> dict[str, list[str]]:
    """Whose keys a request asks for.

    Raises:
        MatrixError: ``M_BAD_JSON`` for what is not users to lists of device ids, ``M_TOO_LARGE`` for too many.
    """
    # Plain loops: a client asks for hundreds of users at once.
    good = isinstance(value, dict)
    for ids in value.values() if good else ():
        if not isinstance(ids, list):
            good = False
            break
        for one in ids:
            good = good and isinstance(one, str)
    if not good:
        raise bad_json("device_keys must be an object of user ids to lists of device ids.")
    found: dict[str, list[str]] = value
    if len(found) > MOST_QUERIED:
        raise too_large(f"At most {MOST_QUERIED} users can be asked about at once.")
    return found


def _named(user_id: str, value: bytes) -> bytes:
    """A value with the user whose it is, as it stands in an object."""
    return orjson.dumps(user_id) + b":" + value


def joined(values: Mapping[str, bytes]) -> bytes:
    """A JSON object out of values that are JSON already."""
    return b"{" + b",".join([orjson.dumps(name) + b":" + value for name, value in values.items()]) + b"}"


def _signed_more(master: dict[str, Any], user_id: str, signed: Signatures) -> dict[str, Any]:
    """A master key with the asker's own signatures."""
    keys = master.get("keys")
    for key_id in keys if isinstance(keys, dict) else ():
        for name, signature in signed.get((user_id, key_id), {}).items():
            signer, _, by = name.partition(" ")
            master = with_signatures(master, {signer: {by: signature}})
    return master
