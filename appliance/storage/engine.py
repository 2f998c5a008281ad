"""Piccolo on our own connections.

Piccolo's engine for SQLite opens a connection and a thread for every statement. This one opens none: a query that only
reads goes to the readers, every other one is a unit of the writer, and a transaction is a hold of the writer
(``holds.py``). Values come as SQLite has them, so the tables in ``tables.py`` use whole numbers, text and bytes only.

For cold queries. What is asked often is constant SQL through the database's own face.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from piccolo.engine.base import BaseBatch, Engine
from piccolo.engine.sqlite import Atomic, SQLiteTransaction, TransactionType
from piccolo.query.base import Query
from piccolo.querystring import QueryString

from appliance.storage.connections import open_reader
from appliance.storage.errors import StorageError
from appliance.storage.holds import Hold
from appliance.storage.transactions import as_dicts

if TYPE_CHECKING:
    from piccolo.table import Table

    from appliance.storage.database import Database

Rows = list[dict[str, Any]]


class HeldConnection:
    """The writer's connection for the length of one transaction, as Piccolo's transactions and savepoints use it."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement inside the transaction."""
        return await self.hold.run(lambda connection: as_dicts(connection.execute(sql, parameters)))

    async def close(self) -> None:
        """Give the writer back; what was not committed is undone."""
        if not self.hold.over:
            self.hold.abandon()


class HearthTransaction(SQLiteTransaction):
    """``async with engine.transaction(): …``: commits at the end, undoes everything after an exception.

    It has the writer to itself from the start, of whatever type it is said to be, and for a bounded time
    (StorageTooSlow). One inside another joins it, unless ``allow_nested`` is false.
    """

    engine: "HearthEngine"  # type: ignore[assignment]
    connection: HeldConnection

    async def begin(self) -> None:
        """The hold has begun already."""

    async def commit(self) -> None:
        """Keep what was done; nothing can follow in this transaction."""
        await self.connection.hold.commit()
        self._committed = True

    async def rollback(self) -> None:
        """Undo what was done; nothing can follow in this transaction."""
        await self.connection.hold.rollback()
        self._rolled_back = True

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Commit or undo, unless that was done by hand, and give the writer back whatever happens."""
        if self._parent is not None:
            return exception is None
        try:
            if exception is None:
                if not (self._committed or self._rolled_back):
                    await self.commit()
            elif not self.connection.hold.over:
                # Where undoing fails too, the writer does it; what went wrong first is what the caller must hear.
                with suppress(StorageError):
                    await self.rollback()
        finally:
            await self.connection.close()
            self.engine.current_transaction.reset(self.context)  # type: ignore[arg-type]
        return exception is None


class RowBatch(BaseBatch):
    """The rows of one query, some at a time, on a reading connection of its own.

    Args:
        database: where to read.
        query: Piccolo's select.
        size: rows at a time.
    """

    def __init__(self, database: "Database", query: Query[Any, Any], size: int) -> None:
        self._database = database
        self._query = query
        self._size = size
        self._connection: sqlite3.Connection
        self._cursor: sqlite3.Cursor

    async def __aenter__(self) -> Self:
        """Run the query."""
        await asyncio.to_thread(self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._connection.close)

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> Rows:
        """The next rows."""
        rows = await asyncio.to_thread(self._next)
        if not rows:
            raise StopAsyncIteration
        processed: Rows = await self._query._process_results(rows)
        return processed

    def _begin(self) -> None:
        sql, parameters = self._query.querystrings[0].compile_string(engine_type="sqlite")
        self._connection = open_reader(self._database.path)
        try:
            self._cursor = self._connection.execute(sql, parameters)
        except BaseException:
            self._connection.close()
            raise

    def _next(self) -> Rows:
        names = [column[0] for column in self._cursor.description]
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchmany(self._size)]


class HearthEngine(Engine[HearthTransaction]):
    """The engine over one open database; its life is the database's."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self.current_transaction: ContextVar[HearthTransaction | None] = ContextVar(
            f"hearth_transaction_{id(database)}", default=None
        )
        # What Engine.__init__ does besides, checking the version, starts a thread when a loop is running; the version
        # was checked when the file was opened.
        self.engine_type = "sqlite"
        self.min_version_number = 3.35
        self.log_queries = self.log_responses = False
        self.query_id = 0

    async def get_version(self) -> float:
        """SQLite's version, as Piccolo counts it."""
        return self.get_version_sync()

    def get_version_sync(self) -> float:
        """SQLite's version, as Piccolo counts it."""
        major, minor, _ = sqlite3.sqlite_version_info
        return float(f"{major}.{minor}")

    async def prep_database(self) -> None:
        """Nothing is needed: pragmas are set where the file is opened."""

    def holding(self) -> bool:
        """Whether the running task is inside a transaction of this engine that has not ended."""
        return self._current() is not None

    def transaction(
        self, transaction_type: TransactionType = TransactionType.immediate, allow_nested: bool = True
    ) -> HearthTransaction:
        """A transaction, to be entered with ``async with``; the type is of no consequence."""
        return HearthTransaction(self, transaction_type=transaction_type, allow_nested=allow_nested)  # type: ignore[arg-type]

    def atomic(self, transaction_type: TransactionType = TransactionType.immediate) -> Atomic:
        """Queries to be gathered and run in one transaction."""
        return Atomic(self, transaction_type=transaction_type)  # type: ignore[arg-type]

    async def batch(self, query: Query[Any, Any], batch_size: int = 100, node: str | None = None) -> RowBatch:
        """The rows of a query, ``batch_size`` at a time; there are no nodes."""
        return RowBatch(self._database, query, batch_size)

    async def get_connection(self) -> HeldConnection:
        """The writer, held for a transaction that has begun; to be closed."""
        return HeldConnection(await self._database.hold())

    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Rows:
        """Run one query, inside the task's transaction if there is one."""
        sql, parameters = querystring.compile_string(engine_type=self.engine_type)
        return await self._run(sql, parameters)

    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Rows:
        """Run one statement that changes the schema, inside the task's transaction if there is one."""
        return await self._run(ddl, ())

    async def _run(self, sql: str, parameters: Sequence[Any]) -> Rows:
        transaction = self._current()
        if transaction is not None:
            return await transaction.connection.execute(sql, parameters)
        return await self._run_in_new_connection(sql, parameters)

    async def _run_in_new_connection(
        self,
        query: str,
        args: Sequence[Any] | None = None,
        query_type: str = "generic",
        table: "type[Table] | None" = None,
    ) -> Rows:
        """Piccolo's name for a query outside any transaction; no connection is opened."""
        parameters = args or ()
        if query.lstrip()[:6].upper() == "SELECT":
            return await self._database.reading(lambda reader: reader.dicts(query, parameters))
        return await self._database.write(lambda tx: tx.dicts(query, parameters))

    def _current(self) -> HearthTransaction | None:
        """The running task's transaction; none if it has ended, as for a task that was started inside and lives on."""
        transaction = self.current_transaction.get()
        if transaction is None or transaction.connection.hold.over:
            return None
        return transaction
