"""Threads that users follow, or follow no more (MSC4306). Rows of the stream."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class Subscription(Struct, frozen=True):
    """How a user stands to a thread.

    Args:
        room_id: the room.
        root_id: the event that the thread begins with.
        subscribed: whether they follow it; otherwise they did once.
        automatic: whether their client began to follow it by itself.
        position: when that became so, in the stream.
    """

    room_id: str
    root_id: str
    subscribed: bool
    automatic: bool
    position: int


def _row(row: tuple[object, ...]) -> Subscription:
    room_id, root_id, subscribed, automatic, position = row
    return Subscription(str(room_id), str(root_id), bool(subscribed), bool(automatic), int(str(position)))


def find(reads: Reads, user_id: str, room_id: str, root_id: str) -> Subscription | None:
    """How a user stands to a thread; None where they never followed it."""
    rows = reads.read(
        "SELECT room_id, root_id, subscribed, automatic, position FROM thread_subscriptions"
        " WHERE user_id = ? AND room_id = ? AND root_id = ?",
        (user_id, room_id, root_id),
    )
    return _row(rows[0]) if rows else None


def put(tx: Tx, user_id: str, room_id: str, root_id: str, *, subscribed: bool, automatic: bool) -> int:
    """Note how a user stands to a thread now; answers the position of that in the stream."""
    position = tx.position()
    tx.execute(
        "INSERT OR REPLACE INTO thread_subscriptions VALUES (?, ?, ?, ?, ?, ?)",
        (user_id, room_id, root_id, subscribed, automatic, position),
    )
    return position


def between(reads: Reads, user_id: str, after: int, upto: int, limit: int) -> list[Subscription]:
    """What changed last in ``after < position <= upto``, the latest first, so many at most."""
    rows = reads.read(
        "SELECT room_id, root_id, subscribed, automatic, position FROM thread_subscriptions"
        " WHERE user_id = ? AND position > ? AND position <= ? ORDER BY position DESC LIMIT ?",
        (user_id, after, upto, limit),
    )
    return [_row(row) for row in rows]


def followers(reads: Reads, room_id: str, root_id: str) -> dict[str, bool]:
    """Those who follow a thread or did so once, and whether they do."""
    rows = reads.read(
        "SELECT user_id, subscribed FROM thread_subscriptions WHERE room_id = ? AND root_id = ?", (room_id, root_id)
    )
    return {user_id: bool(subscribed) for user_id, subscribed in rows}
