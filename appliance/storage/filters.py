"""Filters that clients keep here, numbered within each user."""

from appliance.storage.database import Database, Tx


def find_filter(database: Database, user_id: str, filter_id: int) -> str | None:
    """A filter's JSON; None where the user has none with this number."""
    rows = database.read("SELECT json FROM filters WHERE user_id = ? AND filter_id = ?", (user_id, filter_id))
    return rows[0][0] if rows else None


def keep_filter(tx: Tx, user_id: str, json: str, most: int) -> int:
    """Keep a filter and answer its number: an equal one's where there is one, else the next.

    Args:
        tx: the unit.
        user_id: whose filter it is.
        json: the filter, canonical, so that equal filters are equal text.
        most: how many filters a user may keep; beyond that the oldest is dropped.
    """
    rows = tx.execute("SELECT filter_id FROM filters WHERE user_id = ? AND json = ?", (user_id, json))
    if rows:
        return int(rows[0][0])
    rows = tx.execute(
        "INSERT INTO filters (user_id, filter_id, json)"
        " SELECT ?, coalesce(max(filter_id), 0) + 1, ? FROM filters WHERE user_id = ? RETURNING filter_id",
        (user_id, json, user_id),
    )
    filter_id = int(rows[0][0])
    tx.execute("DELETE FROM filters WHERE user_id = ? AND filter_id <= ?", (user_id, filter_id - most))
    return filter_id
