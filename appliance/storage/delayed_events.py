"""Events that are to be sent later (MSC4140)."""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Database, Reads, Tx

CANCELLED = "cancelled"
"""The ``error`` of an event that was cancelled and never tried."""


class DelayedEvent(Struct, frozen=True, kw_only=True):
    """One event that is to be sent later, or was.

    Args:
        delay_id: its name, known to whoever made it and to whom they tell it.
        user_id: who sends it.
        device_id: from which device.
        room_id: the room.
        type: the event's type.
        state_key: its state key; None for no state.
        content: its content as JSON.
        delay_ms: how long after ``since_ts`` it is sent.
        since_ts: when it was made, or last started anew.
        send_ts: when it is sent.
        scope: the endpoint of the transaction that made it, or None.
        transaction_id: that transaction, or None.
        finalised_ts: when that was settled; None while it is pending.
        event_id: the event that was sent.
        error: why none was.
    """

    delay_id: str
    user_id: str
    device_id: str
    room_id: str
    type: str
    state_key: str | None
    content: str
    delay_ms: int
    since_ts: int
    send_ts: int
    scope: str | None = None
    transaction_id: str | None = None
    finalised_ts: int | None = None
    event_id: str | None = None
    error: str | None = None


_COLUMNS = ", ".join(DelayedEvent.__struct_fields__)
_MARKS = ", ".join("?" * len(DelayedEvent.__struct_fields__))


def _event(row: tuple[object, ...]) -> DelayedEvent:
    return DelayedEvent(**dict(zip(DelayedEvent.__struct_fields__, row, strict=True)))  # type: ignore[arg-type]


def insert(tx: Tx, event: DelayedEvent) -> None:
    """Keep an event for later."""
    tx.execute(
        f"INSERT INTO delayed_events ({_COLUMNS}) VALUES ({_MARKS})",
        tuple(getattr(event, name) for name in DelayedEvent.__struct_fields__),
    )


def find(reads: Reads, delay_id: str) -> DelayedEvent | None:
    """One event, settled or not; None for a name that was never given or was forgotten since."""
    rows = reads.read(f"SELECT {_COLUMNS} FROM delayed_events WHERE delay_id = ?", (delay_id,))
    return _event(rows[0]) if rows else None


def of_transaction(reads: Reads, user_id: str, device_id: str, scope: str, transaction_id: str) -> str | None:
    """What a transaction made before."""
    rows = reads.read(
        "SELECT delay_id FROM delayed_events WHERE user_id = ? AND device_id = ? AND scope = ? AND transaction_id = ?",
        (user_id, device_id, scope, transaction_id),
    )
    return rows[0][0] if rows else None


def pending(database: Database) -> list[DelayedEvent]:
    """Every event that is still to be sent, the next one first."""
    rows = database.read(f"SELECT {_COLUMNS} FROM delayed_events WHERE finalised_ts IS NULL ORDER BY send_ts, delay_id")
    return [_event(row) for row in rows]


def restart(tx: Tx, delay_id: str, since_ts: int, send_ts: int) -> bool:
    """Let the time of an event begin anew; False where it is settled already."""
    rows = tx.execute(
        "UPDATE delayed_events SET since_ts = ?, send_ts = ? WHERE delay_id = ? AND finalised_ts IS NULL RETURNING 1",
        (since_ts, send_ts, delay_id),
    )
    return bool(rows)


def finalise(tx: Tx, delay_ids: Iterable[str], now: int, *, event_id: str | None = None, error: str | None) -> int:
    """Settle events that are pending; answers how many were."""
    settled = 0
    for delay_id in delay_ids:
        rows = tx.execute(
            "UPDATE delayed_events SET finalised_ts = ?, event_id = ?, error = ?"
            " WHERE delay_id = ? AND finalised_ts IS NULL RETURNING 1",
            (now, event_id, error, delay_id),
        )
        settled += len(rows)
    return settled


def forget_before(tx: Tx, before: int) -> None:
    """Forget what was settled before a time."""
    tx.execute("DELETE FROM delayed_events WHERE finalised_ts < ?", (before,))
