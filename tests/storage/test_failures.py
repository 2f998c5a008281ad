"""Failure of units, injected at every place: who fails with whom, what is stored, what is seen by whom."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from functools import partial

import pytest

from appliance.storage.database import Database, Lane, Tx
from appliance.storage.errors import LaneBroken
from tests.storage.conftest import Gate, note, noted

pytestmark = pytest.mark.anyio

UNITS = 20


class Mishap(Exception):  # noqa: N818
    """What an injected failure raises."""


def unit(name: str, fails: bool, tx: Tx) -> tuple[str, int]:
    """Store two rows, and fail between them if so wanted."""
    position = note(tx, name)
    if fails:
        raise Mishap(name)
    tx.execute("INSERT INTO setup VALUES (?, ?)", (name, str(position)))
    return name, position


async def outcomes(futures: list["asyncio.Future[tuple[str, int]]"]) -> list[tuple[str, int] | BaseException]:
    return await asyncio.gather(*futures, return_exceptions=True)


@pytest.mark.parametrize("bad", range(UNITS))
@pytest.mark.parametrize("lanes", [1, 3, UNITS])
async def test_only_the_bad_unit_and_the_later_ones_of_its_lane_fail(database: Database, bad: int, lanes: int) -> None:
    lane_of = [Lane() for _ in range(lanes)]
    published: list[tuple[str, int]] = []
    gate = Gate(database)
    futures = [
        database.submit(
            partial(unit, f"@{number:02}:x", number == bad), lane=lane_of[number % lanes], published=published.append
        )
        for number in range(UNITS)
    ]
    gate.open()
    results = await outcomes(futures)

    survivors = [number for number in range(UNITS) if number < bad or number % lanes != bad % lanes]
    expected = [(f"@{number:02}:x", position) for position, number in enumerate(survivors, 1)]
    assert [result for result in results if isinstance(result, tuple)] == expected
    assert published == expected
    assert noted(database) == [(position, name) for name, position in expected]
    assert database.read("SELECT name, CAST(value AS INTEGER) FROM setup ORDER BY name") == expected
    assert database.position == len(expected)

    mishap = results[bad]
    assert isinstance(mishap, Mishap)
    later = [result for number, result in enumerate(results) if number not in survivors and number != bad]
    assert all(isinstance(result, LaneBroken) and result.__cause__ is mishap for result in later)
    assert [lane.broken for lane in lane_of] == [mishap if n == bad % lanes else None for n in range(lanes)]


async def test_a_broken_lane_stays_broken_and_its_units_are_never_run(database: Database) -> None:
    lane = Lane()
    run: list[int] = []
    with pytest.raises(Mishap):
        await database.write(partial(unit, "@a:x", True), lane=lane)
    for _ in range(3):
        with pytest.raises(LaneBroken) as failure:
            await database.write(lambda tx: run.append(1), lane=lane)
        assert isinstance(failure.value.__cause__, Mishap)
    assert run == []
    assert await database.write(partial(unit, "@b:x", False), lane=Lane()) == ("@b:x", 1)


async def test_several_bad_units_in_one_batch(database: Database) -> None:
    lanes = [Lane() for _ in range(4)]
    gate = Gate(database)
    futures = [
        database.submit(partial(unit, f"@{number:02}:x", number in (3, 9, 10)), lane=lanes[number % 4])
        for number in range(UNITS)
    ]
    futures.append(database.submit(partial(unit, "@free:x", False)))
    gate.open()
    results = await outcomes(futures)
    # Lane 3 breaks at 3, lane 1 at 9, lane 2 at 10.
    good = [0, 1, 2, 4, 5, 6, 8, 12, 16]
    assert [number for number in range(UNITS) if isinstance(results[number], tuple)] == good
    assert results[-1] == ("@free:x", 10)
    assert [name for _, name in noted(database)] == [f"@{number:02}:x" for number in good] + ["@free:x"]


async def test_a_constraint_that_speaks_up_only_at_the_commit_hits_its_unit_alone(database: Database) -> None:
    def orphan(tx: Tx) -> None:
        tx.execute("PRAGMA defer_foreign_keys = ON")
        tx.execute("INSERT INTO devices (user_id, device_id, created_ts) VALUES ('@a:x', 'D', 0)")

    gate = Gate(database)
    futures = [
        database.submit(lambda tx: note(tx, "@1:x")),
        database.submit(orphan),
        database.submit(lambda tx: note(tx, "@2:x")),
    ]
    gate.open()
    first, second, third = await asyncio.gather(*futures, return_exceptions=True)
    assert (first, third) == (1, 2)
    assert isinstance(second, sqlite3.IntegrityError)
    assert noted(database) == [(1, "@1:x"), (2, "@2:x")]


async def test_past_positions_are_given_back_too(database: Database) -> None:
    def bad(tx: Tx) -> int:
        tx.past_position()
        raise Mishap

    gate = Gate(database)
    futures = [database.submit(lambda tx: tx.past_position()), database.submit(bad)]
    futures.append(database.submit(lambda tx: tx.past_position()))
    gate.open()
    first, second, third = await asyncio.gather(*futures, return_exceptions=True)
    assert (first, third) == (-1, -2)
    assert isinstance(second, Mishap)


class Room:
    """A room as the service builds it: a head that moves at once, a lane, and rebuilding after a failure.

    Each event is a row with its parent; a unit stores both and takes a position.
    """

    def __init__(self, database: Database, fails: Callable[[], bool]) -> None:
        self._database = database
        self._fails = fails
        self._lane = Lane()
        self._head = 0
        self._next = 1
        self.seen: list[tuple[int, int]] = []

    async def send(self) -> int:
        """Send one event; after a failure that was another's, build it anew until it is stored."""
        while True:
            lane, parent, nid = self._lane, self._head, self._next
            self._next += 1
            self._head = nid
            try:
                return await self._database.write(
                    partial(self._store, nid, parent, self._fails()), lane=lane, published=self._published
                )
            except (Mishap, LaneBroken) as error:
                if lane is self._lane:
                    # What was published of the old lane is all that will ever be stored of it.
                    self._lane = Lane()
                    self._head = self.seen[-1][0] if self.seen else 0
                if isinstance(error, Mishap):
                    raise

    def _published(self, result: int) -> None:
        self.seen.append((result, self._database.position))

    @staticmethod
    def _store(nid: int, parent: int, fails: bool, tx: Tx) -> int:
        tx.execute(
            "INSERT INTO events (event_nid, event_id, room_nid, type, sender, ordering, position, json)"
            " VALUES (?, ?, 1, 'm', '@a:x', 1, ?, '{}')",
            (nid, f"${nid}", tx.position()),
        )
        if fails:
            raise Mishap
        tx.execute("INSERT INTO edges VALUES (?, 0, ?)", (nid, parent))
        return nid


@pytest.mark.parametrize("every", [2, 3, 5, 7, 19])
async def test_twenty_senders_in_one_room_leave_no_event_without_its_parent(database: Database, every: int) -> None:
    calls = iter(range(1, 100_000))
    room = Room(database, lambda: next(calls) % every == 0)

    async def sender() -> int:
        failed = 0
        for _ in range(6):
            try:
                await room.send()
            except Mishap:
                failed += 1
        return failed

    failed = sum(await asyncio.gather(*(sender() for _ in range(20))))
    events = database.read("SELECT event_nid, position FROM events ORDER BY position")
    assert len(events) == 120 - failed
    assert [position for _, position in events] == list(range(1, len(events) + 1))
    # Every event's parent is the one that came right before it.
    parents = dict(database.read("SELECT event_nid, other_nid FROM edges WHERE kind = 0"))
    nids = [nid for nid, _ in events]
    assert [parents[nid] for nid in nids] == [0, *nids[:-1]]
    assert [nid for nid, _ in room.seen] == nids


async def test_no_reader_sees_what_is_not_published(database: Database) -> None:
    published: list[int] = []
    done = False

    async def sender(number: int) -> None:
        lane = Lane()
        for step in range(15):
            work = partial(unit, f"@{number}-{step}:x", (number + step) % 11 == 0)
            try:
                await database.write(work, lane=lane, published=lambda result: published.append(result[1]))
            except (Mishap, LaneBroken):
                lane = Lane()

    async def watcher() -> int:
        looks = 0
        while not done:
            # What a sync does: the position and what memory holds are taken in one step.
            upto, memory = database.position, list(published)
            rows = await database.fetch(
                "SELECT position FROM device_list_changes WHERE position <= ? ORDER BY position", (upto,)
            )
            assert [position for (position,) in rows] == memory == list(range(1, upto + 1))
            looks += 1
        return looks

    watchers = [asyncio.create_task(watcher()) for _ in range(3)]
    await asyncio.gather(*(sender(number) for number in range(20)))
    done = True
    assert min(await asyncio.gather(*watchers)) > 0


async def test_a_mistake_in_the_writer_itself_leaves_nobody_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr("appliance.storage.writer.concerns_the_file", None)
        with pytest.raises(TypeError):
            await database.write(partial(unit, "@a:x", True))
    assert "unforeseen" in caplog.text
    assert await database.write(partial(unit, "@a:x", False)) == ("@a:x", 1)
