"""Where the history of a room has holes: events that others name as parents and that are not here."""

from collections.abc import Iterable

from appliance.storage.database import Reads, Tx


def note(tx: Tx, room_nid: int, event_nid: int, ordering: int, position: int, missing: Iterable[str]) -> None:
    """Note that an event of the timeline stands on events that have no place in it.

    Args:
        tx: the unit.
        room_nid: the room.
        event_nid: the event.
        ordering: its place in the history.
        position: its place in the stream.
        missing: the ids of those of its parents that have no place.
    """
    for event_id in missing:
        tx.execute("INSERT INTO backward_extremities VALUES (?,?,?)", (room_nid, event_id, event_nid))
    tx.execute("INSERT INTO gaps VALUES (?,?,?,?)", (room_nid, event_nid, ordering, position))


def fill(tx: Tx, room_nid: int, event_id: str) -> None:
    """Note that an event has its place now; where it was the last one missing before another, the hole is closed."""
    above = tx.execute(
        "DELETE FROM backward_extremities WHERE room_nid = ? AND missing_event_id = ? RETURNING event_nid",
        (room_nid, event_id),
    )
    for (nid,) in above:
        tx.execute(
            "DELETE FROM gaps WHERE room_nid = ?1 AND event_nid = ?2 AND NOT EXISTS"
            " (SELECT 1 FROM backward_extremities WHERE room_nid = ?1 AND event_nid = ?2)",
            (room_nid, nid),
        )


def is_missing(database: Reads, room_nid: int, event_id: str) -> bool:
    """Whether an event of the timeline stands on this one, which has no place in it."""
    return bool(
        database.read(
            "SELECT 1 FROM backward_extremities WHERE room_nid = ? AND missing_event_id = ? LIMIT 1",
            (room_nid, event_id),
        )
    )


def missing(database: Reads, room_nid: int) -> list[str]:
    """The ids of the events at which the history of a room breaks off."""
    rows = database.read("SELECT DISTINCT missing_event_id FROM backward_extremities WHERE room_nid = ?", (room_nid,))
    return [row[0] for row in rows]


def of_room(database: Reads, room_nid: int) -> list[tuple[int, int]]:
    """(ordering, position) of every event of a room before which there is a hole, the first first."""
    return database.read(
        "SELECT ordering, position FROM gaps WHERE room_nid = ? ORDER BY ordering, position", (room_nid,)
    )
