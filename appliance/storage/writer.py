"""The writer: one thread with the only connection that writes, and group commit.

It takes what is queued, runs the units in order in one transaction, commits once, and hands the outcomes to the loop.
If a unit fails on its own account, the batch is undone and its units are run again one by one, so that only that unit
and the later ones of its lane fail. If the file or the disk is at fault, nothing is run again: all fail.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from appliance.storage.connections import open_writer
from appliance.storage.errors import StorageClosed, StorageDamaged, concerns_the_file, explained, lane_broken
from appliance.storage.holds import Hold
from appliance.storage.transactions import Positions, Tx, Unit

logger = logging.getLogger(__name__)

BATCH = 256
"""Units that share one commit at most, so that the first of them does not wait for a crowd."""

Deliver = Callable[[Sequence[Unit], int], None]


class _End:
    """The last thing in the queue."""


class Writer:
    """The thread and its queue.

    Args:
        connection: the writing connection; the writer owns and closes it.
        path: its file.
        deliver: called in the writer's thread after each batch with its units, outcomes filled in, and the last
            committed position.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, deliver: Deliver) -> None:
        self._connection = connection
        self._path = path
        self._deliver = deliver
        self._queue: SimpleQueue[Unit | Hold | _End] = SimpleQueue()
        self._positions = Positions()
        self._positions.load(connection)
        self._suspect = False
        self._damage: StorageDamaged | None = None
        self._troubled = False
        self._hold: Hold | None = None
        self._closing = False
        self.commits = 0
        # A daemon, so that a program that ends without closing is not kept alive; what was acknowledged is committed.
        self._thread = threading.Thread(target=self._work, name="hearth-writer", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """The last position that was committed."""
        return self._positions.last

    def put(self, item: Unit | Hold) -> None:
        """Queue a unit, or a hold of the writer; from any thread."""
        self._queue.put(item)

    def close(self) -> None:
        """Finish what is queued, fold the log into the file, close. Blocks; nothing may be queued any more."""
        self._closing = True
        hold = self._hold
        if hold is not None:
            hold.abandon()
        self._queue.put(_End())
        self._thread.join()

    # In the writer's thread -------------------------------------------------------------------------------------

    def _work(self) -> None:
        held: Hold | _End | None = None
        while True:
            item = held or self._queue.get()
            held = None
            if isinstance(item, _End):
                break
            if isinstance(item, Hold):
                self._serve(item)
                continue
            units, held = self._gather(item)
            try:
                self._run(units)
            except Exception as error:  # a mistake of ours: nobody may be left waiting for ever
                logger.exception("The writer failed in an unforeseen way.")
                self._suspect = True
                self._fail(units, error)
            self._deliver(units, self._positions.last)
        self._finish()

    def _gather(self, first: Unit) -> tuple[list[Unit], "Hold | _End | None"]:
        """The units queued right behind the first, and what is no unit and comes next, if it was taken already."""
        units = [first]
        while len(units) < BATCH:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if not isinstance(item, Unit):
                return units, item
            units.append(item)
        return units, None

    def _run(self, units: Sequence[Unit]) -> None:
        """Run the units and fill in their outcomes."""
        try:
            self._ready()
            self._transact(units)
            return
        except BaseException as error:  # noqa: BLE001 — it goes to whoever queued the unit
            failure: BaseException = error
        self._undo()
        if concerns_the_file(failure):
            self._file_failed(units, failure)
        elif len(units) == 1:
            _break(units[0], failure)
        else:
            self._one_by_one(units)

    def _one_by_one(self, units: Sequence[Unit]) -> None:
        for number, unit in enumerate(units):
            unit.result = unit.error = None
            try:
                self._ready()
                self._transact((unit,))
            except BaseException as error:  # noqa: BLE001 — the same
                self._undo()
                if concerns_the_file(error):
                    self._file_failed(units[number:], error)
                    return
                _break(unit, error)

    def _transact(self, units: Sequence[Unit]) -> None:
        """Run the units in one transaction and commit; whatever is raised, nothing of it may stay."""
        connection, positions = self._connection, self._positions
        connection.execute("BEGIN IMMEDIATE")
        for unit in units:
            lane = unit.lane
            if lane is not None and lane.broken is not None:
                unit.error = lane_broken(lane.broken)
                continue
            tx = Tx(connection, positions)
            unit.result = unit.work(tx)
            tx.end()
        if not connection.in_transaction:
            raise RuntimeError("A unit of work ended the transaction, which is the writer's to end.")
        positions.keep(connection)
        connection.execute("COMMIT")
        positions.committed()
        self._committed()

    def _committed(self) -> None:
        self.commits += 1
        self._troubled = False

    def _undo(self) -> None:
        self._positions.rolled_back()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._suspect = True

    def _file_failed(self, units: Sequence[Unit], error: BaseException) -> None:
        """Nothing is known for certain any more: fail all, and look at the file anew before the next unit."""
        self._suspect = True
        told = explained(error, self._path)
        if isinstance(told, StorageDamaged):
            # What is written to a damaged file makes it worse. Reading goes on, so that the owner can be told.
            self._damage = told
        if not self._troubled:
            # Once, not for every unit until the disk has room again.
            logger.error("%s", told)
            self._troubled = True
        self._fail(units, error)

    def _fail(self, units: Sequence[Unit], error: BaseException) -> None:
        for unit in units:
            if unit.error is None:
                _break(unit, explained(error, self._path))

    def _ready(self) -> None:
        """After a failure of the file: a new connection, and the positions as the file has them."""
        if self._damage is not None:
            raise StorageDamaged(self._damage.message)
        if self._suspect:
            self._connection.close()
            self._connection = open_writer(self._path, create=False)
            self._positions.load(self._connection)
            self._suspect = False

    def _serve(self, hold: Hold) -> None:
        """Let one task have the connection until it ends its transaction or its time is over."""
        # Set before _closing is looked at, and close() does it the other way round: one of us sees the other.
        self._hold = hold
        try:
            if self._closing:
                raise StorageClosed(f"{self._path} is closed.")
            self._ready()
            if hold.serve(self._connection):
                self._committed()
        except BaseException as error:  # noqa: BLE001 — it goes to whoever asked for the hold
            self._undo()
            if concerns_the_file(error):
                self._file_failed((), error)
            hold.fail(explained(error, self._path))
        finally:
            self._hold = None

    def _finish(self) -> None:
        try:
            # Shutting down must not wait for whoever reads the file just now. No PRAGMA optimize: its statistics of a
            # small server would mislead the planner once it has grown, and without any our queries have the plans that
            # the tests see.
            self._connection.execute("PRAGMA busy_timeout = 0")
            if not self._suspect and self._damage is None:
                self._positions.leave(self._connection)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # All is in the log, which the next start reads.
            logger.warning("%s could not be tidied while closing.", self._path, exc_info=True)
        finally:
            self._connection.close()


def _break(unit: Unit, error: BaseException) -> None:
    """The unit failed, and its lane with it."""
    if isinstance(error, StopIteration):
        # A future cannot carry it.
        error = RuntimeError("A unit of work raised StopIteration.")
    unit.error = error
    if unit.lane is not None and unit.lane.broken is None:
        unit.lane.broken = error
