"""Uploading the keys of a device (client-server API, "Uploading keys")."""

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.counts import Counts, told
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.key_objects import (
    MOST_ONE_TIME_KEYS,
    Prekey,
    bare,
    encoded,
    read_device_keys,
    with_signatures,
)
from appliance.encryption.upload_bodies import Given
from appliance.errors import MatrixError, invalid_param, too_large
from appliance.storage import device_keys as rows
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import note_update


class _Done(Struct, frozen=True):
    """What became of an upload.

    Args:
        refusal: why nothing was stored.
        left: the one-time keys that the device has, by algorithm.
        position: that of a changed identity.
    """

    refusal: MatrixError | None = None
    left: Mapping[str, int] = {}
    position: int | None = None


class Uploads:
    """Takes the keys of local users' devices.

    Args:
        database: where they are kept.
        lists: told of changed identity keys.
        counts: told of all.
    """

    def __init__(self, database: Database, lists: DeviceLists, counts: Counts) -> None:
        self._database = database
        self._lists = lists
        self._counts = counts

    async def upload(self, user_id: str, device_id: str, given: Given) -> dict[str, int]:
        """Keep what a device uploads; all of it, or nothing.

        One-time keys that are there already, or were there and have been given out, are passed over: a client that
        lost an answer repeats itself.

        Args:
            user_id: the user.
            device_id: the device, which uploads its own keys.
            given: what; see ``upload_bodies``.

        Returns:
            how many one-time keys the device now has, by algorithm.

        Raises:
            MatrixError: ``M_BAD_JSON``, ``M_INVALID_PARAM``, ``M_TOO_LARGE``; ``M_UNKNOWN`` for another key under the
                id of one that is there.
        """
        if not device_id:
            raise invalid_param("Only a device can have keys, and this access token belongs to none.")
        identity, one_time, fallback = None, given.one_time, given.fallback
        if given.device_keys is not None:
            identity = read_device_keys(given.device_keys, user_id, device_id)
        if len({key.algorithm for key in fallback}) != len(fallback):
            raise invalid_param("fallback_keys may hold one key for each algorithm.")
        if identity is None and not one_time and not fallback:
            return dict(self._counts.of(user_id, device_id).one_time)

        def published(done: _Done) -> None:
            if fallback or identity is not None:
                self._counts.changed(user_id, device_id)
            elif done.refusal is None:
                self._counts.uploaded(user_id, device_id, done.left)
            if done.position is not None:
                self._lists.changed(user_id, done.position)

        done = await self._database.write(
            lambda tx: store_keys(tx, user_id, device_id, identity, one_time, fallback), published=published
        )
        if done.refusal is not None:
            raise done.refusal
        return told(done.left, []).one_time


def store_keys(
    tx: Tx,
    user_id: str,
    device_id: str,
    identity: dict[str, Any] | None,
    one_time: list[Prekey],
    fallback: list[Prekey],
) -> _Done:
    """Store keys that were found good, in a unit; refusals are answered and not raised, since nothing was written."""
    device = rows.keyed_device(tx, user_id, device_id)
    if device is None:
        return _Done(MatrixError("M_UNKNOWN_TOKEN", "This device is gone: please log in again.", 401))
    nid, before = device.device_nid, device.json
    known = None if before is None else orjson.loads(before)
    renewed = identity is not None and known is not None and known["keys"] != identity["keys"]
    chosen = _Chosen({}, {})
    if one_time or not device.new:
        refusal = _choose(tx, nid, renewed or device.new, one_time, chosen)
        if refusal is not None:
            return _Done(refusal)
    if renewed:
        # What the old identity signed is of no use under the new one.
        rows.drop_prekeys(tx, nid)
    position = None
    if identity is not None:
        if known is not None and bare(known) == bare(identity):
            identity = with_signatures(known, identity["signatures"])
        json = encoded(identity)
        if json != before:
            rows.put_keys(tx, user_id, device_id, json)
            position = note_update(tx, user_id, device_id)
    for algorithm, keys in chosen.added.items():
        rows.add_pack(tx, nid, algorithm, keys)
    for key in fallback:
        rows.put_fallback_key(tx, nid, key.algorithm, key.key_id, key.json.decode())
    return _Done(None, chosen.left, position)


class _Chosen(Struct):
    """What is to be added (algorithm to key id to key), and how many keys there are with that, by algorithm."""

    added: dict[str, dict[str, bytes]]
    left: dict[str, int]


def _choose(tx: Tx, nid: int, first: bool, one_time: list[Prekey], chosen: _Chosen) -> MatrixError | None:
    """Find which keys are to be added, where they are the first or others count; or why none may be."""
    held: dict[tuple[str, str], bytes] = {}
    given: set[tuple[str, str, bytes]] = set()
    packs = [] if first else rows.packs(tx, nid)
    digests = set() if first else rows.claimed_before(tx, nid)
    left, added = chosen.left, chosen.added
    for pack in packs:
        given.update((pack.algorithm, *key) for key in pack.keys[: pack.taken])
        held.update(((pack.algorithm, key_id), json) for key_id, json in pack.keys[pack.taken :])
    for algorithm, _ in held:
        left[algorithm] = left.get(algorithm, 0) + 1
    for key in one_time:
        algorithm, key_id, json = key.algorithm, key.key_id, key.json
        there = held.get((algorithm, key_id)) if held else None
        if there is not None:
            if there != json:
                return _taken(algorithm, key_id, there, json)
        elif not (given and (algorithm, key_id, json) in given) and not (
            digests and rows.digest(algorithm, key_id, json) in digests
        ):
            added.setdefault(algorithm, {})[key_id] = json
    for algorithm, keys in added.items():
        left[algorithm] = left.get(algorithm, 0) + len(keys)
    if sum(left.values()) > MOST_ONE_TIME_KEYS:
        return too_large(f"A device may have at most {MOST_ONE_TIME_KEYS} one-time keys on the server.")
    if packs:
        rows.drop_used(tx, nid, packs)
    return None


def _taken(algorithm: str, key_id: str, there: bytes, json: bytes) -> MatrixError:
    # Clients look for these words: they tell them that their memory of what they uploaded is wrong.
    return MatrixError(
        "M_UNKNOWN",
        f"One time key {algorithm}:{key_id} already exists. Old key: {there.decode()}; new key: {json.decode()}",
    )
