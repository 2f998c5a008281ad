"""A database in a folder of the test's own, and ways to line units up in front of the writer."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.storage.database import Database, Tx


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new database, closed at the end."""
    database = await Database.open(tmp_path / "hearth.db")
    yield database
    await database.close()


class Gate:
    """A unit that keeps the writer busy until it is opened: what is submitted meanwhile becomes one batch."""

    def __init__(self, database: Database) -> None:
        self._opened = threading.Event()
        self._entered = threading.Event()
        self.passed = database.submit(self._wait)
        database._hand_over()
        # The writer has taken it, alone, before anything else is queued.
        assert self._entered.wait(30)

    def _wait(self, tx: Tx) -> None:
        self._entered.set()
        assert self._opened.wait(30)

    def open(self) -> None:
        """Let the writer go on."""
        self._opened.set()


def note(tx: Tx, name: str) -> int:
    """Store a row that carries a position, and return the position."""
    position = tx.position()
    tx.execute("INSERT INTO device_list_changes VALUES (?, ?)", (position, name))
    return position


def noted(database: Database) -> list[tuple[int, str]]:
    """What is stored by ``note``, in order of positions."""
    return [
        (position, name)
        for position, name in database.read("SELECT position, user_id FROM device_list_changes ORDER BY position")
    ]
