"""Cross-signing keys of local users (client-server API, "Cross-signing"): uploading and replacing them."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.key_objects import MAX_PREKEY_BYTES, bare, check_signatures_shape, encoded
from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, missing_param, too_large
from appliance.protocol import unpadded
from appliance.protocol.signing import signatures_of, verify_json
from appliance.storage import cross_signing as rows
from appliance.storage import device_keys as device_rows
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.device_lists import note_update
from appliance.storage.devices import device_ids

FIELDS = {"master_key": "master", "self_signing_key": "self_signing", "user_signing_key": "user_signing"}
ED25519 = "ed25519:"


class Given(Struct, frozen=True):
    """A cross-signing key as it was uploaded: its id (``ed25519:`` and the public key) and itself."""

    key_id: str
    key: dict[str, Any]

    @property
    def public_key(self) -> str:
        """The public key in unpadded base64."""
        return self.key_id.removeprefix(ED25519)


class _Done(Struct, frozen=True):
    refusal: MatrixError | None = None
    position: int | None = None
    unproved: bool = False


class CrossSigning:
    """Takes the cross-signing keys of local users.

    Args:
        database: where they are kept.
        lists: told of changes.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, lists: DeviceLists, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._lists = lists
        self._now_ms = now_ms

    async def upload(self, user_id: str, given: Mapping[str, Given], *, proved: bool) -> bool:
        """Keep keys; all of them, or none.

        Where the owner allowed it a moment ago, keys are replaced without a proof, once.

        Args:
            user_id: whose they are.
            given: by usage; see ``read_keys``.
            proved: whether the request's sender has proved to be the user.

        Returns:
            False where they must do so first, since keys would be replaced or added: then nothing was kept.

        Raises:
            MatrixError: ``M_MISSING_PARAM`` where there is no master key, ``M_INVALID_SIGNATURE``, 403 ``M_FORBIDDEN``
                for a key that is named like a device.
        """

        def published(done: _Done) -> None:
            if done.position is not None:
                self._lists.changed(user_id, done.position)

        now_ms = self._now_ms()
        done = await self._database.write(lambda tx: _store(tx, user_id, given, proved, now_ms), published=published)
        if done.refusal is not None:
            raise done.refusal
        return not done.unproved


def read_keys(body: Mapping[str, Any], user_id: str) -> dict[str, Given]:
    """The keys in a request, by usage.

    Raises:
        MatrixError: ``M_BAD_JSON`` for another shape, ``M_INVALID_PARAM`` for another user's or another use's keys.
    """
    return {
        usage: read_key(body[name], user_id, usage, name)
        for name, usage in FIELDS.items()
        if body.get(name) is not None
    }


def read_key(value: Any, user_id: str, usage: str, name: str) -> Given:
    """One key of a user; raises as ``read_keys``, and ``M_TOO_LARGE``.

    Args:
        value: the key object.
        user_id: whose it must be.
        usage: what it must be for.
        name: what it is called where it came from.
    """
    if not isinstance(value, dict):
        raise bad_json(f"{name} must be an object.")
    keys, usages = value.get("keys"), value.get("usage")
    if not isinstance(keys, dict) or len(keys) != 1 or not isinstance(usages, list):
        raise bad_json(f"{name} must have a usage and one key.")
    ((key_id, public_key),) = keys.items()
    if not isinstance(public_key, str) or key_id != ED25519 + public_key or not _is_public_key(public_key):
        raise bad_json(f"{name} must hold an ed25519 key under its own name.")
    if value.get("user_id") != user_id or usage not in usages:
        raise invalid_param(f"{name} is another user's key, or one for another use.")
    check_signatures_shape(value.get("signatures", {}))
    key = {field: inner for field, inner in value.items() if field != "unsigned"}
    if len(encoded(key)) > MAX_PREKEY_BYTES * 4:
        raise too_large(f"{name} may have at most {MAX_PREKEY_BYTES * 4} bytes.")
    return Given(key_id, key)


def _is_public_key(text: str) -> bool:
    try:
        return len(unpadded.decode(text)) == 32
    except ValueError:
        return False


def _needs_proof(there: Mapping[str, rows.CrossSigningKey], given: Mapping[str, Given]) -> bool:
    return "master" in there and any(not _is_there(there, usage, key) for usage, key in given.items())


def _is_there(there: Mapping[str, rows.CrossSigningKey], usage: str, given: Given) -> bool:
    return usage in there and bare(orjson.loads(there[usage].json)) == bare(given.key)


def _store(tx: Tx, user_id: str, given: Mapping[str, Given], proved: bool, now_ms: int) -> _Done:
    there = rows.keys_of(tx, user_id)
    new = {usage: key for usage, key in given.items() if not _is_there(there, usage, key)}
    if "master" not in there and "master" not in given:
        return _Done(missing_param("There is no master key: it must be uploaded before others, or with them."))
    if not new:
        return _Done()
    allowed = not proved and _needs_proof(there, given)
    if allowed and not rows.may_reset(tx, user_id, now_ms):
        return _Done(unproved=True)
    master_id = given["master"].key_id if "master" in given else there["master"].key_id
    refusal = _judge(tx, user_id, new, master_id)
    if refusal is not None:
        return _Done(refusal)
    if allowed:
        rows.allow_reset(tx, user_id, None)
    replaced = set(new)
    if "master" in new:
        # What the old master key signed means nothing under another.
        replaced |= there.keys()
    for usage in replaced:
        if usage in there:
            _withdraw(tx, user_id, usage, there[usage].key_id)
    for usage, key in new.items():
        rows.put_key(tx, user_id, usage, key.key_id, encoded(_with_good_signatures(tx, user_id, key, master_id)))
    return _Done(position=note_update(tx, user_id, ""))


def _judge(tx: Tx, user_id: str, new: Mapping[str, Given], master_id: str) -> MatrixError | None:
    names = set(device_ids(tx, user_id))
    for usage, given in new.items():
        if given.public_key in names:
            return forbidden("A cross-signing key must not have the name of one of the user's devices.")
        if usage != "master" and not verify_json(given.key, user_id, master_id, master_id.removeprefix(ED25519)):
            return MatrixError("M_INVALID_SIGNATURE", f"The {usage} key is not signed by the master key.", 400)
    return None


def check_device_id(reads: Reads, user_id: str, device_id: str) -> None:
    """Refuse a new device that is named like one of its user's cross-signing keys: verification tells the two apart by
    their names alone.

    Raises:
        MatrixError: ``M_INVALID_PARAM``.
    """
    if rows.is_key_of(reads, user_id, ED25519 + device_id):
        raise invalid_param("A device must not have the name of one of your cross-signing keys: choose another id.")


def _with_good_signatures(reads: Reads, user_id: str, given: Given, master_id: str) -> dict[str, Any]:
    """A key with those of its signatures that are its user's own and good, and no others."""
    good = {}
    for key_id, signature in signatures_of(given.key, user_id).items():
        name = key_id.removeprefix(ED25519)
        if key_id in (given.key_id, master_id):
            public_key: str | None = name
        else:
            json = device_rows.find_keys(reads, user_id, name)
            public_key = None if json is None else orjson.loads(json)["keys"].get(key_id)
        if public_key is not None and verify_json(given.key, user_id, key_id, public_key):
            good[key_id] = signature
    key = bare(given.key)
    return {**key, "signatures": {user_id: good}} if good else key


def _withdraw(tx: Tx, user_id: str, usage: str, key_id: str) -> None:
    """Delete a key and what it signed."""
    rows.delete_key(tx, user_id, usage)
    if usage == "user_signing":
        rows.delete_signatures_by(tx, user_id, key_id)
    if usage == "self_signing":
        for device in device_rows.all_keys(tx, (user_id,)).get(user_id, ()):
            json = without_signature(device.json, user_id, key_id)
            if json is not None:
                device_rows.put_keys(tx, user_id, device.device_id, json)


def without_signature(json: str, user_id: str, key_id: str) -> str | None:
    """A key object as JSON without one signature; None where it does not have it."""
    if f'"{key_id}"' not in json:
        return None
    key = orjson.loads(json)
    own = key.get("signatures", {}).get(user_id, {})
    if own.pop(key_id, None) is None:
        return None
    return encoded(key)
