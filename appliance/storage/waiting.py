"""Events that wait for others which they name and which are not here yet.

Bounded for each room and for each server that sent them: what is beyond pushes out the oldest of its own.
"""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class WaitingEvent(Struct, frozen=True):
    """An event as it was received.

    Args:
        event_id: its id.
        room_id: the room that it says it belongs to.
        origin: the server that sent it.
        received_ts: when, milliseconds since 1970.
        json: the event.
    """

    event_id: str
    room_id: str
    origin: str
    received_ts: int
    json: bytes


_COLUMNS = "w.event_id, w.room_id, w.origin, w.received_ts, w.json"


def put(tx: Tx, event: WaitingEvent, missing: Iterable[str], most_of_room: int, most_of_origin: int) -> None:
    """Let an event wait.

    Args:
        tx: the unit.
        event: the event.
        missing: the ids of the events that it waits for.
        most_of_room: how many may wait in one room.
        most_of_origin: how many of one server's may wait.
    """
    tx.execute(
        "INSERT OR REPLACE INTO waiting_events VALUES (?,?,?,?,?)",
        (event.event_id, event.room_id, event.origin, event.received_ts, event.json),
    )
    wait_for(tx, event.event_id, missing)
    for column, value, most in (("room_id", event.room_id, most_of_room), ("origin", event.origin, most_of_origin)):
        oldest = tx.execute(
            f"SELECT event_id FROM waiting_events WHERE {column} = ?"
            " ORDER BY received_ts DESC, event_id LIMIT -1 OFFSET ?",
            (value, most),
        )
        for (event_id,) in oldest:
            remove(tx, event_id)


def wait_for(tx: Tx, event_id: str, missing: Iterable[str]) -> None:
    """Let an event that waits wait for these, and for nothing else."""
    tx.execute("DELETE FROM waiting_for WHERE event_id = ?", (event_id,))
    for missing_id in missing:
        tx.execute("INSERT OR IGNORE INTO waiting_for VALUES (?,?)", (missing_id, event_id))


def remove(tx: Tx, event_id: str) -> None:
    """Let an event wait no longer."""
    tx.execute("DELETE FROM waiting_events WHERE event_id = ?", (event_id,))
    tx.execute("DELETE FROM waiting_for WHERE event_id = ?", (event_id,))


def waiting_for(database: Reads, event_id: str) -> list[WaitingEvent]:
    """The events that wait for one, and perhaps for others too."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM waiting_for f JOIN waiting_events w USING (event_id) WHERE f.missing_event_id = ?"
        " ORDER BY w.received_ts, w.event_id",
        (event_id,),
    )
    return [WaitingEvent(*row) for row in rows]


def due(database: Reads, after: str, limit: int) -> list[WaitingEvent]:
    """Events that wait for something that is here by now, in the order of their ids after one of them."""
    rows = database.read(
        f"SELECT DISTINCT {_COLUMNS} FROM waiting_events w JOIN waiting_for f USING (event_id)"
        " JOIN events e ON e.event_id = f.missing_event_id WHERE w.event_id > ? ORDER BY w.event_id LIMIT ?",
        (after, limit),
    )
    return [WaitingEvent(*row) for row in rows]


def drop_older(tx: Tx, before_ts: int, limit: int) -> int:
    """Drop events that waited since before a time, so many at most; answers how many."""
    old = tx.execute("SELECT event_id FROM waiting_events WHERE received_ts < ? LIMIT ?", (before_ts, limit))
    for (event_id,) in old:
        remove(tx, event_id)
    return len(old)
