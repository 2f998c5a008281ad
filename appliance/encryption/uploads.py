"""Uploading the keys of a device (client-server API, "Uploading keys")."""

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.counts import Counts, told
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.key_objects import (
    MOST_ONE_TIME_KEYS,
    Prekeys,
    bare,
    encoded,
    read_device_keys,
    with_signatures,
)
from appliance.encryption.upload_bodies import Given
from appliance.errors import MatrixError, invalid_param, too_large
from appliance.storage import device_keys as rows
from appliance.storage.database import Database, Tx
from appliance.storage.device_keys import Pack
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
        if any(len(keys) > 1 for keys in fallback.values()):
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
    one_time: Prekeys,
    fallback: Prekeys,
) -> _Done:
    """Store keys that were found good, in a unit; refusals are answered and not raised, since nothing was written."""
    device = rows.keyed_device(tx, user_id, device_id)
    if device is None:
        return _Done(MatrixError("M_UNKNOWN_TOKEN", "This device is gone: please log in again.", 401))
    nid, before = device.device_nid, device.json
    known = None if before is None or identity is None else orjson.loads(before)
    renewed = known is not None and identity is not None and known["keys"] != identity["keys"]
    # What the old identity signed is of no use under a new one.
    packs = [] if renewed else device.packs
    if packs and one_time:
        found = _new_of(packs, one_time)
        if isinstance(found, MatrixError):
            return _Done(found)
        one_time = found
    left = _left(packs, one_time)
    if sum(left.values()) > MOST_ONE_TIME_KEYS:
        return _Done(too_large(f"A device may have at most {MOST_ONE_TIME_KEYS} one-time keys on the server."))
    if renewed:
        rows.drop_prekeys(tx, nid)
    rows.drop_used(tx, nid, packs)
    position = None
    if identity is not None:
        if known is not None and bare(known) == bare(identity):
            identity = with_signatures(known, identity["signatures"])
        json = encoded(identity)
        if json != before:
            rows.put_keys(tx, user_id, device_id, json)
            position = note_update(tx, user_id, device_id)
    for algorithm, keys in one_time.items():
        rows.add_pack(tx, nid, algorithm, keys)
    for algorithm, keys in fallback.items():
        for key_id, key in keys.items():
            rows.put_fallback_key(tx, nid, algorithm, key_id, key.decode())
    return _Done(None, left, position)


def _left(packs: list[Pack], added: Prekeys) -> dict[str, int]:
    """How many one-time keys there are with those that are added, by algorithm."""
    left: dict[str, int] = {}
    for pack in packs:
        if pack.count > pack.taken:
            left[pack.algorithm] = left.get(pack.algorithm, 0) + pack.count - pack.taken
    for algorithm, keys in added.items():
        left[algorithm] = left.get(algorithm, 0) + len(keys)
    return left


def _new_of(packs: list[Pack], one_time: Prekeys) -> Prekeys | MatrixError:
    """Of uploaded keys those that are not there yet nor were given out; or why none may be added."""
    added: Prekeys = {}
    for algorithm, keys in one_time.items():
        held: dict[str, bytes] = {}
        given: set[tuple[str, bytes]] = set()
        for pack in packs:
            # Nearly always all ids are new.
            if pack.algorithm == algorithm and not keys.keys().isdisjoint(pack.ids()):
                each = pack.each()
                given.update(each[: pack.taken])
                held.update(each[pack.taken :])
        new = {}
        for key_id, json in keys.items():
            there = held.get(key_id)
            if there is not None:
                if there != json:
                    return _taken(algorithm, key_id, there, json)
            elif (key_id, json) not in given:
                new[key_id] = json
        if new:
            added[algorithm] = new
    return added


def _taken(algorithm: str, key_id: str, there: bytes, json: bytes) -> MatrixError:
    # Clients look for these words: they tell them that their memory of what they uploaded is wrong.
    return MatrixError(
        "M_UNKNOWN",
        f"One time key {algorithm}:{key_id} already exists. Old key: {there.decode()}; new key: {json.decode()}",
    )
