"""The keys of local users' devices: identity keys, one-time keys and fallback keys.

Everything that decides who gets a key happens within a unit, and units run one after another: no key is given twice.
"""

from collections.abc import Iterable, Mapping, Sequence

import orjson
from msgspec import Struct

from appliance.storage.database import Reads, Tx

CLAIMED_KEPT = 500
"""Keys of a device that were given out and are still remembered, so that a repeated upload does not bring them back;
and the rest of their packs."""

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
    json: bytes | str
    fallback: bool


class Pack(Struct, frozen=True):
    """One-time keys of one algorithm that were uploaded together.

    Args:
        pack_nid: its number; packs of a device are given out in the order of these.
        algorithm: the algorithm.
        taken: how many, from the beginning, were given out.
        count: how many there were.
        stored: all of them, see ``_packed``.
    """

    pack_nid: int
    algorithm: str
    taken: int
    count: int
    stored: bytes

    def ids(self) -> list[str]:
        """The ids of all its keys, in order."""
        ids: list[str] = orjson.loads(self.stored[: self.stored.index(b"\n")])
        return ids

    def each(self) -> list[tuple[str, bytes]]:
        """(key id, key as JSON) of all, in order."""
        _, *keys = self.stored.split(b"\n")
        return list(zip(self.ids(), keys, strict=True))


class Keyed(Struct, frozen=True):
    """A device that has keys: the number under which they are kept, its identity keys, its packs, the oldest first."""

    device_nid: int
    json: str | None
    packs: list[Pack]


def keyed_device(tx: Tx, user_id: str, device_id: str) -> Keyed | None:
    """A device as one that has keys, which it becomes where it was not; None where there is no such device.

    Its packs are those that it has left, and those that were given out lately.
    """
    rows = tx.execute(
        "SELECT k.device_nid, k.json, b.pack_nid, b.algorithm, b.taken, b.count, p.keys FROM keyed_devices k"
        " LEFT JOIN one_time_batches b USING (device_nid) LEFT JOIN one_time_packs p USING (pack_nid)"
        " WHERE k.user_id = ? AND k.device_id = ? ORDER BY b.pack_nid",
        (user_id, device_id),
    )
    if rows:
        nid, json, first, *_ = rows[0]
        return Keyed(nid, json, [Pack(*row[2:]) for row in rows] if first is not None else [])
    rows = tx.execute(
        "INSERT INTO keyed_devices (user_id, device_id) SELECT user_id, device_id FROM devices"
        " WHERE user_id = ? AND device_id = ? RETURNING device_nid",
        (user_id, device_id),
    )
    return Keyed(rows[0][0], None, []) if rows else None


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


def drop_used(tx: Tx, device_nid: int, found: Sequence[Pack]) -> None:
    """Forget packs that were given out whole, but for as many as are remembered."""
    remembered = 0
    for pack in reversed(found):
        if remembered >= CLAIMED_KEPT and pack.taken == pack.count:
            tx.execute(
                "DELETE FROM one_time_batches WHERE device_nid = ? AND algorithm = ? AND pack_nid = ?",
                (device_nid, pack.algorithm, pack.pack_nid),
            )
        remembered += pack.taken


def add_pack(tx: Tx, device_nid: int, algorithm: str, keys: Mapping[str, bytes]) -> None:
    """Add keys of one algorithm (key id to JSON), which come after all that the device has."""
    tx.execute("INSERT INTO one_time_packs (keys) VALUES (?)", (_packed(keys),))
    tx.execute(
        "INSERT INTO one_time_batches (device_nid, algorithm, pack_nid, taken, count)"
        " VALUES (?, ?, last_insert_rowid(), 0, ?)",
        (device_nid, algorithm, len(keys)),
    )


def _packed(keys: Mapping[str, bytes]) -> bytes:
    """A line with the ids, and a line for each key; in the order of the ids, where somebody counts on it."""
    ids = sorted(keys)
    return b"\n".join([orjson.dumps(ids), *[keys[key_id] for key_id in ids]])


def _nth(stored: bytes, number: int) -> tuple[str, bytes]:
    """The id and the key at a place, counted from 0."""
    lines = stored.split(b"\n", number + 2)
    return orjson.loads(lines[0])[number], lines[number + 1]


def drop_prekeys(tx: Tx, device_nid: int) -> None:
    """Drop a device's one-time and fallback keys, and what is remembered of those given out."""
    for table in ("one_time_batches", "fallback_keys"):
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
    taken: list[tuple[int, int, str, int]] = []
    for user_id, device_id, algorithm in wanted:
        rows = tx.execute(
            "SELECT b.device_nid, b.pack_nid, b.taken, p.keys FROM keyed_devices k JOIN one_time_batches b"
            " USING (device_nid) JOIN one_time_packs p USING (pack_nid) WHERE k.user_id = ? AND k.device_id = ?"
            " AND b.algorithm = ? AND b.taken < b.count ORDER BY b.pack_nid LIMIT 1",
            (user_id, device_id, algorithm),
        )
        if not rows:
            found.append(_fallback(tx, user_id, device_id, algorithm))
            continue
        device_nid, pack_nid, number, keys = rows[0]
        taken.append((number + 1, device_nid, algorithm, pack_nid))
        found.append(Claimed(*_nth(keys, number), False))
    tx.execute_many(
        "UPDATE one_time_batches SET taken = ? WHERE device_nid = ? AND algorithm = ? AND pack_nid = ?", taken
    )
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
        "SELECT algorithm, sum(count - taken) FROM one_time_batches WHERE device_nid = ?"
        " GROUP BY algorithm HAVING sum(count - taken) > 0",
        nids[0],
    )
    unused = reads.read("SELECT algorithm FROM fallback_keys WHERE device_nid = ? AND used = 0", nids[0])
    return dict(numbers), [row[0] for row in unused]
