"""Devices: where a user is logged in. Deleting a device ends the session on it and its tokens."""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Database, Reads, Tx


class Device(Struct, frozen=True):
    """One device of a user.

    Args:
        device_id: its id, unique to the user.
        display_name: the name that the user gave it, or None.
        last_seen_ts: when it last asked something, milliseconds since 1970, or None.
        last_seen_ip: from where, or None.
        session_id: the session on it, or None where nothing is logged in.
    """

    device_id: str
    display_name: str | None
    last_seen_ts: int | None
    last_seen_ip: str | None
    session_id: int | None


_SELECT = (
    "SELECT d.device_id, d.display_name, d.last_seen_ts, d.last_seen_ip, s.session_id FROM devices d"
    " LEFT JOIN sessions s ON s.user_id = d.user_id AND s.device_id = d.device_id WHERE d.user_id = ?"
)


def find_device(database: Database, user_id: str, device_id: str) -> Device | None:
    """One device of a user."""
    rows = database.read(f"{_SELECT} AND d.device_id = ?", (user_id, device_id))
    return Device(*rows[0]) if rows else None


async def all_devices(database: Database, user_id: str) -> list[Device]:
    """Every device of a user, by id."""
    return [Device(*row) for row in await database.fetch(f"{_SELECT} ORDER BY d.device_id", (user_id,))]


def rename_device(tx: Tx, user_id: str, device_id: str, display_name: str) -> bool:
    """Name a device; False where the user has no such device."""
    rows = tx.execute(
        "UPDATE devices SET display_name = ? WHERE user_id = ? AND device_id = ? RETURNING 1",
        (display_name, user_id, device_id),
    )
    return bool(rows)


def delete_device(tx: Tx, user_id: str, device_id: str) -> bool:
    """Delete a device with its session and tokens; False where the user has no such device."""
    rows = tx.execute("DELETE FROM devices WHERE user_id = ? AND device_id = ? RETURNING 1", (user_id, device_id))
    return bool(rows)


def device_ids(reads: Reads, user_id: str) -> list[str]:
    """The ids of a user's devices."""
    return [row[0] for row in reads.read("SELECT device_id FROM devices WHERE user_id = ?", (user_id,))]


def note_seen(tx: Tx, seen: Iterable[tuple[int, int, str]]) -> None:
    """Write when and from where sessions were last heard of: (session, milliseconds since 1970, address)."""
    for session_id, ts, address in seen:
        tx.execute(
            "UPDATE devices SET last_seen_ts = ?, last_seen_ip = ? WHERE (user_id, device_id) ="
            " (SELECT user_id, device_id FROM sessions WHERE session_id = ?)",
            (ts, address, session_id),
        )
