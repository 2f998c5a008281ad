"""When events say that they were made, in an order in which one near a time is found."""

from appliance.storage.database import Reads, Tx


def insert(tx: Tx, room_nid: int, timestamp: int, position: int) -> None:
    """Note when an event of the timeline was made."""
    tx.execute("INSERT OR IGNORE INTO event_times VALUES (?,?,?)", (room_nid, timestamp, position))


def near(
    database: Reads,
    room_nid: int,
    timestamp: int,
    limit: int,
    *,
    backwards: bool,
    after: tuple[int, int] | None = None,
) -> list[tuple[int, int, int]]:
    """(time, position, number) of the events of a room nearest to a time, the nearest first.

    Args:
        database: where to read.
        room_nid: the room.
        timestamp: the time, milliseconds since 1970.
        limit: how many at most.
        backwards: whether to look before the time, the time itself included, rather than from it on.
        after: (time, position) after which to go on.
    """
    compare, beyond, order = ("<=", "<", "DESC") if backwards else (">=", ">", "ASC")
    point = after or (timestamp, 2**62 if backwards else -(2**62))
    return database.read(
        "SELECT t.timestamp, t.position, e.event_nid FROM event_times t JOIN events e ON e.position = t.position"
        f" WHERE t.room_nid = ? AND t.timestamp {compare} ? AND (t.timestamp, t.position) {beyond} (?, ?)"
        f" ORDER BY t.timestamp {order}, t.position {order} LIMIT ?",
        (room_nid, timestamp, *point, limit),
    )
