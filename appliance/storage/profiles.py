"""Profiles: one row a field, the value as JSON. A display name can be searched for (``user_directory.py``)."""

import msgspec

from appliance.storage import user_directory
from appliance.storage.database import Database, Tx

DISPLAY_NAME = "displayname"


def find_profile(database: Database, user_id: str) -> dict[str, str]:
    """Every field of a user's profile with its value as JSON."""
    return dict(database.read("SELECT field, value FROM profiles WHERE user_id = ? ORDER BY field", (user_id,)))


def find_field(database: Database, user_id: str, field: str) -> str | None:
    """One field's value as JSON; None where it is not set."""
    rows = database.read("SELECT value FROM profiles WHERE user_id = ? AND field = ?", (user_id, field))
    return rows[0][0] if rows else None


def profile_in(tx: Tx, user_id: str) -> dict[str, str]:
    """Every field of a user's profile with its value as JSON, within a unit."""
    return dict(tx.execute("SELECT field, value FROM profiles WHERE user_id = ?", (user_id,)))


def put_field(tx: Tx, user_id: str, field: str, value: str) -> None:
    """Write one field, its value as JSON."""
    tx.execute(
        "INSERT INTO profiles (user_id, field, value) VALUES (?, ?, ?)"
        " ON CONFLICT (user_id, field) DO UPDATE SET value = excluded.value",
        (user_id, field, value),
    )
    if field == DISPLAY_NAME:
        name = msgspec.json.decode(value)
        user_directory.put(tx, [(user_id, 0, f"{user_id} {name}".casefold())])


def delete_field(tx: Tx, user_id: str, field: str) -> bool:
    """Remove one field; False where it was not set."""
    if field == DISPLAY_NAME:
        user_directory.drop(tx, [(user_id, 0)])
    return bool(tx.execute("DELETE FROM profiles WHERE user_id = ? AND field = ? RETURNING 1", (user_id, field)))


def mark_untold(tx: Tx, user_id: str) -> int:
    """Note that a user's rooms do not say yet what the profile says; answers the number of the change."""
    rows = tx.execute(
        "INSERT INTO untold_profiles VALUES (?, 1) ON CONFLICT (user_id) DO UPDATE SET serial = serial + 1"
        " RETURNING serial",
        (user_id,),
    )
    return int(rows[0][0])


def untold(database: Database) -> list[tuple[str, int]]:
    """(user id, number of the change) of those whose rooms do not say yet what their profiles say."""
    return [(row[0], row[1]) for row in database.read("SELECT user_id, serial FROM untold_profiles")]


def mark_told(tx: Tx, user_id: str, serial: int) -> None:
    """Note that a user's rooms say what the profile said at a change, unless there was another one since."""
    tx.execute("DELETE FROM untold_profiles WHERE user_id = ? AND serial = ?", (user_id, serial))
