"""How a database file is opened: once for writing, a few times for reading, always with the same pragmas."""

import os
import sqlite3
from pathlib import Path

from appliance.storage.errors import StorageUnavailable

OLDEST_SQLITE = (3, 35, 0)
"""RETURNING came with it."""

WAIT_MS = 5000
"""How long the writer waits for a lock that another process holds, such as that of a backup."""

LOOP_WAIT_MS = 250
"""The same for the loop's own reader. In WAL mode a reader waits only while a file is recovered after a crash."""


def open_writer(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """The writing connection.

    Args:
        path: the file.
        create: make it, readable by its owner alone, if there is none.

    Raises:
        sqlite3.Error, StorageUnavailable: the file cannot be opened.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StorageUnavailable(f"This Python comes with SQLite {sqlite3.sqlite_version}; Hearth needs 3.35 or later.")
    if create:
        _create(path)
    connection = _connect(path, wait_ms=WAIT_MS, cache_kib=4096, statements=512)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        # A log that once grew behind a long read is cut back to this at the next checkpoint.
        connection.execute("PRAGMA journal_size_limit = 8388608")
    except BaseException:
        connection.close()
        raise
    return connection


def set_up_file(connection: sqlite3.Connection) -> None:
    """Give the file the properties that stay with it, where it lacks them; it must be known to be ours, or empty.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        # Before the first table, or it has no effect without rebuilding the whole file.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA journal_mode = WAL")


def open_reader(path: Path, *, on_loop: bool = False) -> sqlite3.Connection:
    """A connection that can only read; the loop's own waits less and remembers more.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    wait_ms = LOOP_WAIT_MS if on_loop else WAIT_MS
    cache_kib, statements = (4096, 512) if on_loop else (2048, 128)
    connection = _connect(path, wait_ms=wait_ms, cache_kib=cache_kib, statements=statements)
    try:
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Make the file if there is none; SQLite's own files beside it take its permissions."""
    try:
        # An existing file is not even opened: closing it would drop all locks that this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StorageUnavailable(
            f"{path} cannot be made ({error.strerror}). Look at the disk, and at who may write in its folder."
        ) from error


def _connect(path: Path, *, wait_ms: int, cache_kib: int, statements: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        # mode=rw: a file that has vanished must not come back empty.
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=wait_ms / 1000,
        isolation_level=None,
        # Each connection is used by one thread at a time, but is opened in another.
        check_same_thread=False,
        cached_statements=statements,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA temp_store = MEMORY")
        # A mapped file turns a failing disk into a killed process, and counts as our memory.
        connection.execute("PRAGMA mmap_size = 0")
    except BaseException:
        connection.close()
        raise
    return connection
