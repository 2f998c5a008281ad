"""A hold: one task has the writer to itself from BEGIN to COMMIT, statement by statement, as Piccolo's transactions do.

Everybody else's writes wait meanwhile, so it is for rare work, and its time is bounded. Whatever belongs to the hot
path is a unit (``transactions.py``).
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from appliance.storage.errors import StorageClosed, StorageTooSlow, concerns_the_file, explained

T = TypeVar("T")
Action = Callable[[sqlite3.Connection], Any]


class _Command:
    """Something to do with the connection, and who waits for what comes of it."""

    __slots__ = ("action", "future")

    def __init__(self, action: Action, future: "asyncio.Future[Any]") -> None:
        self.action = action
        self.future = future


class Hold:
    """One transaction that is driven from the loop.

    Args:
        path: the database file, for messages.
        seconds: how long it may keep the writer in all.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._commands: SimpleQueue[_Command | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._over: BaseException | None = None
        self._committed = False
        self._started = self._loop.create_future()

    # On the loop -------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._over is not None

    async def start(self) -> None:
        """Wait until the writer is ours and the transaction has begun.

        Raises:
            StorageError: it could not begin.
        """
        try:
            await self._started
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def commit(self) -> None:
        """End the transaction and keep what it did; raises as :meth:`run`."""
        await self.run(self._commit)

    async def rollback(self) -> None:
        """End the transaction and undo what it did; raises as :meth:`run`."""
        await self.run(_rollback)

    async def run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection, in the writer's thread.

        Raises:
            StorageError: the file failed, or the hold is over.
            sqlite3.Error: the action's own failure; the transaction goes on.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        with self._lock:
            if self._over is not None:
                raise explained(self._over, self._path)
            self._commands.put(_Command(action, future))
        return await future

    def abandon(self) -> None:
        """Undo everything as soon as the action in progress is done; from any thread."""
        self._commands.put(None)

    # In the writer's thread --------------------------------------------------------------------------------------

    def serve(self, connection: sqlite3.Connection) -> bool:
        """Begin, and do what is asked until the transaction has ended; whether it was committed.

        Raises:
            StorageError, sqlite3.Error: it came to no good end; what is left of it must be undone.
        """
        connection.execute("BEGIN IMMEDIATE")
        self._tell(self._started, None, None)
        end = time.monotonic() + self._seconds
        while connection.in_transaction:
            self._next(connection, end)
        self.fail(StorageClosed("The transaction has ended."))
        return self._committed

    def fail(self, error: BaseException) -> None:
        """It is over: whoever waits, or asks later, is told why."""
        with self._lock:
            self._over = error
        self._tell(self._started, None, error)
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            if command is not None:
                self._tell(command.future, None, explained(error, self._path))

    def _commit(self, connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")
        self._committed = True

    def _next(self, connection: sqlite3.Connection, end: float) -> None:
        try:
            command = self._commands.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            raise StorageTooSlow(
                f"A transaction kept {self._path} from being written for {self._seconds:g} seconds and was undone."
            ) from None
        if command is None:
            raise StorageClosed("The transaction was given up and undone.")
        try:
            result = command.action(connection)
        except BaseException as error:
            self._tell(command.future, None, explained(error, self._path))
            if concerns_the_file(error) or not connection.in_transaction:
                raise
            return
        if not connection.in_transaction:
            # Before the answer, so that who has it finds the hold over.
            with self._lock:
                self._over = StorageClosed("The transaction has ended.")
        self._tell(command.future, result, None)

    def _tell(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(settle, future, result, error)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            self._commands.put(None)


def _rollback(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK")


def settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    """Give a future its outcome, unless its waiter has left."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
