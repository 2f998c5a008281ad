"""Rooms that go: which, and that nothing of them stays, slice by slice, also after a kill."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.storage import purge, state
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.numbers import Numbers
from tests.storage.furnished import ALICE, APART, BOB, ROOM_COLUMNS, accounts, furnish, join

pytestmark = pytest.mark.anyio

Rows = dict[str, list[tuple[Any, ...]]]


def tables(reads: Reads) -> dict[str, set[str]]:
    """Every table with its columns."""
    names = reads.read("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return {
        name: {column for (column,) in reads.read("SELECT name FROM pragma_table_info(?)", (name,))}
        for (name,) in names
    }


def contents(reads: Reads) -> Rows:
    """Every row of every table."""
    return {
        name: sorted(reads.read(f"SELECT * FROM {name}"), key=repr)
        for name in tables(reads)
        if name not in {"number_floors", "stream"}
    }


async def clear(database: Database, room: purge.MarkedRoom) -> list[int]:
    """Take a marked room out; the number of rows that each unit changed."""

    def unit(tx: Tx) -> tuple[bool, int]:
        ((before,),) = tx.execute("SELECT total_changes()")
        more = purge.step(tx, room)
        return more, tx.execute("SELECT total_changes()")[0][0] - before

    changed = []
    while True:
        more, rows = await database.write(unit)
        changed.append(rows)
        if not more:
            return changed


async def clear_slots(database: Database) -> None:
    """Drop the slots that are in use no more."""
    used = await database.reading(purge.slots_in_use)
    await database.write(lambda tx: purge.keep_slots(tx, used))
    while await database.write(purge.drop_unused_slots):
        pass


async def two_rooms(database: Database) -> None:
    """Two rooms with something in every table."""
    await database.write(accounts)
    await database.write(lambda tx: furnish(tx, 1, "!one:elsewhere.example"))
    await database.write(lambda tx: furnish(tx, 2, "!two:elsewhere.example"))


async def test_what_is_tried_here_has_something_in_every_table_of_rooms(database: Database) -> None:
    """A new table that says something of rooms must be known to ``purge.py`` and to ``furnish``."""
    await two_rooms(database)
    concerned = {name for name, columns in tables(database).items() if columns & ROOM_COLUMNS} - APART
    assert {name for name in concerned if not database.read(f"SELECT 1 FROM {name} LIMIT 1")} == set()


async def test_nothing_of_a_purged_room_stays_and_all_of_another_does(database: Database, tmp_path: Path) -> None:
    await two_rooms(database)
    assert await database.write(lambda tx: purge.mark(tx, 1, 7))
    (room,) = purge.marked(database)
    await clear(database, room)
    await clear_slots(database)
    other = await Database.open(tmp_path / "other.db")
    await other.write(accounts)
    await other.write(lambda tx: furnish(tx, 2, "!two:elsewhere.example"))
    expected = contents(other)
    await other.close()
    found = contents(database)
    slots = {(slot, key) for _, slot, key in found.pop("slots")}
    assert slots == {(slot, key) for _, slot, key in expected.pop("slots")}
    numbered = {"state_group_entries", "current_state", "state_changes"}
    assert {name: rows for name, rows in found.items() if name not in numbered} == {
        name: rows for name, rows in expected.items() if name not in numbered
    }
    # Here the slots have other numbers, as there was another room before.
    assert {name: len(found[name]) for name in numbered} == {name: len(expected[name]) for name in numbered}
    assert set(state.group(database, 2003)) == slots


async def test_a_marked_room_is_unknown_at_once(database: Database) -> None:
    await two_rooms(database)
    assert await database.write(lambda tx: purge.mark(tx, 1, 7))
    assert database.read("SELECT room_nid FROM rooms") == [(2,)]
    assert purge.is_marked(database, "!one:elsewhere.example")
    assert not purge.is_marked(database, "!two:elsewhere.example")
    assert not await database.write(lambda tx: purge.mark(tx, 1, 8))
    assert not await database.write(lambda tx: purge.mark(tx, 9, 8))
    assert purge.marked(database) == [purge.MarkedRoom(1, "!one:elsewhere.example")]


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
async def test_a_room_that_somebody_is_in_is_not_marked(database: Database, membership: str) -> None:
    await two_rooms(database)
    await database.write(lambda tx: join(tx, 1, BOB, membership))
    before = contents(database)
    assert not await database.write(lambda tx: purge.mark(tx, 1, 7))
    assert contents(database) == before


@pytest.mark.parametrize(
    ("arrange", "goes"),
    [
        (lambda tx: None, True),
        (lambda tx: join(tx, 1, BOB, "join"), False),
        (lambda tx: join(tx, 1, BOB, "invite", forgotten=True), False),
        (lambda tx: join(tx, 1, BOB, "leave"), False),
        (lambda tx: join(tx, 1, BOB, "ban"), False),
        (lambda tx: join(tx, 1, BOB, "ban", forgotten=True), True),
        (lambda tx: (join(tx, 1, BOB, "leave"), tx.execute("UPDATE accounts SET deactivated = 1")), True),
        (lambda tx: (join(tx, 1, BOB, "join"), tx.execute("UPDATE accounts SET deactivated = 1")), False),
        (lambda tx: tx.execute("DELETE FROM memberships WHERE room_nid = 1 AND user_id = ?", (ALICE,)), False),
    ],
)
async def test_which_rooms_are_abandoned(database: Database, arrange: Callable[[Tx], Any], goes: bool) -> None:
    await two_rooms(database)
    await database.write(lambda tx: join(tx, 2, BOB, "join"))
    await database.write(arrange)
    assert purge.abandoned(database, 0, 10) == (["!one:elsewhere.example"] if goes else [], None)


async def test_rooms_are_looked_at_a_few_at_a_time(database: Database) -> None:
    await two_rooms(database)
    assert purge.abandoned(database, 0, 1) == (["!one:elsewhere.example"], 1)
    assert purge.abandoned(database, 1, 1) == (["!two:elsewhere.example"], 2)
    assert purge.abandoned(database, 2, 1) == ([], None)


async def test_each_unit_takes_a_bounded_number_of_rows(database: Database) -> None:
    def crowd(tx: Tx) -> None:
        furnish(tx, 3, "!big:elsewhere.example", events=900)
        state.insert_changed(
            tx, 9_000, 3, None, {("m.room.member", f"@{number}:x"): (None, 1) for number in range(3000)}
        )
        for number in range(2000):
            join(tx, 3, f"@{number}:elsewhere.example", "join")

    await two_rooms(database)
    await database.write(crowd)
    assert await database.write(lambda tx: purge.mark(tx, 3, 7))
    ((rows,),) = database.read("SELECT COUNT(*) FROM events WHERE room_nid = 3")
    changed = await clear(database, purge.marked(database)[0])
    assert rows == 900
    assert max(changed) <= 1600
    assert sum(changed) > 900 * 6 + 3000 + 2000


async def reopened(database: Database) -> Database:
    """The same file after a restart."""
    await database.close()
    return await Database.open(database.path)


@pytest.mark.parametrize("steps", [0, 1, 5, 9])
async def test_a_purge_that_was_cut_off_goes_on(
    database: Database, steps: int, again: Callable[[Database], Awaitable[Database]]
) -> None:
    await two_rooms(database)
    await database.write(lambda tx: purge.mark(tx, 1, 7))
    (room,) = purge.marked(database)
    for _ in range(steps):
        await database.write(lambda tx: purge.step(tx, room))
    database = await again(database)
    assert purge.marked(database) == [room]
    await clear(database, room)
    for name, columns in tables(database).items():
        for column, value in (("room_nid", 1), ("room_id", room.room_id)):
            if column in columns:
                assert database.read(f"SELECT 1 FROM {name} WHERE {column} = ?", (value,)) == []
    await database.write(lambda tx: purge.step(tx, room))
    await database.close()


@pytest.fixture
def again() -> Callable[[Database], Awaitable[Database]]:
    """Opens a file anew."""
    return reopened


async def test_numbers_of_what_is_gone_are_not_given_again(database: Database) -> None:
    await two_rooms(database)
    for room_nid in (2, 1):
        await database.write(lambda tx, room_nid=room_nid: purge.mark(tx, room_nid, 7))  # type: ignore[misc]
    for room in purge.marked(database):
        await clear(database, room)
    assert database.read("SELECT COUNT(*) FROM events") == [(0,)]
    numbers = Numbers(database)
    assert (numbers.event(), numbers.group(), numbers.room()) == (2004, 2004, 3)


# Slots ------------------------------------------------------------------------------------------------------------


async def test_a_slot_that_comes_into_use_meanwhile_stays(database: Database) -> None:
    await two_rooms(database)
    await database.write(lambda tx: purge.mark(tx, 1, 7))
    await clear(database, purge.marked(database)[0])
    used = await database.reading(purge.slots_in_use)
    slot = ("m.room.member", "@1:!one:elsewhere.example")
    await database.write(lambda tx: state.insert_changed(tx, 9000, 2, None, {slot: (None, 5)}))
    await database.write(lambda tx: purge.keep_slots(tx, used))
    while await database.write(purge.drop_unused_slots):
        pass
    assert not purge.has_unused_slots(database)
    assert state.group(database, 9000) == {slot: 5}
    gone = ("m.room.member", "@3:!one:elsewhere.example")
    assert database.read("SELECT 1 FROM slots WHERE type = ? AND state_key = ?", gone) == []


async def test_the_highest_slot_keeps_its_number(database: Database) -> None:
    """Names of slots are remembered by their numbers, so a number must not come to mean another slot."""
    await database.write(accounts)
    await database.write(lambda tx: furnish(tx, 1, "!one:elsewhere.example"))
    ((highest,),) = database.read("SELECT MAX(slot_nid) FROM slots")
    await database.write(lambda tx: purge.mark(tx, 1, 7))
    await clear(database, purge.marked(database)[0])
    await clear_slots(database)
    assert await database.write(lambda tx: state.slot_nid(tx, ("new", ""))) == highest + 1


# Plans ------------------------------------------------------------------------------------------------------------


async def test_no_unit_reads_a_whole_table_to_find_what_is_the_rooms(database: Database) -> None:
    plans = []

    class Watched:
        """A Tx that asks how each statement would be run."""

        def __init__(self, tx: Tx) -> None:
            self._tx = tx

        def execute(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            plans.extend((sql, row[3]) for row in self._tx.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
            return self._tx.execute(sql, parameters)

        read = execute

        def execute_many(self, sql: str, rows: Any) -> None:
            for row in rows:
                self.execute(sql, row)

    await two_rooms(database)
    await database.write(lambda tx: purge.mark(Watched(tx), 1, 7))  # type: ignore[arg-type]
    (room,) = purge.marked(database)
    while await database.write(lambda tx: purge.step(Watched(tx), room)):  # type: ignore[arg-type]
        pass
    scans = {
        (sql, plan)
        for sql, plan in plans
        if plan.startswith("SCAN") and "SUBQUERY" not in plan and "CONSTANT" not in plan
    }
    # The accounts are the few who live here; the highest numbers are read at the end of an index.
    assert {sql for sql, plan in scans if plan != "SCAN a" and "MAX(" not in sql} == set()
