"""Dehydrated devices (MSC3814): one a user, which has keys and gets messages while the user is nowhere logged in."""

from appliance.storage.database import Reads, Tx


def find(reads: Reads, user_id: str) -> tuple[str, str] | None:
    """(device id, its data as JSON) of a user's dehydrated device; None without one."""
    rows = reads.read("SELECT device_id, device_data FROM dehydrated_devices WHERE user_id = ?", (user_id,))
    return (rows[0][0], rows[0][1]) if rows else None


def put(tx: Tx, user_id: str, device_id: str, device_data: str, display_name: str | None, now_ms: int) -> bool:
    """Make a user's dehydrated device, the one before being gone; False where another device has its name."""
    made = tx.execute(
        "INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES (?,?,?,?)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (user_id, device_id, display_name, now_ms),
    )
    if made:
        tx.execute(
            "INSERT INTO dehydrated_devices (user_id, device_id, device_data) VALUES (?,?,?)",
            (user_id, device_id, device_data),
        )
    return bool(made)


def exists(reads: Reads, user_id: str, device_id: str) -> bool:
    """Whether a user has a device of that name, dehydrated or not."""
    return bool(reads.read("SELECT 1 FROM devices WHERE user_id = ? AND device_id = ?", (user_id, device_id)))
