"""The keys of local users' devices: identity keys, one-time keys and fallback keys.

Everything that decides who gets a key happens within a unit, and units run one after another: no key is given twice.
"""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct

from appliance.storage.database import Reads, Tx

CLAIMED_KEPT = 500
"""Keys of a device that were given out and are still remembered, so that a repeated upload does not bring them back."""


_CHUNK = 100
"""Users that one statement asks for."""


class DeviceKeys(Struct, frozen=True):
    """The identity keys of a device.

    Args:
        device_id: the device.
        json: its keys with their signatures, as JSON.
        display_name: the device's name, or None.
    """

    device_id: str
    json: str
    display_name: str | None


class Claimed(Struct, frozen=True):
    """A key that was given out: its id and itself, as JSON; whether it is a fallback key, which may be given again."""

    key_id: str
    json: str
    fallback: bool


def keyed_device(tx: Tx, user_id: str, device_id: str) -> int | None:
    """The number under which a device's keys are kept; None where there is no such device."""
    rows = tx.execute(
        "SELECT device_nid FROM keyed_devices WHERE user_id = ? AND device_id = ?", (user_id, device_id)
    ) or tx.execute(
        "INSERT INTO keyed_devices (user_id, device_id) SELECT user_id, device_id FROM devices"
        " WHERE user_id = ? AND device_id = ? RETURNING device_nid",
        (user_id, device_id),
    )
    return int(rows[0][0]) if rows else None


# Identity keys ----------------------------------------------------------------------------------------------------


def all_keys(reads: Reads, user_ids: Sequence[str]) -> dict[str, list[DeviceKeys]]:
    """The identity keys of all devices of some users that have any, by user, each by device id."""
    found: dict[str, list[DeviceKeys]] = {}
    for start in range(0, len(user_ids), _CHUNK):
        chunk = user_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows = reads.read(
            "SELECT k.user_id, k.device_id, k.json, d.display_name FROM keyed_devices k"
            " JOIN devices d USING (user_id, device_id)"
            f" WHERE k.user_id IN ({marks}) AND k.json IS NOT NULL ORDER BY k.user_id, k.device_id",
            chunk,
        )
        for user_id, *row in rows:
            found.setdefault(user_id, []).append(DeviceKeys(*row))
    return found


def find_keys(reads: Reads, user_id: str, device_id: str) -> str | None:
    """The identity keys of one device as JSON."""
    rows = reads.read("SELECT json FROM keyed_devices WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    return rows[0][0] if rows else None


def device_name(reads: Reads, user_id: str, device_id: str) -> tuple[bool, str | None]:
    """Whether a local user has a device, and its name."""
    rows = reads.read("SELECT display_name FROM devices WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    return bool(rows), rows[0][0] if rows else None


def put_keys(tx: Tx, user_id: str, device_id: str, json: str) -> None:
    """Replace the identity keys of a device that has a number."""
    tx.execute("UPDATE keyed_devices SET json = ? WHERE user_id = ? AND device_id = ?", (json, user_id, device_id))


# One-time keys ----------------------------------------------------------------------------------------------------


def one_time_keys(reads: Reads, device_nid: int) -> dict[tuple[str, str], str]:
    """What a device has: (algorithm, key id) to the key as JSON."""
    rows = reads.read("SELECT algorithm, key_id, json FROM one_time_keys WHERE device_nid = ?", (device_nid,))
    return {(algorithm, key_id): json for algorithm, key_id, json in rows}


def claimed_before(tx: Tx, device_nid: int) -> set[bytes]:
    """The digests of a device's keys that were given out lately; forgets those before them."""
    rows = tx.execute(
        "SELECT claim_nid, digest FROM claimed_keys WHERE device_nid = ? ORDER BY claim_nid DESC", (device_nid,)
    )
    if len(rows) > CLAIMED_KEPT:
        tx.execute(
            "DELETE FROM claimed_keys WHERE device_nid = ? AND claim_nid <= ?", (device_nid, rows[CLAIMED_KEPT][0])
        )
    return {digest for _, digest in rows[:CLAIMED_KEPT]}


def digest(algorithm: str, key_id: str, json: str) -> bytes:
    """What a key that was given out is known by."""
    return hashlib.sha256(f"{algorithm}:{key_id}\0{json}".encode()).digest()[:16]


def add_one_time_keys(tx: Tx, device_nid: int, keys: Iterable[tuple[str, str, str]]) -> None:
    """Add (algorithm, key id, key as JSON), which come after all that the device has."""
    ((batch,),) = tx.execute("SELECT ifnull(max(batch), 0) + 1 FROM one_time_keys WHERE device_nid = ?", (device_nid,))
    tx.execute_many(
        "INSERT INTO one_time_keys (device_nid, algorithm, batch, key_id, json) VALUES (?,?,?,?,?)",
        [(device_nid, algorithm, batch, key_id, json) for algorithm, key_id, json in keys],
    )


def drop_prekeys(tx: Tx, device_nid: int) -> None:
    """Drop a device's one-time and fallback keys, and what is remembered of those given out."""
    for table in ("one_time_keys", "fallback_keys", "claimed_keys"):
        tx.execute(f"DELETE FROM {table} WHERE device_nid = ?", (device_nid,))


def put_fallback_key(tx: Tx, device_nid: int, algorithm: str, key_id: str, json: str) -> None:
    """Replace a device's fallback key; the same one again stays used if it was."""
    tx.execute(
        "INSERT INTO fallback_keys (device_nid, algorithm, key_id, json, used) VALUES (?,?,?,?,0)"
        " ON CONFLICT (device_nid, algorithm) DO UPDATE SET key_id = excluded.key_id, json = excluded.json,"
        " used = used AND key_id = excluded.key_id AND json = excluded.json",
        (device_nid, algorithm, key_id, json),
    )


def claim(tx: Tx, wanted: Iterable[tuple[str, str, str]]) -> list[Claimed | None]:
    """Take the oldest one-time key of each of some devices, or else its fallback key.

    Args:
        tx: the unit.
        wanted: (user id, device id, algorithm), each once.

    Returns:
        what there was for each, in the same order; None where a device has neither.
    """
    found: list[Claimed | None] = []
    taken: list[tuple[int, str, int, str]] = []
    digests: list[tuple[int, bytes]] = []
    for user_id, device_id, algorithm in wanted:
        rows = tx.execute(
            "SELECT device_nid, o.batch, o.key_id, o.json FROM keyed_devices k JOIN one_time_keys o USING (device_nid)"
            " WHERE k.user_id = ? AND k.device_id = ? AND o.algorithm = ? ORDER BY o.batch, o.key_id LIMIT 1",
            (user_id, device_id, algorithm),
        )
        if rows:
            device_nid, batch, key_id, json = rows[0]
            taken.append((device_nid, algorithm, batch, key_id))
            digests.append((device_nid, digest(algorithm, key_id, json)))
            found.append(Claimed(key_id, json, False))
        else:
            found.append(_fallback(tx, user_id, device_id, algorithm))
    tx.execute_many(
        "DELETE FROM one_time_keys WHERE device_nid = ? AND algorithm = ? AND batch = ? AND key_id = ?", taken
    )
    tx.execute_many("INSERT INTO claimed_keys (device_nid, digest) VALUES (?, ?)", digests)
    return found


def _fallback(tx: Tx, user_id: str, device_id: str, algorithm: str) -> Claimed | None:
    rows = tx.execute(
        "UPDATE fallback_keys SET used = 1 WHERE algorithm = ? AND device_nid ="
        " (SELECT device_nid FROM keyed_devices WHERE user_id = ? AND device_id = ?) RETURNING key_id, json",
        (algorithm, user_id, device_id),
    )
    return Claimed(rows[0][0], rows[0][1], True) if rows else None


def counts(reads: Reads, user_id: str, device_id: str) -> tuple[dict[str, int], list[str]]:
    """How many one-time keys a device has by algorithm, and of which algorithms its fallback key is unused."""
    nids = reads.read("SELECT device_nid FROM keyed_devices WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    if not nids:
        return {}, []
    numbers = reads.read(
        "SELECT algorithm, count(*) FROM one_time_keys INDEXED BY one_time_keys_by_id WHERE device_nid = ?"
        " GROUP BY algorithm",
        nids[0],
    )
    unused = reads.read("SELECT algorithm FROM fallback_keys WHERE device_nid = ? AND used = 0", nids[0])
    return dict(numbers), [row[0] for row in unused]
