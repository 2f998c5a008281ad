"""Events, their edges and the ends of the graph, as rows.

An event's JSON is its canonical federation form without ``unsigned``; everything else in its row is there to find it.
"""

import struct
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

from appliance.storage.database import Reads, Tx

PARENT, AUTH = 0, 1
"""Kinds of edges. What an event names as allowing it is packed in its own row; only older ones have edges of that."""
_COLUMNS = (
    "e.event_nid, e.event_id, e.room_nid, e.ordering, e.position, e.rejected, e.soft_failed, e.outlier,"
    " e.apart, e.replaces_nid, e.json"
)
_BY_ORDERING = "INDEXED BY events_by_ordering"
"""Said, not left to the planner: by the index over positions it would sort a whole room to find one event."""
_CHUNK = 500
"""Parameters in one statement: SQLite's own limit is far above, but a statement is prepared once for each number."""


class EventRow(Struct, frozen=True):
    """One stored event.

    Args:
        nid: its number.
        position: its place in the stream; None for an outlier, negative for what was fetched from the past.
        ordering: its place in the history of its room, ties broken by position.
        apart: whether the state before it is not the room's current state at its position.
        replaces_nid: the event whose place in the state it took.
        json: canonical federation form.
    """

    nid: int
    event_id: str
    room_nid: int
    ordering: int
    position: int | None
    rejected: int
    soft_failed: int
    outlier: int
    apart: int
    replaces_nid: int | None
    json: bytes


class NewEvent(Struct, frozen=True):
    """An event about to be stored; the position comes from the writer.

    Args:
        plain: membership and ``origin_server_ts`` of a membership of which the authorisation rules ask for no more.
    """

    nid: int
    event_id: str
    room_nid: int
    type: str
    state_key: str | None
    sender: str
    ordering: int
    json: bytes
    parents: tuple[int, ...]
    auth: tuple[int, ...]
    replaces_nid: int | None = None
    rejected: bool = False
    soft_failed: bool = False
    outlier: bool = False
    apart: bool = False
    plain: tuple[str | None, int | None] = (None, None)


def insert(tx: Tx, event: NewEvent, position: int | None) -> None:
    """Store an event with its edges. One that is there as an outlier gets its place, and the form that is given now;
    nothing else may be there.
    """
    tx.execute(
        "INSERT INTO events (event_nid, event_id, room_nid, type, state_key, sender, ordering, position, rejected,"
        " soft_failed, outlier, apart, replaces_nid, json, auth, membership, origin_server_ts)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT (event_nid) DO UPDATE SET ordering = excluded.ordering, position = excluded.position,"
        " rejected = excluded.rejected, soft_failed = excluded.soft_failed, outlier = excluded.outlier,"
        " apart = excluded.apart, replaces_nid = excluded.replaces_nid, json = excluded.json, auth = excluded.auth"
        " WHERE events.outlier = 1",
        (
            event.nid,
            event.event_id,
            event.room_nid,
            event.type,
            event.state_key,
            event.sender,
            event.ordering,
            position,
            event.rejected,
            event.soft_failed,
            event.outlier,
            event.apart,
            event.replaces_nid,
            event.json,
            pack_auth(event.auth),
            *event.plain,
        ),
    )
    edges = [(event.nid, PARENT, other) for other in event.parents]
    tx.execute_many("INSERT OR IGNORE INTO edges VALUES (?,?,?)", edges)


def insert_outliers(tx: Tx, events: Sequence[NewEvent]) -> None:
    """Store many events without places in the graph, and so without parents, none of which is here."""
    tx.execute_many(
        "INSERT INTO events (event_nid, event_id, room_nid, type, state_key, sender, ordering, rejected, outlier, json,"
        " auth, membership, origin_server_ts) VALUES (?,?,?,?,?,?,?,?,1,?,?,?,?)",
        (
            (
                one.nid,
                one.event_id,
                one.room_nid,
                one.type,
                one.state_key,
                one.sender,
                one.ordering,
                one.rejected,
                one.json,
                pack_auth(one.auth),
                *one.plain,
            )
            for one in events
        ),
    )


def pack_auth(nids: Iterable[int]) -> bytes:
    """Numbers of events as bytes: in rising order, each once, eight bytes each, little-endian."""
    numbers = sorted(set(nids))
    return struct.pack(f"<{len(numbers)}q", *numbers)


def unpack_auth(packed: bytes) -> tuple[int, ...]:
    """The numbers that were packed."""
    return _unpacker(len(packed) // 8)(packed)


def unpack_auths(packed: Sequence[bytes]) -> list[Sequence[int]]:
    """The same for many at once: mostly they are equally many."""
    if len(set(map(len, packed))) == 1 and packed[0]:
        return list(struct.iter_unpack(f"<{len(packed[0]) // 8}q", b"".join(packed)))
    return [unpack_auth(one) for one in packed]


@lru_cache(64)
def _unpacker(count: int) -> Callable[[bytes], tuple[int, ...]]:
    return struct.Struct(f"<{count}q").unpack


def by_id(database: Reads, event_id: str) -> EventRow | None:
    """The event of that id, or None."""
    rows = database.read(f"SELECT {_COLUMNS} FROM events e WHERE e.event_id = ?", (event_id,))
    return EventRow(*rows[0]) if rows else None


def by_nids(database: Reads, nids: Iterable[int]) -> dict[int, EventRow]:
    """The events of those numbers; unknown numbers are left out."""
    wanted = list(nids)
    found: dict[int, EventRow] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        for row in database.read(f"SELECT {_COLUMNS} FROM events e WHERE e.event_nid IN ({marks})", chunk):
            found[row[0]] = EventRow(*row)
    return found


def by_ids(database: Reads, event_ids: Sequence[str]) -> dict[str, EventRow]:
    """The events of those ids, any number of them; unknown ones are left out."""
    found: dict[str, EventRow] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        for row in database.read(f"SELECT {_COLUMNS} FROM events e WHERE e.event_id IN ({marks})", chunk):
            found[row[1]] = EventRow(*row)
    return found


def nids_of(database: Reads, event_ids: Sequence[str]) -> dict[str, int]:
    """The numbers of those of the events that we have, any number of them."""
    found: dict[str, int] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        found.update(database.read(f"SELECT event_id, event_nid FROM events WHERE event_id IN ({marks})", chunk))
    return found


def slots_by_ids(reads: Reads, event_ids: Sequence[str]) -> dict[str, tuple[int, int, tuple[str, str] | None, bool]]:
    """(number, number of the room, place in the state, whether it was rejected) of those events that are here, by their
    ids; the place is None where they are no state.
    """
    found: dict[str, tuple[int, int, tuple[str, str] | None, bool]] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        for event_id, nid, room_nid, event_type, key, rejected in reads.read(
            f"SELECT event_id, event_nid, room_nid, type, state_key, rejected FROM events WHERE event_id IN ({marks})",
            chunk,
        ):
            found[event_id] = nid, room_nid, None if key is None else (sys.intern(event_type), key), bool(rejected)
    return found


def redactions_of(database: Reads, event_ids: Sequence[str]) -> dict[str, int]:
    """For each of those events that was redacted, the number of the redaction that did it first."""
    found: dict[str, int] = {}
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows = database.read(
            f"SELECT target_event_id, MIN(redaction_nid) FROM redactions WHERE target_event_id IN ({marks})"
            " AND applied = 1 GROUP BY target_event_id",
            chunk,
        )
        found.update(rows)
    return found


def parents_aside(database: Reads, nid: int) -> list[tuple[int, bool]]:
    """The numbers of an event's parents, and for each whether it was kept aside: rejected or soft-failed."""
    rows = database.read(
        "SELECT p.event_nid, p.rejected OR p.soft_failed FROM edges d JOIN events p ON p.event_nid = d.other_nid"
        " WHERE d.event_nid = ? AND d.kind = ?",
        (nid, PARENT),
    )
    return [(parent, bool(aside)) for parent, aside in rows]


# Pages of a timeline ----------------------------------------------------------------------------------------------


def page_back(database: Reads, room_nid: int, ordering: int, position: int, upto: int, limit: int) -> list[EventRow]:
    """Events at or before a point of the history, latest first, by (ordering, position).

    Args:
        database: where to read.
        room_nid: the room.
        ordering: the point's ordering.
        position: the point's position.
        upto: the published position; what is above is not there yet.
        limit: how many at most.
    """
    rows = database.read(
        f"SELECT {_COLUMNS} FROM events e {_BY_ORDERING} WHERE e.room_nid = ? AND e.position IS NOT NULL"
        " AND (e.ordering, e.position) <= (?, ?) AND e.position <= ? AND e.rejected = 0 AND e.soft_failed = 0"
        " ORDER BY e.ordering DESC, e.position DESC LIMIT ?",
        (room_nid, ordering, position, upto, limit),
    )
    return [EventRow(*row) for row in rows]


def page_forward(database: Reads, room_nid: int, ordering: int, position: int, upto: int, limit: int) -> list[EventRow]:
    """Events after a point of the history, earliest first; arguments as ``page_back``."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM events e {_BY_ORDERING} WHERE e.room_nid = ? AND e.position IS NOT NULL"
        " AND (e.ordering, e.position) > (?, ?) AND e.position <= ? AND e.rejected = 0 AND e.soft_failed = 0"
        " ORDER BY e.ordering, e.position LIMIT ?",
        (room_nid, ordering, position, upto, limit),
    )
    return [EventRow(*row) for row in rows]


def page_arrived(database: Reads, room_nid: int, since: int, upto: int, limit: int) -> list[EventRow]:
    """The latest events of a room that arrived after ``since`` and not after ``upto``, latest first."""
    rows = database.read(
        f"SELECT {_COLUMNS} FROM events e WHERE e.room_nid = ? AND e.position > ? AND e.position <= ?"
        " AND e.rejected = 0 AND e.soft_failed = 0 ORDER BY e.position DESC LIMIT ?",
        (room_nid, since, upto, limit),
    )
    return [EventRow(*row) for row in rows]


def latest_point(database: Reads, room_nid: int, upto: int) -> tuple[int, int]:
    """(ordering, position) of the last event of a room's history among those that had arrived by ``upto``."""
    rows = database.read(
        f"SELECT ordering, position FROM events {_BY_ORDERING}"
        " WHERE room_nid = ? AND position IS NOT NULL AND position <= ?"
        " AND rejected = 0 AND soft_failed = 0 ORDER BY ordering DESC, position DESC LIMIT 1",
        (room_nid, upto),
    )
    return rows[0] if rows else (0, 0)


def last_points(database: Reads, room_nid: int, upto: int, most: int) -> list[tuple[int, int, int]]:
    """(ordering, position, number) of the last events of a room's history among those that had arrived by ``upto``, the
    latest first.
    """
    return database.read(
        f"SELECT ordering, position, event_nid FROM events {_BY_ORDERING}"
        " WHERE room_nid = ? AND position IS NOT NULL AND position <= ?"
        " AND rejected = 0 AND soft_failed = 0 ORDER BY ordering DESC, position DESC LIMIT ?",
        (room_nid, upto, most),
    )


# The ends of the graph --------------------------------------------------------------------------------------------


def move_extremities(tx: Tx, room_nid: int, gone: Collection[int], nid: int | None) -> None:
    """Some events are no ends of their room's graph any more; another one, if it is given, has become such."""
    if nid is not None and len(gone) == 1:
        tx.execute(
            "UPDATE forward_extremities SET event_nid = ? WHERE room_nid = ? AND event_nid = ?", (nid, room_nid, *gone)
        )
        return
    for one in gone:
        tx.execute("DELETE FROM forward_extremities WHERE room_nid = ? AND event_nid = ?", (room_nid, one))
    if nid is not None:
        tx.execute("INSERT INTO forward_extremities VALUES (?,?)", (room_nid, nid))


def extremities(database: Reads, room_nid: int) -> list[tuple[int, str, int]]:
    """(number, event id, ordering) of each end of a room's graph, the highest first."""
    return database.read(
        "SELECT e.event_nid, e.event_id, e.ordering FROM forward_extremities f JOIN events e USING (event_nid)"
        " WHERE f.room_nid = ? ORDER BY e.ordering DESC, e.event_nid DESC",
        (room_nid,),
    )


def replace_json(tx: Tx, nid: int, json: bytes) -> None:
    """Put an event's redacted form in the place of its original."""
    tx.execute("UPDATE events SET json = ? WHERE event_nid = ?", (json, nid))


def keep_original(tx: Tx, nid: int, now_ms: int) -> None:
    """Copy an event's JSON as it stands to the originals, unless one is there; for before its redaction."""
    tx.execute(
        "INSERT OR IGNORE INTO redacted_originals SELECT event_nid, ?, json FROM events WHERE event_nid = ?",
        (now_ms, nid),
    )


def note_redaction(tx: Tx, target_event_id: str, redaction_nid: int, applied: bool) -> None:
    """Remember which event a redaction names, and whether it was carried out or waits for its target."""
    tx.execute(
        "INSERT OR REPLACE INTO redactions (target_event_id, redaction_nid, applied) VALUES (?,?,?)",
        (target_event_id, redaction_nid, applied),
    )


def arrive_late(tx: Tx, nid: int, timestamp: int) -> None:
    """Let an event that nobody was shown until now arrive at this moment, so that syncs tell it; its place in the
    history stays. It is judged by the states around it from now on, not by the room's at its position. One of the past
    stays where it is.

    Args:
        tx: the unit.
        nid: the event.
        timestamp: its ``origin_server_ts``.
    """
    ((room_nid, before),) = tx.execute("SELECT room_nid, position FROM events WHERE event_nid = ?", (nid,))
    if before is None or before < 0:
        return
    now = tx.position()
    tx.execute("UPDATE events SET position = ?, apart = 1 WHERE event_nid = ?", (now, nid))
    tx.execute("UPDATE gaps SET position = ? WHERE room_nid = ? AND event_nid = ?", (now, room_nid, nid))
    tx.execute(
        "UPDATE event_times SET position = ? WHERE room_nid = ? AND timestamp = ? AND position = ?",
        (now, room_nid, timestamp, before),
    )


def was_carried_out(database: Reads, redaction_nid: int) -> bool:
    """Whether a redaction was applied to its target."""
    return bool(database.read("SELECT 1 FROM redactions WHERE redaction_nid = ? AND applied = 1", (redaction_nid,)))


def does_any_redaction_wait(database: Reads) -> bool:
    """Whether any redaction came before its target, which is not here yet. Looks through all: ask once."""
    return bool(database.read("SELECT 1 FROM redactions WHERE applied = 0 LIMIT 1"))


def pending_redactions(database: Reads, target_event_id: str) -> list[int]:
    """The numbers of the redactions that came before their target."""
    rows = database.read(
        "SELECT redaction_nid FROM redactions WHERE target_event_id = ? AND applied = 0 ORDER BY redaction_nid",
        (target_event_id,),
    )
    return [row[0] for row in rows]
