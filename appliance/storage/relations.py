"""Which event relates to which, as rows: children in their order, the last edits, threads and who is in them.

A row is there as long as its child has the content that says so: a redaction takes it away.
"""

import json
from collections.abc import Iterable, Sequence

from msgspec import Struct

from appliance.protocol.relations import ANNOTATION, REFERENCE, THREAD
from appliance.storage.database import Reads, Tx
from appliance.storage.tokens import HistoryToken

DEEPEST = 3
"""How far ``tree`` follows relations (client-server API, ``recurse``)."""


class NewRelation(Struct, frozen=True):
    """A child about to be stored.

    Args:
        room_nid: the room of both.
        parent_id: the id of the event that it relates to.
        child_nid: its number.
        child_id: its id.
        rel_type: the kind of relation.
        type: the child's type.
        sender: the child's sender.
        timestamp: the child's ``origin_server_ts``.
        ordering: the child's place in the history.
        key: what an annotation says.
        replaces: whether the child may replace its parent, as far as it alone shows.
        in_thread: whether the child belongs to a thread that its parent is the root of.
    """

    room_nid: int
    parent_id: str
    child_nid: int
    child_id: str
    rel_type: str
    type: str
    sender: str
    timestamp: int
    ordering: int
    key: str | None
    replaces: bool
    in_thread: bool


class Child(Struct, frozen=True):
    """A child as it is paged: its place in the history, its number."""

    ordering: int
    position: int
    nid: int


class ThreadRow(Struct, frozen=True):
    """A thread: its root, how many events are in it, the place and the number of the last one."""

    root_id: str
    count: int
    ordering: int
    position: int
    latest_nid: int


# Writing ----------------------------------------------------------------------------------------------------------


def insert(tx: Tx, new: NewRelation, position: int) -> None:
    """Store a child with what follows from it."""
    tx.execute(
        "INSERT OR IGNORE INTO relations VALUES (?,?,?,?,?,?,?,?,?)",
        (
            new.room_nid,
            new.parent_id,
            new.ordering,
            position,
            new.child_nid,
            new.rel_type,
            new.type,
            new.sender,
            new.key,
        ),
    )
    if new.replaces:
        tx.execute(
            "INSERT OR IGNORE INTO edits VALUES (?,?,?,?,?,?,?)",
            (new.room_nid, new.parent_id, new.sender, new.type, new.timestamp, new.child_id, new.child_nid),
        )
    if new.in_thread:
        tx.execute(
            "INSERT INTO threads VALUES (?,?,1,?,?,?) ON CONFLICT DO UPDATE SET count = count + 1,"
            " latest_nid = CASE WHEN (excluded.ordering, excluded.position) > (ordering, position)"
            " THEN excluded.latest_nid ELSE latest_nid END,"
            " position = CASE WHEN (excluded.ordering, excluded.position) > (ordering, position)"
            " THEN excluded.position ELSE position END, ordering = MAX(ordering, excluded.ordering)",
            (new.room_nid, new.parent_id, new.ordering, position, new.child_nid),
        )
        tx.execute(
            "INSERT INTO thread_senders VALUES (?,?,?,1) ON CONFLICT DO UPDATE SET count = count + 1",
            (new.room_nid, new.parent_id, new.sender),
        )


def remove(tx: Tx, room_nid: int, parent_id: str, child_nid: int) -> None:
    """Take a child away, with what followed from it; nothing happens where it is not there."""
    removed = tx.execute(
        "DELETE FROM relations WHERE room_nid = ? AND parent_id = ? AND child_nid = ? RETURNING rel_type, sender",
        (room_nid, parent_id, child_nid),
    )
    tx.execute(
        "DELETE FROM edits WHERE room_nid = ? AND parent_id = ? AND child_nid = ?", (room_nid, parent_id, child_nid)
    )
    for rel_type, sender in removed:
        if rel_type == THREAD:
            _shorten(tx, room_nid, parent_id, sender)


def _shorten(tx: Tx, room_nid: int, root_id: str, sender: str) -> None:
    """Bring a thread to what it is after it lost an event of a sender."""
    key = (room_nid, root_id, sender)
    tx.execute("UPDATE thread_senders SET count = count - 1 WHERE room_nid = ? AND root_id = ? AND sender = ?", key)
    tx.execute("DELETE FROM thread_senders WHERE room_nid = ? AND root_id = ? AND sender = ? AND count <= 0", key)
    last = tx.execute(
        "SELECT ordering, position, child_nid FROM relations WHERE room_nid = ? AND parent_id = ? AND rel_type = ?"
        " ORDER BY ordering DESC, position DESC LIMIT 1",
        (room_nid, root_id, THREAD),
    )
    if last:
        tx.execute(
            "UPDATE threads SET count = count - 1, ordering = ?, position = ?, latest_nid = ?"
            " WHERE room_nid = ? AND root_id = ?",
            (*last[0], room_nid, root_id),
        )
    else:
        tx.execute("DELETE FROM threads WHERE room_nid = ? AND root_id = ?", (room_nid, root_id))


# What is to be told of a parent -----------------------------------------------------------------------------------


def parents_among(database: Reads, room_nid: int, event_ids: Sequence[str]) -> list[str]:
    """Those of the events to which others relate."""
    rows = database.read(
        "SELECT p.value FROM json_each(?) p WHERE EXISTS"
        " (SELECT 1 FROM relations r WHERE r.room_nid = ? AND r.parent_id = p.value)",
        (json.dumps(event_ids), room_nid),
    )
    return [row[0] for row in rows]


def related_to(
    database: Reads,
    room_nid: int,
    event_ids: Sequence[str],
    rel_types: Sequence[str] | None,
    senders: Sequence[str] | None,
) -> set[str]:
    """Those of the events to which others relate in one of the ways, and of one of the senders; None allows all."""
    rows = database.read(
        "SELECT p.value FROM json_each(?1) p WHERE EXISTS (SELECT 1 FROM relations r WHERE r.room_nid = ?2"
        " AND r.parent_id = p.value AND (?3 IS NULL OR r.rel_type IN (SELECT value FROM json_each(?3)))"
        " AND (?4 IS NULL OR r.sender IN (SELECT value FROM json_each(?4))))",
        (
            json.dumps(event_ids),
            room_nid,
            None if rel_types is None else json.dumps(rel_types),
            None if senders is None else json.dumps(senders),
        ),
    )
    return {row[0] for row in rows}


def last_edits(database: Reads, room_nid: int, parent_id: str, sender: str, type_: str, limit: int) -> list[int]:
    """The numbers of the last edits of an event that has that sender and type, the last first."""
    rows = database.read(
        "SELECT child_nid FROM edits WHERE room_nid = ? AND parent_id = ? AND sender = ? AND type = ?"
        " ORDER BY timestamp DESC, child_id DESC LIMIT ?",
        (room_nid, parent_id, sender, type_, limit),
    )
    return [row[0] for row in rows]


def references(database: Reads, room_nid: int, parent_id: str, limit: int) -> list[int]:
    """The numbers of the events that refer to an event, the first first."""
    rows = database.read(
        f"SELECT child_nid FROM relations WHERE room_nid = ? AND parent_id = ? AND rel_type = '{REFERENCE}'"
        " ORDER BY ordering, position LIMIT ?",
        (room_nid, parent_id, limit),
    )
    return [row[0] for row in rows]


def thread(database: Reads, room_nid: int, root_id: str) -> ThreadRow | None:
    """The thread with that root, None where there is none."""
    rows = database.read(
        "SELECT root_id, count, ordering, position, latest_nid FROM threads WHERE room_nid = ? AND root_id = ?",
        (room_nid, root_id),
    )
    return ThreadRow(*rows[0]) if rows else None


def thread_senders(database: Reads, room_nid: int, root_id: str, limit: int) -> dict[str, int]:
    """How many events each sender has in a thread, for at most so many senders."""
    rows = database.read(
        "SELECT sender, count FROM thread_senders WHERE room_nid = ? AND root_id = ? LIMIT ?",
        (room_nid, root_id, limit),
    )
    return dict(rows)


def in_thread(database: Reads, room_nid: int, root_id: str, senders: Iterable[str]) -> dict[str, int]:
    """How many events each of those senders has in a thread, without those who have none."""
    rows = database.read(
        "SELECT sender, count FROM thread_senders WHERE room_nid = ? AND root_id = ?"
        " AND sender IN (SELECT value FROM json_each(?))",
        (room_nid, root_id, json.dumps(list(senders))),
    )
    return dict(rows)


def has_annotated(database: Reads, room_nid: int, parent_id: str, sender: str, type_: str, key: str) -> bool:
    """Whether somebody annotated an event in that way already."""
    return bool(
        database.read(
            f"SELECT 1 FROM relations WHERE rel_type = '{ANNOTATION}' AND room_nid = ? AND parent_id = ? AND sender = ?"
            " AND type = ? AND key = ? LIMIT 1",
            (room_nid, parent_id, sender, type_, key),
        )
    )


# Pages ------------------------------------------------------------------------------------------------------------


def children(
    database: Reads,
    room_nid: int,
    parent_id: str,
    point: HistoryToken,
    limit: int,
    *,
    backwards: bool,
    rel_type: str | None = None,
    type_: str | None = None,
) -> list[Child]:
    """Events that relate to one, from a point of the history on.

    Args:
        database: where to read.
        room_nid: the room.
        parent_id: the event.
        point: backwards what is at or before it, forwards what is after it.
        limit: how many at most.
        backwards: towards the past.
        rel_type: the kind of relation; None for all.
        type_: the type of the children; None for all.
    """
    compare, order = ("<=", "DESC") if backwards else (">", "ASC")
    rows = database.read(
        "SELECT ordering, position, child_nid FROM relations"
        f" WHERE room_nid = ? AND parent_id = ? AND (ordering, position) {compare} (?, ?)"
        " AND (?5 IS NULL OR rel_type = ?5) AND (?6 IS NULL OR type = ?6)"
        f" ORDER BY ordering {order}, position {order} LIMIT ?",
        (room_nid, parent_id, point.ordering, point.position, rel_type, type_, limit),
    )
    return [Child(*row) for row in rows]


def tree(
    database: Reads, room_nid: int, parent_id: str, most: int, rel_type: str | None = None, type_: str | None = None
) -> list[Child]:
    """Events that relate to one directly or by others, in the order of the history.

    Args:
        database: where to read, off the loop.
        room_nid: the room.
        parent_id: the event.
        most: how many are looked at; what is beyond is passed over.
        rel_type: the kind of relation of those that are wanted, whatever leads to them; None for all.
        type_: the type of those that are wanted; None for all.
    """
    rows = database.read(
        "WITH RECURSIVE found (ordering, position, nid, rel_type, type, depth) AS ("
        " SELECT ordering, position, child_nid, rel_type, type, 1 FROM relations WHERE room_nid = ?1 AND parent_id = ?2"
        " UNION"
        " SELECT r.ordering, r.position, r.child_nid, r.rel_type, r.type, f.depth + 1 FROM found f"
        " JOIN events e ON e.event_nid = f.nid JOIN relations r ON r.room_nid = ?1 AND r.parent_id = e.event_id"
        " WHERE f.depth < ?3 LIMIT ?4)"
        " SELECT DISTINCT ordering, position, nid FROM found"
        " WHERE (?5 IS NULL OR rel_type = ?5) AND (?6 IS NULL OR type = ?6) ORDER BY ordering, position",
        (room_nid, parent_id, DEEPEST, most, rel_type, type_),
    )
    return [Child(*row) for row in rows]


def threads_before(
    database: Reads, room_nid: int, point: HistoryToken, limit: int, participant: str | None = None
) -> list[ThreadRow]:
    """The threads whose last event is at or before a point of the history, the latest first.

    Args:
        database: where to read, off the loop where a participant is given.
        room_nid: the room.
        point: the point.
        limit: how many at most.
        participant: only threads in which that user said something, or whose root is theirs.
    """
    rows = database.read(
        "SELECT t.root_id, t.count, t.ordering, t.position, t.latest_nid FROM threads t"
        " WHERE t.room_nid = ?1 AND (t.ordering, t.position) <= (?2, ?3) AND (?4 IS NULL"
        " OR EXISTS (SELECT 1 FROM thread_senders s WHERE s.room_nid = ?1 AND s.root_id = t.root_id AND s.sender = ?4)"
        " OR EXISTS (SELECT 1 FROM events e WHERE e.event_id = t.root_id AND e.sender = ?4))"
        " ORDER BY t.ordering DESC, t.position DESC LIMIT ?5",
        (room_nid, point.ordering, point.position, participant, limit),
    )
    return [ThreadRow(*row) for row in rows]
