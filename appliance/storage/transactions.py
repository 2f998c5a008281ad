"""What a unit of work is given, and how positions of the stream are allotted.

A unit is a callable that gets a :class:`Tx`. It runs in the writer's thread, together with others in one transaction,
and perhaps a second time if one of those fails: apart from what it executes it must change nothing.
"""

import sqlite3
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from appliance.storage.errors import concerns_the_file

Row = tuple[Any, ...]


class Reads(Protocol):
    """Whatever answers a query: the database on the loop, a reader in a thread, a unit's Tx."""

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query."""
        ...


class Lane:
    """Units that build on each other, such as those of one room: when one fails, none that follows may be stored.

    Attributes:
        broken: why; None while all is well. Set by the writer the moment a unit fails, and never mended: whoever owned
            the lane reads its state from the database again and goes on with a new one.
    """

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken: BaseException | None = None


AHEAD = 1_000
"""Positions that the file gives up at a time: what a kill may leave out of the stream."""


class Positions:
    """The stream's counters, as the transaction in progress sees them and as they were last committed.

    ``last`` counts up from 1. The table ``stream`` has a position that none is given beyond, and is written once in
    ``AHEAD`` positions, since a commit that need not write it has a page less to write. Whoever opens the file after a
    kill goes on from there; closing it leaves the last one that was given. ``past`` counts down from -1 for events
    fetched from before our time, and is found again from the events themselves.
    """

    __slots__ = ("_committed_last", "_committed_past", "_keeping", "_kept", "last", "past")

    def __init__(self) -> None:
        self.last = self._committed_last = 0
        self.past = self._committed_past = 0
        self._kept = self._keeping = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Read both from the file; what was given before and is known to be committed is never given again."""
        (self._kept,) = connection.execute("SELECT position FROM stream").fetchone()
        (past,) = connection.execute("SELECT min(position) FROM events WHERE position IS NOT NULL").fetchone()
        self._keeping = self._kept
        self.last = max(self._kept, self._committed_last)
        self.past = min(past or 0, self._committed_past)
        self._committed_last, self._committed_past = self.last, self.past

    def keep(self, connection: sqlite3.Connection) -> None:
        """Before a commit: see that the file knows of positions as far as they were taken."""
        if self.last > self._kept:
            self._keeping = self.last + AHEAD
            connection.execute("UPDATE stream SET position = ?", (self._keeping,))

    def committed(self) -> None:
        """The transaction was committed."""
        self._committed_last, self._committed_past = self.last, self.past
        self._kept = self._keeping

    def rolled_back(self) -> None:
        """The transaction was undone: what it took is free again."""
        self.last, self.past = self._committed_last, self._committed_past
        self._keeping = self._kept

    def leave(self, connection: sqlite3.Connection) -> None:
        """Before the file is closed: leave no positions out."""
        if self._committed_last < self._kept:
            connection.execute("UPDATE stream SET position = ?", (self._committed_last,))
            self._kept = self._keeping = self._committed_last


class Tx:
    """The face of the transaction for one unit; of no use once the unit has returned."""

    __slots__ = ("_connection", "_positions", "refusal")

    def __init__(self, connection: sqlite3.Connection, positions: Positions) -> None:
        self._connection = connection
        self._positions = positions
        self.refusal: BaseException | None = None
        """Why nothing more may be executed: the file failed under us, or the unit is over."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement (no transaction control) and return all its rows.

        Raises:
            sqlite3.Error: as SQLite says, such as IntegrityError; a unit may catch that one and go on.
        """
        if self.refusal is not None:
            raise self.refusal
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, MemoryError) as error:
            self._consider(error)
            raise

    read = execute
    """The same under the name that database and readers have, for functions that only read."""

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that returns nothing, and return how many rows it inserted, changed or deleted."""
        if self.refusal is not None:
            raise self.refusal
        try:
            return self._connection.execute(sql, parameters).rowcount
        except (sqlite3.Error, MemoryError) as error:
            self._consider(error)
            raise

    def dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run one statement and return its rows by the names of their columns, as Piccolo wants them."""
        if self.refusal is not None:
            raise self.refusal
        try:
            return as_dicts(self._connection.execute(sql, parameters))
        except (sqlite3.Error, MemoryError) as error:
            self._consider(error)
            raise

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement that returns nothing for each of the rows."""
        if self.refusal is not None:
            raise self.refusal
        try:
            self._connection.executemany(sql, rows)
        except (sqlite3.Error, MemoryError) as error:
            self._consider(error)
            raise

    def position(self) -> int:
        """Take the next position of the stream."""
        self._positions.last += 1
        return self._positions.last

    def past_position(self) -> int:
        """Take the next position for an event from before our time: -1, -2, and so on."""
        self._positions.past -= 1
        return self._positions.past

    def end(self) -> None:
        """The unit has returned.

        Raises:
            BaseException: the error after which it should not have gone on.
        """
        if self.refusal is not None:
            raise self.refusal
        self.refusal = RuntimeError("A unit of work is over: its Tx cannot be used any more.")

    def _consider(self, error: BaseException) -> None:
        # After a full disk or the like SQLite may have undone the transaction; what a unit that swallows the error
        # executed next would then be committed by itself.
        if concerns_the_file(error) or not self._connection.in_transaction:
            self.refusal = error


class Unit:
    """One unit of work on its way: what to run, for whom, and what came of it."""

    __slots__ = ("error", "future", "lane", "published", "result", "work")

    def __init__(
        self,
        work: Callable[[Tx], Any],
        lane: Lane | None,
        published: Callable[[Any], None] | None,
        future: "Future[Any]",
    ) -> None:
        self.work = work
        self.lane = lane
        self.published = published
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


def as_dicts(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    """All rows of a cursor, each by the names of its columns; empty for a statement without rows."""
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
