"""Events that wait for others which they name and which are not here yet; or for keys with which to check them.

What was left out of a room's state for want of keys waits here, too, with a second mark that says so.

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
_LEFT_OUT, _BESIDE = "left out of the state", "left out beside the state"
"""What an event that was left out waits for as well: one of the state, and one that only allows others."""
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
        " WHERE w.room_id = ? AND f.missing_event_id >= '$' AND f.missing_event_id < '%' AND NOT EXISTS"
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


def servers_wanted(database: Reads) -> list[tuple[str, str]]:
    """The servers for whose keys events wait, each with the one that sent the event that has waited longest."""
    rows = database.read(
        "SELECT f.missing_event_id, w.origin, min(w.received_ts) FROM waiting_for f JOIN waiting_events w USING"
        f" (event_id) WHERE {_FOR_KEYS} GROUP BY f.missing_event_id ORDER BY 3"
    )
    return [(mark.removeprefix(_KEYS), origin) for mark, origin, _ in rows]


# What was left out ---------------------------------------------------------------------------------------------------


class LeftOut(Struct, frozen=True):
    """An event of a room's state, or one that allows others, which could not be checked when the room was taken in.

    Args:
        event_id: its id.
        server: without whose keys.
        in_state: whether it is of the state.
        json: the event as it was received.
    """

    event_id: str
    server: str
    in_state: bool
    json: bytes


def put_left_out(
    tx: Tx, room_id: str, events: Iterable[LeftOut], now_ms: int, most_of_room: int, most_of_origin: int, *, anew: bool
) -> None:
    """Keep what was left out of a state that was told of a room.

    Args:
        tx: the unit.
        room_id: the room.
        events: what was left out; what waits already is passed over.
        now_ms: the time, milliseconds since 1970.
        most_of_room: how many of a room may be kept.
        most_of_origin: how many events of one server may wait; those whose keys are lacking count as theirs.
        anew: whether the room is taken in as it was told, so that what was left out of it before does not matter.
    """
    before = tx.execute(
        "SELECT w.event_id FROM waiting_events w JOIN waiting_for f USING (event_id)"
        " WHERE w.room_id = ? AND f.missing_event_id IN (?,?)",
        (room_id, _LEFT_OUT, _BESIDE),
    )
    for (event_id,) in before if anew else ():
        remove(tx, event_id)
    room = most_of_room - (0 if anew else len(before))
    left: dict[str, int] = {}
    for one in events:
        if one.server not in left:
            left[one.server] = most_of_origin - _count(tx, "origin", one.server)
        if room <= 0 or left[one.server] <= 0 or by_id(tx, one.event_id) is not None:
            continue
        room -= 1
        left[one.server] -= 1
        tx.execute(
            "INSERT INTO waiting_events (event_id, room_id, origin, received_ts, json) VALUES (?,?,?,?,?)",
            (one.event_id, room_id, one.server, now_ms, one.json),
        )
        wait_for(tx, one.event_id, (keys_of(one.server), _LEFT_OUT if one.in_state else _BESIDE))


def still_left_out(tx: Tx, event_id: str, server: str) -> None:
    """Let an event that was left out wait for the keys of another server."""
    tx.execute(
        f"DELETE FROM waiting_for AS f WHERE f.event_id = ? AND {_FOR_KEYS}",
        (event_id,),
    )
    tx.execute(
        "INSERT OR IGNORE INTO waiting_for (missing_event_id, event_id) VALUES (?,?)", (keys_of(server), event_id)
    )


def is_left_out(database: Reads, event_id: str) -> bool:
    """Whether an event waits that was left out of a room."""
    return bool(
        database.read(
            "SELECT 1 FROM waiting_for WHERE event_id = ? AND missing_event_id IN (?,?)", (event_id, _LEFT_OUT, _BESIDE)
        )
    )


def rooms_without(database: Reads, server: str) -> list[str]:
    """The ids of the rooms out of which something was left for want of the keys of a server."""
    rows = database.read(
        "SELECT DISTINCT w.room_id FROM waiting_for f JOIN waiting_events w USING (event_id)"
        " JOIN waiting_for m ON m.event_id = w.event_id AND m.missing_event_id IN (?,?) WHERE f.missing_event_id = ?",
        (_LEFT_OUT, _BESIDE, keys_of(server)),
    )
    return [row[0] for row in rows]


def left_out(database: Reads, room_id: str, server: str) -> list[LeftOut]:
    """What was left out of a room for want of the keys of a server."""
    rows = database.read(
        "SELECT w.event_id, m.missing_event_id, w.json FROM waiting_for f JOIN waiting_events w USING (event_id)"
        " JOIN waiting_for m ON m.event_id = w.event_id AND m.missing_event_id IN (?,?)"
        " WHERE f.missing_event_id = ? AND w.room_id = ?",
        (_LEFT_OUT, _BESIDE, keys_of(server), room_id),
    )
    return [LeftOut(event_id, server, mark == _LEFT_OUT, json) for event_id, mark, json in rows]


def drop_older(tx: Tx, before_ts: int, limit: int) -> int:
    """Drop events that waited since before a time, so many at most; answers how many."""
    old = tx.execute("SELECT event_id FROM waiting_events WHERE received_ts < ? LIMIT ?", (before_ts, limit))
    for (event_id,) in old:
        remove(tx, event_id)
    return len(old)
