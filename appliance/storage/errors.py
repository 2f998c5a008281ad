"""What can go wrong with a database file, each as a sentence that the owner can act on.

A unit that fails on its own account (a constraint, a mistake in its code) raises what it raised; only what concerns the
file or the machine becomes one of these.
"""

# ruff: noqa: N818 — the names say what happened, and read as such in "except"

import sqlite3
from pathlib import Path

from appliance.errors import OwnerError


class StorageError(OwnerError):
    """Something about the database file or its disk; nothing that was acknowledged is lost."""


class StorageFull(StorageError):
    """The disk, or the room that the file may take, is full."""


class StorageDamaged(StorageError):
    """The file is not a database, or its contents contradict each other."""


class StorageBusy(StorageError):
    """Another process holds the file locked, for longer than we wait."""


class StorageUnavailable(StorageError):
    """The file cannot be opened, read or written: permissions, a read-only disk, a failing disk."""


class StorageClosed(StorageError):
    """The database was closed, or is being closed."""


class StorageTooSlow(StorageError):
    """A transaction kept the writer for longer than it may."""


class NewerDataFolder(StorageError):
    """The data was last used by a newer Hearth, whose schema this one does not know."""


class LaneBroken(StorageError):
    """An earlier unit of the same lane failed (``__cause__``), so this one was not run: build it anew."""


_FULL = frozenset({sqlite3.SQLITE_FULL})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL})
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERNAL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_OF_THE_FILE = _FULL | _DAMAGED | _BUSY | _UNAVAILABLE


def _code(error: BaseException) -> int:
    """SQLite's primary result code; 0 for an error that did not come from SQLite itself."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


def concerns_the_file(error: BaseException) -> bool:
    """Whether the file, the disk or the memory is at fault, so that trying a unit alone cannot help."""
    own = StorageFull | StorageDamaged | StorageBusy | StorageUnavailable | MemoryError
    return isinstance(error, own) or _code(error) in _OF_THE_FILE


def explained(error: BaseException, path: Path) -> BaseException:
    """The error to hand to a caller: a new StorageError if the file is at fault, else the error itself."""
    if isinstance(error, StorageError):
        copy = type(error)(error.message)
        copy.__cause__ = error
        return copy
    if not concerns_the_file(error):
        return error
    told = _told(error, path)
    told.__cause__ = error
    return told


def _told(error: BaseException, path: Path) -> StorageError:
    code, detail = _code(error), str(error) or type(error).__name__
    if code in _FULL:
        return StorageFull(
            f"There is no room left on the disk for {path}. Nothing that was stored is lost; "
            "free some space and Hearth goes on by itself."
        )
    if code in _DAMAGED:
        return StorageDamaged(
            f"{path} is damaged ({detail}). Stop Hearth, keep the damaged file and the files beside it with the same "
            "beginning, and put back a backup."
        )
    if code in _BUSY:
        return StorageBusy(
            f"{path} is locked by another program. Close what has it open, a backup or a database browser perhaps, "
            "and try again."
        )
    return StorageUnavailable(
        f"{path} cannot be read or written ({detail}). Look at the disk, and at who may write in its folder."
    )


def lane_broken(cause: BaseException) -> LaneBroken:
    """The error of a unit that was not run because an earlier one of its lane failed."""
    error = LaneBroken("Something stored just before this could not be kept, so this was not stored either: try again.")
    error.__cause__ = cause
    return error
