"""Transaction ids of clients: which event a device's request made, so that its repetition makes no other."""

from collections.abc import Sequence

from appliance.storage.database import Reads, Tx


def put(tx: Tx, user_id: str, device_id: str, scope: str, transaction_id: str, event_nid: int, now_ms: int) -> None:
    """Note the event that a transaction made.

    Args:
        tx: the unit that stores the event.
        user_id: who sent it.
        device_id: from which device.
        scope: the endpoint with its room and type.
        transaction_id: the client's own id.
        event_nid: the event.
        now_ms: the time, for pruning.
    """
    tx.execute(
        "INSERT INTO transaction_ids VALUES (?,?,?,?,?,?)",
        (user_id, device_id, scope, transaction_id, event_nid, now_ms),
    )


def event_of(database: Reads, user_id: str, device_id: str, scope: str, transaction_id: str) -> str | None:
    """The id of the event that this transaction made before, or None."""
    rows = database.read(
        "SELECT e.event_id FROM transaction_ids t JOIN events e USING (event_nid)"
        " WHERE t.user_id = ? AND t.device_id = ? AND t.scope = ? AND t.transaction_id = ?",
        (user_id, device_id, scope, transaction_id),
    )
    return rows[0][0] if rows else None


def of_events(database: Reads, event_nids: Sequence[int]) -> list[tuple[int, str, str, str, str]]:
    """(event number, user, device, scope, transaction id) of those of the events that a transaction made."""
    marks = ",".join("?" * len(event_nids))
    return database.read(
        "SELECT event_nid, user_id, device_id, scope, transaction_id FROM transaction_ids"
        f" WHERE event_nid IN ({marks})",
        event_nids,
    )


def of_device(database: Reads, user_id: str, device_id: str, limit: int) -> list[tuple[str, str]]:
    """(scope, transaction id) of what a device sent, so many at most."""
    rows = database.read(
        "SELECT scope, transaction_id FROM transaction_ids WHERE user_id = ? AND device_id = ? LIMIT ?",
        (user_id, device_id, limit),
    )
    return [(row[0], row[1]) for row in rows]
