"""What came from other servers: transactions that were answered, and events that nobody has looked at yet."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class UnreadEvent(Struct, frozen=True):
    """An event that was taken and waits to be looked at.

    Args:
        event_id: its id.
        room_id: its room.
        origin: the server that sent it.
        received_ts: when it came.
        json: as received.
    """

    event_id: str
    room_id: str
    origin: str
    received_ts: int
    json: bytes


def answer(reads: Reads, origin: str, transaction_id: str) -> bytes | None:
    """What a transaction was answered with, None where it is not known."""
    rows = reads.read(
        "SELECT answer FROM received_transactions WHERE origin = ? AND transaction_id = ?", (origin, transaction_id)
    )
    return rows[0][0] if rows else None


def keep_answer(tx: Tx, origin: str, transaction_id: str, received_ts: int, body: bytes) -> None:
    """Note what a transaction was answered with."""
    tx.execute(
        "INSERT OR REPLACE INTO received_transactions VALUES (?,?,?,?)", (origin, transaction_id, received_ts, body)
    )


def drop_answers(tx: Tx, before_ts: int, limit: int) -> int:
    """Forget transactions from before a time, so many at most; answers how many."""
    rows = tx.execute(
        "DELETE FROM received_transactions WHERE (origin, transaction_id) IN (SELECT origin, transaction_id"
        " FROM received_transactions WHERE received_ts < ? LIMIT ?) RETURNING 1",
        (before_ts, limit),
    )
    return len(rows)


def put_unread(tx: Tx, event: UnreadEvent) -> None:
    """Note an event that waits to be looked at."""
    tx.execute(
        "INSERT OR IGNORE INTO unread_events (event_id, room_id, origin, received_ts, json) VALUES (?,?,?,?,?)",
        (event.event_id, event.room_id, event.origin, event.received_ts, event.json),
    )


def drop_unread(tx: Tx, event_id: str) -> None:
    """An event was looked at."""
    tx.execute("DELETE FROM unread_events WHERE event_id = ?", (event_id,))


def is_unread(reads: Reads, event_id: str) -> bool:
    """Whether an event waits to be looked at."""
    return bool(reads.read("SELECT 1 FROM unread_events WHERE event_id = ?", (event_id,)))


def unread_count(reads: Reads, origin: str) -> int:
    """How many events of a server wait to be looked at."""
    return int(reads.read("SELECT count(*) FROM unread_events WHERE origin = ?", (origin,))[0][0])


def unread_rooms(reads: Reads) -> set[str]:
    """The rooms of the events that wait to be looked at."""
    return {row[0] for row in reads.read("SELECT DISTINCT room_id FROM unread_events")}


def unread(reads: Reads, room_id: str, after_nid: int, limit: int) -> list[tuple[int, UnreadEvent]]:
    """The events of a room that wait to be looked at, the first first, each with its number; from a number on."""
    rows = reads.read(
        "SELECT unread_nid, event_id, room_id, origin, received_ts, json FROM unread_events"
        " WHERE room_id = ? AND unread_nid > ? ORDER BY unread_nid LIMIT ?",
        (room_id, after_nid, limit),
    )
    return [(row[0], UnreadEvent(*row[1:])) for row in rows]
