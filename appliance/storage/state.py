"""State as rows: slots, groups as deltas with a whole one now and then, the current state and its changes.

A slot is a pair of event type and state key, numbered once for the whole server. A group is a state. Every group but a
first one is stored as what differs from its base, so that any two states of a room can be compared by what differs
(``state_diff.py``). Some groups are stored whole besides (``state_snapshots``), so that none is far from a whole one:
then reading a state costs what is in it, whatever the room has been through. A base has a lower number than what is
built on it.

Groups are never changed. One that no event stands before or after, that no other group is built on, and that no room
holds as its present state, is dropped by the housekeeping (``drop_loose``).
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from weakref import WeakKeyDictionary

import orjson

from appliance.storage.database import Reads, Tx
from appliance.storage.readers import OpenFile
from appliance.storage.state_snapshots import pack, pick, unpack

Slot = tuple[str, str]
StateMap = Mapping[Slot, int]
Changes = Mapping[Slot, tuple[int | None, int | None]]
"""Slots with the event before and after; None for an empty slot."""

SHORTEST_CHAIN, CHAIN_SHARE = 64, 32
"""A state is stored whole once more rows of deltas than this lie above the last whole one, and more than this share of
what was in that. So whole states take at most 256 bytes for each change, and a read little more than the state itself.
"""

_LINE = """
WITH RECURSIVE line (group_nid, base_nid, chain) AS (
    SELECT group_nid, base_nid, chain FROM state_groups WHERE group_nid = ?1
    UNION ALL
    SELECT g.group_nid, g.base_nid, g.chain FROM line JOIN state_groups g ON g.group_nid = line.base_nid
    WHERE line.chain > 0
)
"""
"""A group and what lies below it, down to the nearest whole one (whose chain is 0)."""

_WHOLE_SQL = _LINE + "SELECT w.state FROM line JOIN state_snapshots w USING (group_nid) WHERE line.chain = 0"
_DELTAS_SQL = (
    _LINE + "SELECT d.slot_nid, d.event_nid FROM line JOIN state_group_entries d USING (group_nid)"
    " WHERE line.chain > 0 OR ?2 ORDER BY line.group_nid"
)
_LOOK_SQL = (
    _LINE + "SELECT d.slot_nid, d.event_nid FROM line JOIN state_group_entries d USING (group_nid)"
    " WHERE (line.chain > 0 OR ?2) AND d.slot_nid IN (%s) ORDER BY line.group_nid"
)
_RANGE_SQL = (
    "SELECT json_group_array(slot_nid), json_group_array(type), json_group_array(state_key) FROM slots"
    " WHERE slot_nid BETWEEN ? AND ?"
)
"""Ten thousand rows as one: to be given them one by one costs half as much again."""
_CHUNK = 400
"""Slots in one statement."""
MANY = 8
"""Slots from which on it pays to ask for several in one statement."""
NAMES_KEPT = 30_000
"""Slots whose names are kept in memory for each open database, about 200 bytes each."""

WORTH_A_RANGE = 3
"""Many slots are read as one range of numbers where no more than this many times as many lie in it: the slots of a room
mostly came one after the other, and to look each up takes about three times as long as to pass it.
"""

_names: "WeakKeyDictionary[OpenFile, dict[int, Slot]]" = WeakKeyDictionary()
"""Numbers are never given twice (``purge.drop_unused_slots`` leaves the highest), so these never go stale."""


# Slots ------------------------------------------------------------------------------------------------------------


def slot_nid(tx: Tx, slot: Slot) -> int:
    """The number of a slot, given now if it had none. Asked inside the unit, so that it lives and dies with it."""
    rows = tx.execute(
        "SELECT s.slot_nid, u.slot_nid FROM slots s LEFT JOIN unused_slots u USING (slot_nid)"
        " WHERE s.type = ? AND s.state_key = ?",
        slot,
    )
    if not rows:
        rows = tx.execute("INSERT INTO slots (type, state_key) VALUES (?,?) RETURNING slot_nid, NULL", slot)
    number, unused = rows[0]
    if unused is not None:
        tx.execute("DELETE FROM unused_slots WHERE slot_nid = ?", (number,))
    return int(number)


def slot_nids(tx: Tx, slots: Collection[Slot]) -> dict[Slot, int]:
    """The numbers of slots, as ``slot_nid`` gives them; many in a few statements."""
    if len(slots) < MANY:
        return {slot: slot_nid(tx, slot) for slot in slots}
    by_type: dict[str, list[str]] = {}
    for event_type, key in slots:
        by_type.setdefault(event_type, []).append(key)
    found: dict[Slot, int] = {}
    for event_type, keys in by_type.items():
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            numbers = _known_slots(tx, event_type, chunk)
            if len(numbers) < len(chunk):
                missing = [(event_type, key) for key in chunk if (event_type, key) not in numbers]
                tx.execute_many("INSERT INTO slots (type, state_key) VALUES (?,?)", missing)
                numbers |= _known_slots(tx, event_type, [key for _, key in missing])
            found |= numbers
    return found


def _known_slots(tx: Tx, event_type: str, keys: Sequence[str]) -> dict[Slot, int]:
    """Those of the slots of a type that have numbers; what was unused is used again."""
    rows = tx.execute(
        "SELECT s.state_key, s.slot_nid, u.slot_nid FROM slots s LEFT JOIN unused_slots u USING (slot_nid)"
        f" WHERE s.type = ? AND s.state_key IN ({','.join('?' * len(keys))})",
        (event_type, *keys),
    )
    unused = [(number,) for _, number, unused in rows if unused is not None]
    if unused:
        tx.execute_many("DELETE FROM unused_slots WHERE slot_nid = ?", unused)
    return {(event_type, key): number for key, number, _ in rows}


def slots_of(database: Reads, numbers: Collection[int]) -> Mapping[int, Slot]:
    """The slots of those numbers, perhaps with others. What was asked for outside of units is kept in memory: most
    states that are read are states of the same few rooms.
    """
    file = getattr(database, "file", None)  # a unit may see numbers that are never committed
    names: dict[int, Slot] = {} if file is None else _names.setdefault(file, {})
    missing = [number for number in numbers if number not in names]
    if len(names) + len(missing) > NAMES_KEPT:
        # Not cleared in place: an earlier caller, or one in another thread, may still look into it.
        names = {number: names[number] for number in numbers if number in names}
        if file is not None:
            _names[file] = names
    if missing:
        names.update(_named(database, sorted(missing)))
    return names


def _named(reads: Reads, numbers: Sequence[int]) -> Iterable[tuple[int, Slot]]:
    """The slots of those numbers, given in rising order, from the database."""
    if len(numbers) <= _CHUNK or numbers[-1] - numbers[0] >= WORTH_A_RANGE * len(numbers):
        return _named_one_by_one(reads, numbers)
    ((numbers_json, types, keys),) = reads.read(_RANGE_SQL, (numbers[0], numbers[-1]))
    found = orjson.loads(numbers_json)
    named = zip(found, zip(map(sys.intern, orjson.loads(types)), orjson.loads(keys), strict=True), strict=True)
    if len(found) == len(numbers):
        return named  # as it mostly is: nothing else lies between them
    wanted = frozenset(numbers)
    return (one for one in named if one[0] in wanted)


def _named_one_by_one(reads: Reads, numbers: Sequence[int]) -> Iterator[tuple[int, Slot]]:
    """The same, where others lie between them, or few are asked for."""
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        sql = f"SELECT slot_nid, type, state_key FROM slots WHERE slot_nid IN ({marks})"
        for number, event_type, key in reads.read(sql, chunk):
            yield number, (sys.intern(event_type), key)


# Groups -----------------------------------------------------------------------------------------------------------


def insert_changed(tx: Tx, group_nid: int, room_nid: int, base_nid: int | None, changes: Changes) -> None:
    """Store a state as what differs from another one, and whole besides where the last whole one is too far below.

    Args:
        tx: the unit.
        group_nid: its number, higher than that of its base.
        room_nid: its room.
        base_nid: the group that it differs from; None for the first state of a room, or one of which it is not known
            what it differs from.
        changes: the slots that differ, with the event in the base and the one now; may be empty.

    Raises:
        ValueError: the base is not there, or has a higher number.
    """
    chain, longest = len(changes), SHORTEST_CHAIN
    if base_nid is not None:
        base = tx.execute("SELECT chain, longest FROM state_groups WHERE group_nid = ?", (base_nid,))
        if not base or base_nid >= group_nid:
            raise ValueError(f"State group {group_nid} cannot be built on {base_nid}.")
        chain, longest = base[0][0] + max(1, chain), base[0][1]
    tx.execute(
        "INSERT INTO state_groups (group_nid, room_nid, base_nid, chain, longest, loose) VALUES (?,?,?,?,?,1)",
        (group_nid, room_nid, base_nid, chain, longest),
    )
    numbers = slot_nids(tx, changes.keys())
    tx.execute_many(
        "INSERT INTO state_group_entries (group_nid, slot_nid, event_nid, previous_nid) VALUES (?,?,?,?)",
        [(group_nid, numbers[slot], after, before) for slot, (before, after) in changes.items()],
    )
    if chain > longest:
        state = numbered_group(tx, group_nid)
        tx.execute("INSERT INTO state_snapshots VALUES (?,?)", (group_nid, pack(state)))
        tx.execute(
            "UPDATE state_groups SET chain = 0, longest = ? WHERE group_nid = ?",
            (max(SHORTEST_CHAIN, len(state) // CHAIN_SHARE), group_nid),
        )


def group(database: Reads, group_nid: int) -> dict[Slot, int]:
    """The whole state of a group: slot to event number."""
    state = numbered_group(database, group_nid)
    names = slots_of(database, state)
    return {names[number]: event_nid for number, event_nid in state.items()}


def numbered_group(database: Reads, group_nid: int) -> dict[int, int]:
    """The whole state of a group with the slots' numbers: half the work where the slots do not matter."""
    whole = database.read(_WHOLE_SQL, (group_nid,))
    state = unpack(whole[0][0]) if whole else {}
    for number, event_nid in database.read(_DELTAS_SQL, (group_nid, not whole)):
        if event_nid is None:
            state.pop(number, None)
        else:
            state[number] = event_nid
    return state


def lookup(database: Reads, group_nid: int, slots: Iterable[Slot]) -> dict[Slot, int]:
    """The events in some slots of a group, without reading the rest of it; empty slots are left out.

    Args:
        database: where to read.
        group_nid: the group.
        slots: up to a few hundred; beyond that, ``group`` is cheaper.
    """
    numbers: dict[int, Slot] = {}
    for slot in slots:
        rows = database.read("SELECT slot_nid FROM slots WHERE type = ? AND state_key = ?", slot)
        if rows:
            numbers[rows[0][0]] = slot
    whole = database.read(_WHOLE_SQL, (group_nid,))
    latest: dict[int, int | None] = dict(pick(whole[0][0], numbers)) if whole else {}
    wanted = list(numbers)
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        marks = ",".join(f"?{place}" for place in range(3, len(chunk) + 3))
        latest.update(database.read(_LOOK_SQL % marks, (group_nid, not whole, *chunk)))
    return {numbers[number]: event_nid for number, event_nid in latest.items() if event_nid is not None}


def slot_in_group(database: Reads, group_nid: int, slot: Slot) -> int | None:
    """The event in one slot of a group, None for an empty slot."""
    return lookup(database, group_nid, (slot,)).get(slot)


def set_event_groups(tx: Tx, event_nid: int, before_nid: int, after_nid: int) -> None:
    """Note the state before and after an event; both groups are held by it from now on."""
    set_held_groups(tx, event_nid, before_nid, after_nid)
    tx.execute("UPDATE state_groups SET loose = 0 WHERE loose = 1 AND group_nid IN (?,?)", (before_nid, after_nid))


def set_held_groups(tx: Tx, event_nid: int, before_nid: int, after_nid: int) -> None:
    """The same where another event holds both groups already."""
    tx.execute("INSERT INTO event_states VALUES (?,?,?)", (event_nid, before_nid, after_nid))


def change_after(tx: Tx, event_nid: int, after_nid: int) -> None:
    """Put another state after an event: its room's state was not wholly known when it was stored."""
    tx.execute("UPDATE event_states SET after_nid = ? WHERE event_nid = ?", (after_nid, event_nid))
    tx.execute("UPDATE state_groups SET loose = 0 WHERE loose = 1 AND group_nid = ?", (after_nid,))


def groups_of(database: Reads, event_nid: int) -> tuple[int, int] | None:
    """The groups before and after an event, None for one without a place in the graph."""
    rows = database.read("SELECT before_nid, after_nid FROM event_states WHERE event_nid = ?", (event_nid,))
    return (rows[0][0], rows[0][1]) if rows else None


def drop_loose(tx: Tx, upto: int) -> int:
    """Drop one group that nothing refers to, with a number up to ``upto``; returns how many rows went, 0 for none.

    The one with the highest number goes first, so that what it was built on can follow.
    """
    rows = tx.execute(
        "SELECT g.group_nid FROM state_groups g INDEXED BY state_groups_loose WHERE g.loose = 1 AND g.group_nid <= ?"
        " AND NOT EXISTS (SELECT 1 FROM state_groups b WHERE b.base_nid = g.group_nid)"
        " AND NOT EXISTS (SELECT 1 FROM rooms r WHERE r.room_nid = g.room_nid AND r.state_group_nid = g.group_nid)"
        " ORDER BY g.group_nid DESC LIMIT 1",
        (upto,),
    )
    if not rows:
        return 0
    gone = 0
    for table in ("state_snapshots", "state_group_entries", "state_groups"):
        tx.execute(f"DELETE FROM {table} WHERE group_nid = ?", rows[0])
        gone += int(tx.execute("SELECT changes()")[0][0])
    return gone


def highest_group(database: Reads) -> int:
    """The highest number of a stored group; 0 for none."""
    return int(database.read("SELECT MAX(group_nid) FROM state_groups")[0][0] or 0)


# The current state ------------------------------------------------------------------------------------------------


def current(database: Reads, room_nid: int) -> dict[Slot, int]:
    """The current state of a room: slot to event number. The names of its slots are kept in memory, for whoever reads
    other states of the room.
    """
    rows = database.read("SELECT slot_nid, event_nid FROM current_state WHERE room_nid = ?", (room_nid,))
    numbered: dict[int, int] = dict(rows)
    names = slots_of(database, numbered)
    return {names[number]: event_nid for number, event_nid in numbered.items()}


def change_current(tx: Tx, room_nid: int, position: int, changes: Changes) -> None:
    """Bring the current state to what it is now, an event or nothing in each slot that differs, and note the changes
    in the stream.
    """
    numbers = slot_nids(tx, changes.keys())
    put, gone, noted = [], [], []
    for slot, (previous, now) in changes.items():
        number = numbers[slot]
        noted.append((position, room_nid, number, now, previous))
        if now is None:
            gone.append((room_nid, number))
        else:
            put.append((room_nid, number, now))
    if gone:
        tx.execute_many("DELETE FROM current_state WHERE room_nid = ? AND slot_nid = ?", gone)
    if put:
        tx.execute_many("INSERT OR REPLACE INTO current_state VALUES (?,?,?)", put)
    if noted:
        tx.execute_many(
            "INSERT INTO state_changes (position, room_nid, slot_nid, event_nid, previous_nid) VALUES (?,?,?,?,?)",
            noted,
        )


def changes(
    database: Reads, room_nid: int, since: int, at: int, upto: int
) -> tuple[dict[Slot, int | None], dict[Slot, int | None]]:
    """The slots that changed in ``since < position <= at``, with what they held at the end of that, and the same for
    ``at < position <= upto``; with ``at`` before ``since`` the former are none.
    """
    rows = database.read(
        "SELECT c.position, s.type, s.state_key, c.event_nid FROM state_changes c JOIN slots s USING (slot_nid)"
        " WHERE c.room_nid = ? AND c.position > ? AND c.position <= ? ORDER BY c.position",
        (room_nid, since, upto),
    )
    before: dict[Slot, int | None] = {}
    after: dict[Slot, int | None] = {}
    for position, event_type, state_key, nid in rows:
        (before if position <= at else after)[event_type, state_key] = nid
    return before, after


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
