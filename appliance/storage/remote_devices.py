"""What is known of the devices of users of other servers, as far as their lists are followed."""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class FollowedList(Struct, frozen=True):
    """A list of devices that is followed.

    Args:
        stream_id: the last change of it that is known, as its server counts.
        stale: whether it must be asked for before it is used.
    """

    stream_id: int
    stale: bool


class RemoteDevice(Struct, frozen=True):
    """A device of a user of another server: its keys as JSON, None where it has none, and its name."""

    device_id: str
    json: str | None
    display_name: str | None


def find(reads: Reads, user_id: str) -> FollowedList | None:
    """A user's list, None where it is not followed."""
    rows = reads.read("SELECT stream_id, stale FROM remote_device_lists WHERE user_id = ?", (user_id,))
    return FollowedList(rows[0][0], bool(rows[0][1])) if rows else None


def devices_of(reads: Reads, user_id: str) -> list[RemoteDevice]:
    """The devices on a list that is followed."""
    rows = reads.read(
        "SELECT device_id, json, display_name FROM remote_devices WHERE user_id = ? ORDER BY device_id", (user_id,)
    )
    return [RemoteDevice(*row) for row in rows]


def replace(tx: Tx, user_id: str, stream_id: int, devices: Iterable[RemoteDevice], now_ms: int) -> None:
    """Write a whole list, which is followed and right from then on."""
    tx.execute("DELETE FROM remote_device_lists WHERE user_id = ?", (user_id,))
    tx.execute(
        "INSERT INTO remote_device_lists (user_id, stream_id, stale, fetched_ts) VALUES (?,?,0,?)",
        (user_id, stream_id, now_ms),
    )
    tx.execute_many(
        "INSERT OR REPLACE INTO remote_devices (user_id, device_id, json, display_name) VALUES (?,?,?,?)",
        [(user_id, device.device_id, device.json, device.display_name) for device in devices],
    )


def change(tx: Tx, user_id: str, stream_id: int, device: RemoteDevice | None, gone: str, most: int) -> None:
    """Write one change of a list: a device that is new or different, or the id of one that is gone; beyond so many
    devices a further one is passed over.
    """
    tx.execute("UPDATE remote_device_lists SET stream_id = ? WHERE user_id = ?", (stream_id, user_id))
    if device is None:
        tx.execute("DELETE FROM remote_devices WHERE user_id = ? AND device_id = ?", (user_id, gone))
    else:
        tx.execute(
            "INSERT OR REPLACE INTO remote_devices (user_id, device_id, json, display_name) SELECT ?1,?2,?3,?4"
            " WHERE EXISTS (SELECT 1 FROM remote_devices WHERE user_id = ?1 AND device_id = ?2)"
            " OR (SELECT COUNT(*) FROM remote_devices WHERE user_id = ?1) < ?5",
            (user_id, device.device_id, device.json, device.display_name, most),
        )


def mark_stale(tx: Tx, user_ids: Iterable[str]) -> None:
    """Note that lists must be asked for; those that are not followed are so from then on."""
    tx.execute_many(
        "INSERT INTO remote_device_lists (user_id, stream_id, stale, fetched_ts) VALUES (?,0,1,0)"
        " ON CONFLICT (user_id) DO UPDATE SET stale = 1",
        [(user_id,) for user_id in user_ids],
    )


def stale(reads: Reads, limit: int) -> list[str]:
    """Some users whose lists must be asked for, any of them."""
    rows = reads.read("SELECT user_id FROM remote_device_lists WHERE stale = 1 ORDER BY random() LIMIT ?", (limit,))
    return [row[0] for row in rows]


def is_needed(reads: Reads, user_id: str) -> bool:
    """Whether a user is in a room in which somebody of this server is, too: only then its server tells of changes."""
    rows = reads.read(
        "SELECT 1 FROM memberships m WHERE m.user_id = ? AND m.membership = 'join' AND EXISTS (SELECT 1"
        " FROM memberships o JOIN accounts a USING (user_id) WHERE o.room_nid = m.room_nid AND o.membership = 'join')"
        " LIMIT 1",
        (user_id,),
    )
    return bool(rows)


def forget(tx: Tx, user_ids: Iterable[str]) -> None:
    """Follow the lists of some users no more, where they are not needed; their servers tell us nothing of them now."""
    for user_id in user_ids:
        if tx.execute("SELECT 1 FROM remote_device_lists WHERE user_id = ?", (user_id,)) and not is_needed(tx, user_id):
            tx.execute("DELETE FROM remote_device_lists WHERE user_id = ?", (user_id,))
            tx.execute("DELETE FROM cross_signing_keys WHERE user_id = ?", (user_id,))
