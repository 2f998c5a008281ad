"""Where the history of a room has holes: events that others name as parents and that are not here."""

from collections.abc import Iterable, Sequence

from appliance.storage.database import Reads, Tx

_CHUNK = 500
"""Ids in one statement."""


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


def pass_on(tx: Tx, room_nid: int, event_id: str, missing: Iterable[str]) -> None:
    """Note that an event came which is not shown: what stands on it has its hole where that has its own.

    Args:
        tx: the unit.
        room_nid: the room.
        event_id: the event.
        missing: the ids of what is missing before it.
    """
    for other in missing:
        tx.execute(
            "INSERT OR IGNORE INTO backward_extremities SELECT room_nid, ?3, event_nid FROM backward_extremities"
            " WHERE room_nid = ?1 AND missing_event_id = ?2",
            (room_nid, event_id, other),
        )
    fill(tx, room_nid, event_id)


def above(reads: Reads, room_nid: int, event_ids: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """For those of some ids that events of the timeline name as parents and that are missing: (ordering, number) of
    those events.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        for event_id, ordering, nid in reads.read(
            "SELECT b.missing_event_id, e.ordering, e.event_nid FROM backward_extremities b JOIN events e"
            f" USING (event_nid) WHERE b.room_nid = ? AND b.missing_event_id IN ({marks})",
            (room_nid, *chunk),
        ):
            found.setdefault(event_id, []).append((ordering, nid))
    return found


def before(reads: Reads, room_nid: int, event_nid: int) -> list[str]:
    """The ids of what is missing before an event."""
    rows = reads.read(
        "SELECT missing_event_id FROM backward_extremities WHERE room_nid = ? AND event_nid = ?", (room_nid, event_nid)
    )
    return [row[0] for row in rows]


def highest(reads: Reads, room_nid: int, upper: tuple[int, int], lower: tuple[int, int]) -> tuple[int, int, int] | None:
    """The latest event of a stretch of a room's history before which there is a hole.

    Args:
        reads: where to read.
        room_nid: the room.
        upper: (ordering, position) of the end of the stretch, which belongs to it.
        lower: the same of its beginning, which does, too.

    Returns:
        its number, ordering and position.
    """
    rows = reads.read(
        "SELECT event_nid, ordering, position FROM gaps WHERE room_nid = ? AND (ordering, position) <= (?, ?)"
        " AND (ordering, position) >= (?, ?) ORDER BY ordering DESC, position DESC LIMIT 1",
        (room_nid, *upper, *lower),
    )
    return rows[0] if rows else None


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
