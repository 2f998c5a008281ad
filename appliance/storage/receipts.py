"""Receipts: up to where users have read, one for each room, user, type and thread. Rows of the stream."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx

PRIVATE = "m.read.private"


class Receipt(Struct, frozen=True):
    """One receipt.

    Args:
        room_id: the room.
        user_id: who has read.
        type: ``m.read`` or ``m.read.private``.
        thread_id: the root of a thread, ``main``, or empty for a receipt that is not threaded.
        event_id: up to which event.
        data: what clients are told of it, as JSON.
    """

    room_id: str
    user_id: str
    type: str
    thread_id: str
    event_id: str
    data: str


def is_later(reads: Reads, room_id: str, event_id: str, other_id: str) -> bool:
    """Whether an event came after another, as syncs tell of them; it did where the other has no place in the room.

    Who reads up to an event has read what they were shown before it, wherever it stands in the graph.
    """
    one, other = _point(reads, room_id, event_id), _point(reads, room_id, other_id)
    return other is None or (one is not None and one > other)


def put_receipt(tx: Tx, receipt: Receipt, most: int | None = None) -> int | None:
    """Write a receipt unless there is one for the same event or a later one.

    Args:
        tx: the unit.
        receipt: the receipt.
        most: of how many threads of the room the user has receipts at most; beyond that the oldest is dropped. None
            where each thread is known to be one.

    Returns:
        its position in the stream, None where nothing was written.
    """
    key = (receipt.room_id, receipt.user_id, receipt.type, receipt.thread_id)
    before = tx.execute(
        "SELECT event_id FROM receipts WHERE room_id = ? AND user_id = ? AND type = ? AND thread_id = ?", key
    )
    if before and not is_later(tx, receipt.room_id, receipt.event_id, before[0][0]):
        return None
    position = tx.position()
    tx.execute(
        "INSERT INTO receipts (room_id, user_id, type, thread_id, event_id, data, position) VALUES (?,?,?,?,?,?,?)"
        " ON CONFLICT (room_id, user_id, type, thread_id) DO UPDATE SET event_id = excluded.event_id,"
        " data = excluded.data, position = excluded.position",
        (*key, receipt.event_id, receipt.data, position),
    )
    if most is not None and not before:
        tx.execute(
            "DELETE FROM receipts WHERE room_id = ? AND user_id = ? AND type = ? AND position <= (SELECT position"
            " FROM receipts WHERE room_id = ? AND user_id = ? AND type = ? AND thread_id <> ''"
            " ORDER BY position DESC LIMIT 1 OFFSET ?) AND thread_id <> ''",
            (*key[:3], *key[:3], most),
        )
    return position


def receipts_between(reads: Reads, room_id: str, user_id: str, after: int, upto: int) -> list[Receipt]:
    """A room's receipts that were last written in ``after < position <= upto``, as far as a user may know them."""
    rows = reads.read(
        "SELECT room_id, user_id, type, thread_id, event_id, data FROM receipts"
        " WHERE room_id = ? AND position > ? AND position <= ? AND (type <> ? OR user_id = ?) ORDER BY position",
        (room_id, after, upto, PRIVATE, user_id),
    )
    return [Receipt(*row) for row in rows]


def has_read_since(reads: Reads, room_id: str, user_id: str, after: int) -> bool:
    """Whether a user's receipts in a room changed after a position."""
    return bool(
        reads.read(
            "SELECT 1 FROM receipts WHERE room_id = ? AND user_id = ? AND position > ? LIMIT 1",
            (room_id, user_id, after),
        )
    )


def read_since(reads: Reads, room_id: str, user_id: str, after: int) -> bool:
    """Whether a user has read anything in a room after a position."""
    rows = reads.read(
        "SELECT 1 FROM receipts WHERE room_id = ? AND user_id = ? AND position > ? LIMIT 1", (room_id, user_id, after)
    )
    return bool(rows)


def last_receipts(reads: Reads) -> list[tuple[str, int]]:
    """(room id, position) of the last receipt of each room that has one, the earliest first."""
    rows = reads.read("SELECT room_id, (SELECT MAX(position) FROM receipts WHERE room_id = r.room_id) FROM rooms r")
    return sorted(((room_id, last) for room_id, last in rows if last is not None), key=lambda row: row[1])


def _point(reads: Reads, room_id: str, event_id: str) -> int | None:
    """The position of an event of a room; None where it has no place in it."""
    rows = reads.read(
        "SELECT e.position FROM events e JOIN rooms r USING (room_nid)"
        " WHERE e.event_id = ? AND r.room_id = ? AND e.position IS NOT NULL",
        (event_id, room_id),
    )
    return rows[0][0] if rows else None
