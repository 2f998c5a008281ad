"""State as rows: slots, groups as deltas with a whole one now and then, the current state and its changes.

A slot is a pair of event type and state key, numbered once for the whole server. A group is a state: either whole
(``base_nid`` null) or what differs from its base.
"""

from collections.abc import Iterable, Mapping

from appliance.storage.database import Tx
from appliance.storage.events import Reads

Slot = tuple[str, str]
StateMap = Mapping[Slot, int]

_GROUP_SQL = """
WITH RECURSIVE line (group_nid, base_nid, step) AS (
    SELECT group_nid, base_nid, 0 FROM state_groups WHERE group_nid = ?
    UNION ALL
    SELECT g.group_nid, g.base_nid, line.step + 1 FROM state_groups g JOIN line ON g.group_nid = line.base_nid
)
SELECT s.type, s.state_key, e.event_nid, MIN(line.step)
FROM line JOIN state_group_entries e USING (group_nid) JOIN slots s USING (slot_nid)
GROUP BY e.slot_nid
"""


def slot_nid(tx: Tx, slot: Slot) -> int:
    """The number of a slot, given now if it had none. Asked inside the unit, so that it lives and dies with it."""
    rows = tx.execute("SELECT slot_nid FROM slots WHERE type = ? AND state_key = ?", slot)
    if not rows:
        rows = tx.execute("INSERT INTO slots (type, state_key) VALUES (?,?) RETURNING slot_nid", slot)
    return int(rows[0][0])


def insert_group(
    tx: Tx, group_nid: int, room_nid: int, base_nid: int | None, chain: int, entries: Iterable[tuple[Slot, int | None]]
) -> None:
    """Store a group.

    Args:
        tx: the unit.
        group_nid: its number.
        room_nid: its room.
        base_nid: the group that it differs from; None for a whole state.
        chain: how many bases lie below it.
        entries: slots with the event in them; None where the base's entry is gone.
    """
    tx.execute(
        "INSERT INTO state_groups (group_nid, room_nid, base_nid, chain) VALUES (?,?,?,?)",
        (group_nid, room_nid, base_nid, chain),
    )
    for slot, event_nid in entries:
        tx.execute("INSERT INTO state_group_entries VALUES (?,?,?)", (group_nid, slot_nid(tx, slot), event_nid))


def group(database: Reads, group_nid: int) -> dict[Slot, int]:
    """The whole state of a group: slot to event number."""
    rows = database.read(_GROUP_SQL, (group_nid,))
    return {(row[0], row[1]): row[2] for row in rows if row[2] is not None}


def group_chain(database: Reads, group_nid: int) -> int:
    """How many bases lie below a group."""
    rows = database.read("SELECT chain FROM state_groups WHERE group_nid = ?", (group_nid,))
    return int(rows[0][0]) if rows else 0


def set_event_groups(tx: Tx, event_nid: int, before_nid: int, after_nid: int) -> None:
    """Note the state before and after an event."""
    tx.execute("INSERT INTO event_states VALUES (?,?,?)", (event_nid, before_nid, after_nid))


def groups_of(database: Reads, event_nid: int) -> tuple[int, int] | None:
    """The groups before and after an event, None for one without a place in the graph."""
    rows = database.read("SELECT before_nid, after_nid FROM event_states WHERE event_nid = ?", (event_nid,))
    return (rows[0][0], rows[0][1]) if rows else None


def current(database: Reads, room_nid: int) -> dict[Slot, int]:
    """The current state of a room: slot to event number."""
    rows = database.read(
        "SELECT s.type, s.state_key, c.event_nid FROM current_state c JOIN slots s USING (slot_nid)"
        " WHERE c.room_nid = ?",
        (room_nid,),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def change_current(
    tx: Tx, room_nid: int, position: int, slot: Slot, event_nid: int | None, previous_nid: int | None
) -> None:
    """Put an event into a slot of the current state, or with None empty it, and note the change in the stream."""
    number = slot_nid(tx, slot)
    if event_nid is None:
        tx.execute("DELETE FROM current_state WHERE room_nid = ? AND slot_nid = ?", (room_nid, number))
    else:
        tx.execute("INSERT OR REPLACE INTO current_state VALUES (?,?,?)", (room_nid, number, event_nid))
    tx.execute(
        "INSERT INTO state_changes (position, room_nid, slot_nid, event_nid, previous_nid) VALUES (?,?,?,?,?)",
        (position, room_nid, number, event_nid, previous_nid),
    )


def changes(database: Reads, room_nid: int, since: int, upto: int) -> dict[Slot, int | None]:
    """The slots that changed in ``since < position <= upto``, with what they held at the end of that."""
    rows = database.read(
        "SELECT s.type, s.state_key, c.event_nid FROM state_changes c JOIN slots s USING (slot_nid)"
        " WHERE c.room_nid = ? AND c.position > ? AND c.position <= ? ORDER BY c.position",
        (room_nid, since, upto),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def undo_changes(database: Reads, room_nid: int, after: int, upto: int) -> dict[Slot, int | None]:
    """The slots that changed in ``after < position <= upto``, with what they held before the first of that."""
    rows = database.read(
        "SELECT s.type, s.state_key, c.previous_nid FROM state_changes c JOIN slots s USING (slot_nid)"
        " WHERE c.room_nid = ? AND c.position > ? AND c.position <= ? ORDER BY c.position DESC",
        (room_nid, after, upto),
    )
    return {(row[0], row[1]): row[2] for row in rows}


def slot_history(database: Reads, room_nid: int, slot: Slot) -> list[tuple[int, int | None]]:
    """(position, event number) of every change of one slot of a room, earliest first."""
    return database.read(
        "SELECT c.position, c.event_nid FROM slots s JOIN state_changes c USING (slot_nid)"
        " WHERE s.type = ? AND s.state_key = ? AND c.room_nid = ? ORDER BY c.position",
        (*slot, room_nid),
    )
