"""Reading: persistent connections that can only read, one for the loop's thread and a few for threads of their own."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from appliance.storage.connections import open_reader
from appliance.storage.errors import StorageClosed, concerns_the_file, explained
from appliance.storage.transactions import Row, as_dicts

T = TypeVar("T")

THREADS = 3
"""Long reads at once; further ones wait for their turn."""

_STEPS = 10_000
"""Instructions of SQLite's machine, well under a millisecond's worth."""


class OpenFile:
    """What all that read one open database have in common: the key of caches of what is committed and never changes."""


class Reader:
    """Reads on one connection. Errors of the file come out as StorageError, those of the SQL as sqlite3.Error.

    Args:
        connection: the connection.
        path: its file, for messages.
        file: stands for the open database.
    """

    __slots__ = ("_closed", "_connection", "_path", "file")

    def __init__(self, connection: sqlite3.Connection, path: Path, file: OpenFile) -> None:
        self._connection = connection
        self._path = path
        self._closed = False
        self.file = file

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            self._explain(error)
            raise

    def snapshot(self, work: Callable[["Reader"], T]) -> T:
        """Run ``work`` on this reader; all that it reads is of one moment."""
        self.read("BEGIN DEFERRED")
        try:
            return work(self)
        finally:
            # Nothing was written, so this only lets the snapshot go.
            if self._connection.in_transaction:
                self.read("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._connection.close()

    def dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of one query, each by the names of its columns."""
        try:
            return as_dicts(self._connection.execute(sql, parameters))
        except sqlite3.Error as error:
            self._explain(error)
            raise

    def _explain(self, error: sqlite3.Error) -> None:
        if self._closed:
            raise StorageClosed(f"{self._path} is closed.") from error
        # Read-only in the plain sense is what every reader is: a mistake in the query, not in the file.
        if concerns_the_file(error) and error.sqlite_errorcode != sqlite3.SQLITE_READONLY:
            raise explained(error, self._path) from error


class Readers:
    """The connections for reading off the loop.

    Args:
        path: the database file; it must exist.
        file: stands for the open database.
    """

    def __init__(self, path: Path, file: OpenFile) -> None:
        self._path = path
        self._file = file
        self._closed = False
        self._free: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._all: list[sqlite3.Connection] = []
        try:
            for _ in range(THREADS):
                self._all.append(open_reader(path))
        except BaseException:
            for connection in self._all:
                connection.close()
            raise
        for connection in self._all:
            # Asked now and then by SQLite while a query runs: whether to cut it off. interrupt() would miss a query
            # that begins a moment later.
            connection.set_progress_handler(self._is_closed, _STEPS)
            self._free.put(connection)
        # Threads come into being as they are needed.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hearth-reader")

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of one query."""
        return await self._run(lambda reader: reader.read(sql, parameters))

    async def reading(self, work: Callable[[Reader], T]) -> T:
        """Run ``work`` in a thread; all that it reads is of one moment."""
        return await self._run(lambda reader: reader.snapshot(work))

    async def _run(self, work: Callable[[Reader], T]) -> T:
        if self._closed:
            raise StorageClosed(f"{self._path} is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._borrow, work)

    def _borrow(self, work: Callable[[Reader], T]) -> T:
        if self._closed:
            raise StorageClosed(f"{self._path} is closed.")
        # As many connections as threads, so this never waits.
        connection = self._free.get()
        try:
            return work(Reader(connection, self._path, self._file))
        except sqlite3.OperationalError as error:
            if self._closed:
                raise StorageClosed(f"{self._path} was closed while it was read.") from error
            raise
        finally:
            self._free.put(connection)

    async def close(self) -> None:
        """Cut off what is being read and close all connections."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _is_closed(self) -> bool:
        return self._closed

    def _close(self) -> None:
        self._threads.shutdown()
        for connection in self._all:
            connection.close()
