"""Taking everything that is kept of a room out of the database, slice by slice.

The first unit moves the room from ``rooms`` to ``purges``: from then on nobody finds it, and whatever happens, the rest
goes too, after a kill at the next start. Then each unit takes a bounded number of rows. Tables are emptied in an order
in which what leads to other rows goes last; running any step again does no harm.

Numbers of rows that go are never given again (``number_floors``): whatever may still remember one finds nothing rather
than something else.
"""

from collections.abc import Callable

from msgspec import Struct

from appliance.storage import search
from appliance.storage.database import Reads, Tx

ROWS = 500
"""Rows of one table that one unit takes, and what hangs on them: some milliseconds of the writer's time."""
_EVENTS = 100
"""Events that one unit takes: each has about ten rows in other tables, and a kilobyte of its own."""

_STAYS = """
SELECT 1 FROM accounts a CROSS JOIN memberships m ON m.room_nid = ?1 AND m.user_id = a.user_id
WHERE m.membership IN ('join', 'invite', 'knock')
"""


class MarkedRoom(Struct, frozen=True):
    """A room on its way out: its number, its id."""

    room_nid: int
    room_id: str


# Which rooms ------------------------------------------------------------------------------------------------------


def abandoned(reads: Reads, after_nid: int, limit: int) -> tuple[list[str], int | None]:
    """Rooms that local users were in, that all of them have left, and that none of them may read any more.

    Whoever left may read on until they forget the room; accounts that have ended read nothing. A room in which no local
    user ever was is passed over: somebody may just be joining it.

    Args:
        reads: where to read.
        after_nid: the room after which to go on looking.
        limit: how many rooms to look at.

    Returns:
        the ids of those among them, and the room after which to go on, None at the end.
    """
    rows = reads.read(
        "SELECT r.room_nid, r.room_id,"
        " EXISTS (SELECT 1 FROM accounts a CROSS JOIN memberships m"
        "  ON m.room_nid = r.room_nid AND m.user_id = a.user_id),"
        " EXISTS (SELECT 1 FROM accounts a CROSS JOIN memberships m"
        "  ON m.room_nid = r.room_nid AND m.user_id = a.user_id"
        "  WHERE m.membership IN ('join', 'invite', 'knock') OR (m.forgotten = 0 AND a.deactivated = 0))"
        " FROM rooms r WHERE r.room_nid > ? ORDER BY r.room_nid LIMIT ?",
        (after_nid, limit),
    )
    found = [room_id for _, room_id, known, wanted in rows if known and not wanted]
    return found, rows[-1][0] if len(rows) == limit else None


def is_lived_in(reads: Reads, room_nid: int) -> bool:
    """Whether a local user is in a room, invited to it, or knocks at it."""
    return bool(reads.read(_STAYS + "LIMIT 1", (room_nid,)))


def local_users(reads: Reads, room_nid: int) -> list[str]:
    """The local users who have, or had, to do with a room and did not forget it."""
    rows = reads.read(
        "SELECT m.user_id FROM accounts a CROSS JOIN memberships m ON m.room_nid = ? AND m.user_id = a.user_id"
        " WHERE m.forgotten = 0",
        (room_nid,),
    )
    return [user_id for (user_id,) in rows]


def marked(reads: Reads) -> list[MarkedRoom]:
    """The rooms that are on their way out, the first marked first."""
    rows = reads.read("SELECT room_nid, room_id FROM purges ORDER BY marked_ts, room_nid")
    return [MarkedRoom(*row) for row in rows]


def is_marked(reads: Reads, room_id: str) -> bool:
    """Whether something is still there of a room that is on its way out."""
    return bool(reads.read("SELECT 1 FROM purges WHERE room_id = ? LIMIT 1", (room_id,)))


# The mark ---------------------------------------------------------------------------------------------------------


def mark(tx: Tx, room_nid: int, now_ms: int) -> bool:
    """Take a room from those that are known; what is kept of it is to follow.

    Args:
        tx: the unit.
        room_nid: the room.
        now_ms: the time.

    Returns:
        False, and nothing changed, where a local user is in the room or invited, or there is no such room.
    """
    if is_lived_in(tx, room_nid):
        return False
    for kind, column, table in (
        ("event", "event_nid", "events"),
        ("group", "group_nid", "state_groups"),
        ("room", "room_nid", "rooms"),
    ):
        tx.execute(
            f"INSERT INTO number_floors SELECT ?, COALESCE(MAX({column}), 0) FROM {table} WHERE true"
            " ON CONFLICT (kind) DO UPDATE SET nid = MAX(nid, excluded.nid)",
            (kind,),
        )
    tx.execute(
        "INSERT INTO purges SELECT room_nid, room_id, ? FROM rooms WHERE room_nid = ? AND true", (now_ms, room_nid)
    )
    return bool(tx.execute("DELETE FROM rooms WHERE room_nid = ? RETURNING 1", (room_nid,)))


# The slices -------------------------------------------------------------------------------------------------------


def step(tx: Tx, room: MarkedRoom) -> bool:
    """Take one slice of what is left of a marked room; False once nothing was left, and the mark is gone too."""
    for stage in _STAGES:
        if stage(tx, room):
            return True
    tx.execute("DELETE FROM purges WHERE room_nid = ?", (room.room_nid,))
    return False


def _rows(table: str, key: str, room: str = "room_nid", also: str = "") -> Callable[[Tx, MarkedRoom], int]:
    """A stage that takes the rows of one table, found by its room.

    Args:
        table: the table.
        key: the columns of its key.
        room: the column that says the room.
        also: a further condition.
    """
    select = f"SELECT {key} FROM {table} WHERE {room} = ? {also} LIMIT {ROWS}"
    delete = f"DELETE FROM {table} WHERE ({key}) IN ({select})"

    def stage(tx: Tx, one: MarkedRoom) -> int:
        return _delete(tx, delete, (one.room_nid if room == "room_nid" else one.room_id,))

    return stage


def _delete(tx: Tx, sql: str, parameters: tuple[object, ...]) -> int:
    tx.execute(sql, parameters)
    return int(tx.execute("SELECT changes()")[0][0])


def _events(tx: Tx, room: MarkedRoom) -> int:
    """Events, first those of the timeline, then those without a place, with all that hangs on them."""
    for place in ("IS NOT NULL", "IS NULL"):
        rows = tx.execute(
            f"SELECT event_nid, event_id FROM events WHERE room_nid = ? AND position {place} LIMIT {_EVENTS}",
            (room.room_nid,),
        )
        if rows:
            break
    search.take_out(tx, [nid for nid, _ in rows])
    for sql in _OF_EVENT:
        tx.execute_many(sql, [(nid,) for nid, _ in rows])
    tx.execute_many("DELETE FROM redactions WHERE target_event_id = ?", [(event_id,) for _, event_id in rows])
    return len(rows)


_OF_EVENT = tuple(
    f"DELETE FROM {table} WHERE {column} = ?"
    for table, column in (
        ("edges", "event_nid"),
        ("event_states", "event_nid"),
        ("redacted_originals", "event_nid"),
        ("redactions", "redaction_nid"),
        ("transaction_ids", "event_nid"),
        ("events", "event_nid"),
    )
)


def _groups(tx: Tx, room: MarkedRoom) -> int:
    """States. Their slots may be in use no more; that is looked at when all is over (``drop_unused_slots``)."""
    rows = tx.execute(
        "SELECT g.group_nid, (SELECT COUNT(*) FROM state_group_entries d WHERE d.group_nid = g.group_nid)"
        f" FROM state_groups g WHERE g.room_nid = ? LIMIT {ROWS}",
        (room.room_nid,),
    )
    gone = 0
    for group_nid, deltas in rows:
        if deltas > ROWS:
            return gone + _part_of_group(tx, group_nid)
        _note_slots(tx, group_nid, deltas)
        for table in ("state_snapshots", "state_group_entries", "state_groups"):
            tx.execute(f"DELETE FROM {table} WHERE group_nid = ?", (group_nid,))
        gone += 1 + deltas
        if gone >= ROWS:
            break
    return gone


def _part_of_group(tx: Tx, group_nid: int) -> int:
    _note_slots(tx, group_nid, ROWS)
    return _delete(
        tx,
        "DELETE FROM state_group_entries WHERE group_nid = ?1 AND slot_nid IN"
        f" (SELECT slot_nid FROM state_group_entries WHERE group_nid = ?1 ORDER BY slot_nid LIMIT {ROWS})",
        (group_nid,),
    )


def _note_slots(tx: Tx, group_nid: int, limit: int) -> None:
    tx.execute(
        "INSERT OR IGNORE INTO unused_slots SELECT slot_nid FROM state_group_entries WHERE group_nid = ?"
        " ORDER BY slot_nid LIMIT ?",
        (group_nid, limit),
    )


def _account_data(tx: Tx, room: MarkedRoom) -> int:
    """What users kept about the room. The key begins with the user, so each is asked."""
    return _delete(
        tx,
        "DELETE FROM account_data WHERE (user_id, room_id, type) IN (SELECT d.user_id, d.room_id, d.type"
        " FROM accounts a CROSS JOIN account_data d ON d.user_id = a.user_id AND d.room_id = ?"
        f" LIMIT {ROWS})",
        (room.room_id,),
    )


def _waiting(tx: Tx, room: MarkedRoom) -> int:
    """Events that wait for others."""
    rows = tx.execute(f"SELECT event_id FROM waiting_events WHERE room_id = ? LIMIT {_EVENTS}", (room.room_id,))
    tx.execute_many("DELETE FROM waiting_for WHERE event_id = ?", rows)
    tx.execute_many("DELETE FROM waiting_events WHERE event_id = ?", rows)
    return len(rows)


_STAGES: tuple[Callable[[Tx, MarkedRoom], int], ...] = (
    _rows("aliases", "alias", "room_id"),
    _rows("receipts", "room_id, user_id, type, thread_id", "room_id"),
    _account_data,
    _rows("delayed_events", "delay_id", "room_id"),
    _rows("thread_subscriptions", "user_id, room_id, root_id", "room_id"),
    _waiting,
    _rows("notifications", "room_nid, rules, position"),
    _rows("personal_notifications", "user_id, position"),
    _rows("said_up_to", "user_id, room_nid, thread"),
    _rows("forward_extremities", "room_nid, event_nid"),
    _rows("backward_extremities", "room_nid, missing_event_id, event_nid"),
    _rows("gaps", "room_nid, event_nid"),
    _rows("room_bumps", "room_nid"),
    _rows("current_state", "room_nid, slot_nid"),
    _rows("state_changes", "room_nid, position, slot_nid"),
    _rows("membership_changes", "user_id, position, room_nid"),
    _rows("memberships", "room_nid, user_id"),
    _rows("user_names", "room_nid, user_id"),
    _rows("open_rooms", "room_nid"),
    _rows("event_times", "room_nid, timestamp, position"),
    _rows("thread_senders", "room_nid, root_id, sender"),
    _rows("threads", "room_nid, root_id"),
    _rows("edits", "room_nid, parent_id, sender, type, timestamp, child_id"),
    _rows("relations", "room_nid, parent_id, ordering, position"),
    _rows("outside_memberships", "room_nid, user_id"),
    _rows("outbox_rooms", "server_name, room_nid"),
    _rows("unread_events", "unread_nid", "room_id"),
    _events,
    _groups,
)
TABLES = frozenset(
    [
        "account_data",
        "aliases",
        "backward_extremities",
        "current_state",
        "delayed_events",
        "edges",
        "edits",
        "event_states",
        "event_times",
        "events",
        "forward_extremities",
        "gaps",
        "open_rooms",
        "membership_changes",
        "memberships",
        "notifications",
        "personal_notifications",
        "outbox_rooms",
        "outside_memberships",
        "receipts",
        "redacted_originals",
        "redactions",
        "relations",
        "rooms",
        "said_up_to",
        "state_changes",
        "state_group_entries",
        "state_groups",
        "state_snapshots",
        "thread_senders",
        "thread_subscriptions",
        "threads",
        "transaction_ids",
        "user_names",
        "unread_events",
        "waiting_events",
        "waiting_for",
    ]
)
"""Every table that holds something of a room; a test looks through the schema for others."""


# Slots ------------------------------------------------------------------------------------------------------------


def slots_in_use(reads: Reads) -> list[int]:
    """Those of the slots that were noted as perhaps unused which are in use; reads all states, so off the loop."""
    rows = reads.read(
        "SELECT slot_nid FROM unused_slots WHERE slot_nid IN (SELECT slot_nid FROM state_group_entries)"
        " OR slot_nid IN (SELECT slot_nid FROM current_state) OR slot_nid IN (SELECT slot_nid FROM state_changes)"
    )
    return [number for (number,) in rows]


def keep_slots(tx: Tx, numbers: list[int]) -> None:
    """Take slots off the note of unused ones."""
    tx.execute_many("DELETE FROM unused_slots WHERE slot_nid = ?", [(number,) for number in numbers])


def has_unused_slots(reads: Reads) -> bool:
    """Whether slots are noted as perhaps unused."""
    return bool(reads.read("SELECT 1 FROM unused_slots LIMIT 1"))


def drop_unused_slots(tx: Tx) -> int:
    """Drop some of the slots on the note, once ``slots_in_use`` were taken off it; returns how many were on it.

    A slot that came into use meanwhile has taken itself off. The highest number stays, since the next slot is numbered
    after it and no number may be given twice.
    """
    tx.execute(
        f"DELETE FROM slots WHERE slot_nid IN (SELECT slot_nid FROM unused_slots ORDER BY slot_nid LIMIT {ROWS})"
        " AND slot_nid < (SELECT MAX(slot_nid) FROM slots)"
    )
    return _delete(
        tx,
        "DELETE FROM unused_slots WHERE slot_nid IN"
        f" (SELECT slot_nid FROM unused_slots ORDER BY slot_nid LIMIT {ROWS})",
        (),
    )
