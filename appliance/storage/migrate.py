"""Brings a database file to the schema of this Hearth, step by step.

The file's ``user_version`` is the number of the last step applied. The module of a step is imported only when the step
is due, so that a start with a current file pays nothing for its history.
"""

import sqlite3
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from appliance.storage.errors import NewerDataFolder, StorageDamaged

STEPS: tuple[str, ...] = (
    "m0001_first",
    "m0002_upkeep",
    "m0003_engine",
    "m0004_federation",
    "m0005_fedrooms",
    "m0006_encryption",
    "m0007_unread",
    "m0008_relations",
    "m0009_people",
    "m0010_sliding",
    "m0011_plain_members",
    "m0012_queues",
    "m0013_allowances",
    "m0014_requests",
    "m0015_parcels",
    "m0016_runs",
    "m0017_departures",
)
"""Modules of ``appliance.storage.migrations``, in order. Each has STATEMENTS: SQL, run in one transaction."""


def check(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """See that the file is empty or one of ours, and not from the future; changes nothing.

    Raises:
        NewerDataFolder: the file has had more steps than we know.
        StorageDamaged: it holds tables, but not ours.
        sqlite3.Error: it cannot be read.
    """
    applied = _applied(connection)
    if applied > len(steps):
        raise NewerDataFolder(
            f"{path} was last used by a newer Hearth (its schema is number {applied}, this Hearth knows up to "
            f"{len(steps)}). Start that version again, or put back a backup made before the update."
        )
    if applied < 0 or (applied == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,)):
        raise StorageDamaged(f"{path} is a database, but not one of Hearth's. Move it away, or choose another folder.")


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """Apply what the file still lacks, each step in a transaction of its own.

    Args:
        connection: the writing connection, outside any transaction.
        path: the file, for messages; ``check`` found it good.
        steps: names of the modules; other than STEPS in tests only.

    Raises:
        StorageDamaged: a step left rows that refer to nothing.
        sqlite3.Error: a step failed; the file is as it was before that step.
    """
    applied = _applied(connection)
    if applied == len(steps):
        return
    # A step that rebuilds a table drops the old one, which must not take the rows along that refer to it. The pragma
    # does nothing inside a transaction.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        for number, name in enumerate(steps[applied:], applied + 1):
            _apply(connection, path, number, import_module(f"appliance.storage.migrations.{name}").STATEMENTS)
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _apply(connection: sqlite3.Connection, path: Path, number: int, statements: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise StorageDamaged(
                f"{path} holds rows that refer to rows that are gone, so it cannot be brought to schema {number}. "
                "Put back a backup."
            )
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _applied(connection: sqlite3.Connection) -> int:
    (applied,) = connection.execute("PRAGMA user_version").fetchone()
    return int(applied)
