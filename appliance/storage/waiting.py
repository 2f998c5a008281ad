"""Events that wait for others which they name and which are not here yet; or for keys with which to check them.

Bounded for each room and for each server that sent them. What is beyond pushes out the oldest: in a room those of the
server that has most of them there, so that a flood pushes out itself and not what others sent.
"""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Reads, Tx

_SHARE = 10
"""One in so many goes at once where there are too many, so that a flood does not cost a search for each of it."""
_READY = (
    "NOT EXISTS (SELECT 1 FROM waiting_for m WHERE m.event_id = w.event_id"
    " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = m.missing_event_id))"
)
_KEYS = "keys of "
"""What stands in place of an event's id where keys are waited for; such an id begins with $."""
_FOR_KEYS = f"f.missing_event_id >= '{_KEYS}' AND f.missing_event_id < '{_KEYS[:-1]}!'"


class WaitingEvent(Struct, frozen=True):
    """An event that waits.

    Args:
        event_id: its id.
        room_id: the room that it belongs to.
        origin: the server that sent it first.
        received_ts: when, milliseconds since 1970.
        json: the event, checked for all but what it waits for.
    """

    event_id: str
    room_id: str
    origin: str
    received_ts: int
    json: bytes


def put(tx: Tx, event: WaitingEvent, missing: Iterable[str], most_of_room: int, most_of_origin: int) -> None:
    """Let an event wait; one that waits already keeps its age and origin, and has been checked by now.

    Args:
        tx: the unit.
        event: the event.
        missing: the ids of the events that it waits for.
        most_of_room: how many may wait in one room.
        most_of_origin: how many of one server's may wait.
    """
    tx.execute(
        "INSERT INTO waiting_events (event_id, room_id, origin, received_ts, json) VALUES (?,?,?,?,?)"
        " ON CONFLICT (event_id) DO UPDATE SET json = excluded.json",
        (event.event_id, event.room_id, event.origin, event.received_ts, event.json),
    )
    wait_for(tx, event.event_id, missing)
    if _count(tx, "room_id", event.room_id) > most_of_room:
        ((origin, _),) = tx.execute(
            "SELECT origin, COUNT(*) FROM waiting_events WHERE room_id = ? GROUP BY origin ORDER BY 2 DESC, 1 LIMIT 1",
            (event.room_id,),
        )
        _push_out(tx, "room_id = ? AND origin = ?", (event.room_id, origin), most_of_room)
    if _count(tx, "origin", event.origin) > most_of_origin:
        _push_out(tx, "origin = ?", (event.origin,), most_of_origin)


def _count(tx: Tx, column: str, value: str) -> int:
    return int(tx.execute(f"SELECT COUNT(*) FROM waiting_events WHERE {column} = ?", (value,))[0][0])


def _push_out(tx: Tx, which: str, parameters: tuple[str, ...], most: int) -> None:
    oldest = tx.execute(
        f"SELECT event_id FROM waiting_events WHERE {which} ORDER BY received_ts, event_id LIMIT ?",
        (*parameters, max(1, most // _SHARE)),
    )
    for (event_id,) in oldest:
        remove(tx, event_id)


def wait_for(tx: Tx, event_id: str, missing: Iterable[str]) -> None:
    """Let an event that waits wait for these, and for nothing else."""
    tx.execute("DELETE FROM waiting_for WHERE event_id = ?", (event_id,))
    tx.execute_many(
        "INSERT OR IGNORE INTO waiting_for (missing_event_id, event_id) VALUES (?,?)",
        [(missing_id, event_id) for missing_id in missing],
    )


def remove(tx: Tx, event_id: str) -> None:
    """Let an event wait no longer."""
    tx.execute("DELETE FROM waiting_events WHERE event_id = ?", (event_id,))
    tx.execute("DELETE FROM waiting_for WHERE event_id = ?", (event_id,))


def is_any(database: Reads) -> bool:
    """Whether any event waits."""
    return bool(database.read("SELECT 1 FROM waiting_events LIMIT 1"))


def by_id(database: Reads, event_id: str) -> WaitingEvent | None:
    """The event of that id, None where it does not wait."""
    rows = database.read(
        "SELECT event_id, room_id, origin, received_ts, json FROM waiting_events WHERE event_id = ?", (event_id,)
    )
    return WaitingEvent(*rows[0]) if rows else None


def of_room(database: Reads, room_id: str, limit: int) -> list[WaitingEvent]:
    """Events of a room that wait, the latest first; so many at most."""
    rows = database.read(
        "SELECT event_id, room_id, origin, received_ts, json FROM waiting_events WHERE room_id = ?"
        " ORDER BY received_ts DESC LIMIT ?",
        (room_id, limit),
    )
    return [WaitingEvent(*row) for row in rows]


def rooms(database: Reads) -> list[tuple[str, str]]:
    """(room id, origin) of the rooms of which events wait, with a server that sent one of them."""
    return [
        (room_id, origin)
        for room_id, origin in database.read("SELECT room_id, min(origin) FROM waiting_events GROUP BY room_id")
    ]


def is_awaited(database: Reads, event_id: str) -> bool:
    """Whether any event waits for this one."""
    return bool(database.read("SELECT 1 FROM waiting_for WHERE missing_event_id = ? LIMIT 1", (event_id,)))


def ready(database: Reads, event_id: str) -> list[str]:
    """The ids of the events that wait for this one and for nothing else that is not here; the earliest first."""
    rows = database.read(
        "SELECT w.event_id FROM waiting_for f JOIN waiting_events w USING (event_id) WHERE f.missing_event_id = ?"
        f" AND {_READY} ORDER BY w.received_ts, w.event_id",
        (event_id,),
    )
    return [row[0] for row in rows]


def due(database: Reads, after: str, limit: int) -> list[str]:
    """The ids of events that wait for nothing that is not here, in the order of their ids after one of them."""
    rows = database.read(
        f"SELECT w.event_id FROM waiting_events w WHERE w.event_id > ? AND {_READY} ORDER BY w.event_id LIMIT ?",
        (after, limit),
    )
    return [row[0] for row in rows]


def missing(database: Reads, room_id: str, limit: int) -> list[str]:
    """The ids of events that others of a room wait for and that have no place in it; so many at most."""
    rows = database.read(
        "SELECT DISTINCT f.missing_event_id FROM waiting_events w JOIN waiting_for f USING (event_id)"
        f" WHERE w.room_id = ? AND NOT {_FOR_KEYS} AND NOT EXISTS"
        " (SELECT 1 FROM events e WHERE e.event_id = f.missing_event_id AND e.outlier = 0) LIMIT ?",
        (room_id, limit),
    )
    return [row[0] for row in rows]


# Keys ----------------------------------------------------------------------------------------------------------------


def keys_of(server: str) -> str:
    """What an event waits for that cannot be checked without the keys of a server."""
    return _KEYS + server


def is_unchecked(database: Reads, event_id: str) -> bool:
    """Whether an event waits for keys."""
    return bool(database.read(f"SELECT 1 FROM waiting_for f WHERE f.event_id = ? AND {_FOR_KEYS}", (event_id,)))


def unchecked_of_room(database: Reads, room_id: str) -> set[str]:
    """The ids of the events of a room that wait for keys."""
    rows = database.read(
        f"SELECT event_id FROM waiting_for f JOIN waiting_events w USING (event_id) WHERE {_FOR_KEYS}"
        " AND w.room_id = ?",
        (room_id,),
    )
    return {row[0] for row in rows}


def for_keys(database: Reads, server: str, after: str, limit: int) -> list[WaitingEvent]:
    """Events that wait for the keys of a server, in the order of their ids after one of them; so many at most."""
    rows = database.read(
        "SELECT w.event_id, w.room_id, w.origin, w.received_ts, w.json FROM waiting_for f"
        " JOIN waiting_events w USING (event_id)"
        " WHERE f.missing_event_id = ? AND f.event_id > ? ORDER BY f.event_id LIMIT ?",
        (keys_of(server), after, limit),
    )
    return [WaitingEvent(*row) for row in rows]


def servers_wanted(database: Reads) -> list[str]:
    """The servers for whose keys events wait."""
    rows = database.read(f"SELECT DISTINCT f.missing_event_id FROM waiting_for f WHERE {_FOR_KEYS}")
    return [row[0].removeprefix(_KEYS) for row in rows]


def drop_older(tx: Tx, before_ts: int, limit: int) -> int:
    """Drop events that waited since before a time, so many at most; answers how many."""
    old = tx.execute("SELECT event_id FROM waiting_events WHERE received_ts < ? LIMIT ?", (before_ts, limit))
    for (event_id,) in old:
        remove(tx, event_id)
    return len(old)
