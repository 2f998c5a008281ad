"""A database file as the rest of Hearth sees it: reads at once, reads in threads, units of work for the writer.

Storage functions take a :class:`Tx` where they write, and :class:`Reads` where they read: the database on the loop, a
:class:`Reader` in a thread, or a Tx.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from appliance.storage.connections import open_reader, open_writer, set_up_file
from appliance.storage.errors import StorageClosed, explained
from appliance.storage.holds import Hold, settle
from appliance.storage.migrate import STEPS, check, migrate
from appliance.storage.readers import OpenFile, Reader, Readers
from appliance.storage.transactions import Lane, Reads, Row, Tx, Unit
from appliance.storage.writer import Writer

if TYPE_CHECKING:
    from appliance.storage.engine import HearthEngine

__all__ = ["Database", "Lane", "Reader", "Reads", "Row", "Tx"]

logger = logging.getLogger(__name__)
T = TypeVar("T")

HOLD_SECONDS = 30.0
"""How long one Piccolo transaction may keep everybody else from writing."""


class Database:
    """One open database file; made by :meth:`open`, used on one event loop.

    Attributes:
        path: the file.
        file: stands for the open file, in caches of what is read of it.
        position: the last published position of the stream. Readers see commits before they are published, so every
            answer takes ``position <= upto`` with an ``upto`` read here together with the snapshots that it uses.
        on_published: called with the new position after a commit that moved it, once the senders have been answered.
        deliveries: how many batches of units have ended, well or not. As long as it stays the same, nothing came into
            the database that was not on its way.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, hold_seconds: float) -> None:
        self.path = path
        self.deliveries = 0
        self.on_published: list[Callable[[int], None]] = []
        self._hold_seconds = hold_seconds
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Future[None] | None = None
        self._outgoing: list[Unit] = []
        self._engine: HearthEngine | None = None
        self.file = OpenFile()
        self._reader = Reader(open_reader(path, on_loop=True), path, self.file)
        try:
            self._readers = Readers(path, self.file)
            self._writer = Writer(connection, path, self._delivered)
        except BaseException:
            self._reader.close()
            raise
        self.position = self._writer.position

    @classmethod
    async def open(cls, path: Path, *, steps: Sequence[str] = STEPS, hold_seconds: float = HOLD_SECONDS) -> "Database":
        """Open or make a database file and bring it to the current schema.

        Args:
            path: the file; its folder must exist.
            steps: the migrations, see ``migrate.py``.
            hold_seconds: how long a Piccolo transaction may take.

        Raises:
            StorageError: a sentence for the owner: locked, damaged, unreadable, or from a newer Hearth.
        """
        try:
            connection = await asyncio.to_thread(_prepared, path, steps)
            try:
                return cls(path, connection, hold_seconds)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise explained(error, path) from error

    # Reading -----------------------------------------------------------------------------------------------------

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query, at once on the loop's thread: only what is indexed and bounded.

        Raises:
            StorageError: the file cannot be read. sqlite3.Error: the query is wrong.
        """
        return self._reader.read(sql, parameters)

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query, run in a thread; raises as :meth:`read`."""
        return await self._readers.fetch(sql, parameters)

    async def reading(self, work: Callable[[Reader], T]) -> T:
        """Run several reads in a thread, all of one moment; raises as :meth:`read` and what ``work`` raises."""
        return await self._readers.reading(work)

    # Writing -----------------------------------------------------------------------------------------------------

    def submit(
        self,
        work: Callable[[Tx], T],
        *,
        lane: Lane | None = None,
        published: Callable[[T], None] | None = None,
    ) -> "asyncio.Future[T]":
        """Queue a unit of work. Units are committed in the order in which they were submitted.

        The queue has no bound of its own: each waiting request holds one or a few units, and how many requests may wait
        is for the listeners to say. A unit is run even if nobody waits for its future any more.

        Args:
            work: runs in the writer's thread inside a transaction, perhaps twice; it changes nothing by other means
                than its Tx.
            lane: what the unit builds on; see :class:`Lane`.
            published: called on the loop with the result once it is committed: in commit order, in one step with the
                others of the batch, before ``position`` moves and before any future has its result.

        Returns:
            A future with the result of ``work`` after the commit; or with what it raised, LaneBroken if an earlier unit
            of the lane failed, another StorageError if the file or its disk did.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing is not None:
            future.set_exception(StorageClosed(f"{self.path} is closed."))
            return future
        if self._engine is not None and self._engine.holding():
            raise RuntimeError("A unit of work cannot be written inside a Piccolo transaction: it would wait for ever.")
        if not self._outgoing:
            # What is submitted at one go goes to the writer together: each time that it wakes up, it and the loop get
            # into each other's way. That is a third of the cost of many small units.
            self._loop.call_soon(self._hand_over)
        self._outgoing.append(Unit(work, lane, published, future))
        return future

    def _hand_over(self) -> None:
        """Give the writer what was submitted."""
        units, self._outgoing = self._outgoing, []
        for unit in units:
            self._writer.put(unit)

    async def write(
        self,
        work: Callable[[Tx], T],
        *,
        lane: Lane | None = None,
        published: Callable[[T], None] | None = None,
    ) -> T:
        """:meth:`submit`, and wait for the commit. Cancelling the wait does not undo the unit."""
        return await self.submit(work, lane=lane, published=published)

    @property
    def commits(self) -> int:
        """Transactions committed since the file was opened."""
        return self._writer.commits

    # Piccolo -----------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> "HearthEngine":
        """The Piccolo engine over this file; Piccolo is imported at the first use."""
        if self._engine is None:
            from appliance.storage import tables
            from appliance.storage.engine import HearthEngine

            self._engine = HearthEngine(self)
            tables.bind(self._engine)
        return self._engine

    async def hold(self) -> Hold:
        """Have the writer for one transaction of several steps; for the engine.

        Raises:
            StorageError: the transaction could not begin.
        """
        if self._closing is not None:
            raise StorageClosed(f"{self.path} is closed.")
        hold = Hold(self.path, self._hold_seconds)
        self._hand_over()
        self._writer.put(hold)
        await hold.start()
        return hold

    # Ending ------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Finish what is queued, cut off what is being read, fold the log into the file and close it."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._hand_over()
        await self._readers.close()
        await asyncio.to_thread(self._writer.close)
        # Deliveries came to the loop before this did.
        self._reader.close()

    # What the writer reports ---------------------------------------------------------------------------------------

    def _delivered(self, units: Sequence[Unit], position: int) -> None:
        """In the writer's thread: a batch is done."""
        try:
            self._loop.call_soon_threadsafe(self._publish, units, position)
        except RuntimeError:
            logger.debug("The loop is closed; %d outcomes have nobody to go to.", len(units))

    def _publish(self, units: Sequence[Unit], position: int) -> None:
        """On the loop, in one step: what was committed becomes visible, then the senders are answered."""
        self.deliveries += 1
        for unit in units:
            if unit.error is None and unit.published is not None:
                try:
                    unit.published(unit.result)
                except Exception:
                    # It is committed; the others' memory must not suffer for it.
                    logger.exception("What follows a commit failed.")
        moved = position != self.position
        self.position = position
        for unit in units:
            settle(unit.future, unit.result, unit.error)
        if moved:
            # Behind the senders, which the futures have just scheduled.
            self._loop.call_soon(self._announce, position)

    def _announce(self, position: int) -> None:
        for listener in tuple(self.on_published):
            try:
                listener(position)
            except Exception:
                logger.exception("A listener to published positions failed.")


def _prepared(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    """The writing connection to a file with the current schema."""
    connection = open_writer(path)
    try:
        check(connection, path, steps)
        set_up_file(connection)
        migrate(connection, path, steps)
    except BaseException:
        connection.close()
        raise
    return connection
