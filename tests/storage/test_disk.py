"""What the file and its disk can do to us: full, failing, damaged, locked, vanished, unwritable.

Each time: a sentence for the owner, nothing acknowledged lost, and where it can be mended, no restart needed.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from appliance.errors import OwnerError
from appliance.storage import connections, transactions
from appliance.storage.database import Database, Lane, Tx
from appliance.storage.errors import (
    LaneBroken,
    StorageBusy,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from tests.storage.conftest import Gate, note, noted

pytestmark = pytest.mark.anyio


def fill(tx: Tx) -> None:
    """Store more than the file may take."""
    tx.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size for the least
    for number in range(1000):
        tx.execute("INSERT INTO setup VALUES (?, ?)", (str(number), "x" * 4000))


@pytest.fixture(autouse=True)
def _no_position_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file knows the last position after each commit, so that the next one says what was committed."""
    monkeypatch.setattr(transactions, "AHEAD", 0)


async def test_a_full_disk_fails_all_that_wait_and_is_over_by_itself(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert await database.write(partial(note, name="@kept:x")) == 1
    lanes = [Lane(), Lane()]
    run: list[str] = []

    def counted(tx: Tx) -> None:
        run.append("counted")

    gate = Gate(database)
    futures = [
        database.submit(partial(note, name="@before:x"), lane=lanes[0]),
        database.submit(fill),
        database.submit(counted, lane=lanes[1]),
        database.submit(partial(note, name="@free:x")),
    ]
    gate.open()
    results = await asyncio.gather(gate.passed, *futures, return_exceptions=True)
    # Nothing was tried again alone: the one after the bad one never ran.
    assert run == []
    assert all(isinstance(result, StorageFull) for result in results[1:])
    assert len({id(result) for result in results[1:]}) == 4
    assert "no room left" in str(results[1])
    assert str(database.path) in str(results[1])
    assert len(caplog.records) == 1
    assert all(isinstance(lane.broken, StorageFull) for lane in lanes)
    with pytest.raises(LaneBroken):
        await database.write(counted, lane=lanes[0])

    # What was acknowledged is there, and so is the next position.
    assert noted(database) == [(1, "@kept:x")]
    assert await database.write(partial(note, name="@after:x"), lane=Lane()) == 2
    assert database.position == 2


async def test_a_unit_that_swallows_a_full_disk_fails_all_the_same(database: Database) -> None:
    def swallow(tx: Tx) -> int:
        with contextlib.suppress(sqlite3.Error):
            fill(tx)
        with contextlib.suppress(sqlite3.Error):
            return note(tx, "@never:x")
        return 0

    with pytest.raises(StorageFull):
        await database.write(swallow)
    assert noted(database) == []


class Flaky(sqlite3.Connection):
    """A connection whose statements fail as ``plan`` says, with that code; negative: after they were run."""

    plan: ClassVar[Callable[[str], int | None]] = staticmethod(lambda sql: None)

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        code = Flaky.plan(sql)
        if code is not None:
            if code < 0:
                super().execute(sql, parameters)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = abs(code)
            raise error
        return super().execute(sql, parameters)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Flaky]]:
    """Connections opened from now on are flaky; all is well in the end."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Flaky))
    yield Flaky
    Flaky.plan = staticmethod(lambda sql: None)


def failing_once(statement: str, code: int) -> Callable[[str], int | None]:
    """A plan: the first statement that begins so fails."""
    left = [code]
    return staticmethod(lambda sql: left.pop() if left and sql.startswith(statement) else None)


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO device", "UPDATE stream", "COMMIT"])
async def test_an_io_error_anywhere_fails_the_batch_and_no_other(
    tmp_path: Path, flaky: type[Flaky], statement: str
) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    assert await database.write(partial(note, name="@kept:x")) == 1
    lane = Lane()
    gate = Gate(database)
    published: list[int] = []
    futures = [
        database.submit(partial(note, name=f"@{number}:x"), lane=lane, published=published.append)
        for number in range(5)
    ]
    flaky.plan = failing_once(statement, sqlite3.SQLITE_IOERR_FSYNC)
    if statement == "COMMIT":
        # The gate has a COMMIT of its own, which is to succeed.
        flaky.plan = staticmethod(_second(flaky.plan, "COMMIT"))
    gate.open()
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, StorageUnavailable) for result in results)
    assert published == []
    assert lane.broken is not None
    assert await database.write(partial(note, name="@after:x"), lane=Lane()) == 2
    assert noted(database) == [(1, "@kept:x"), (2, "@after:x")]
    await database.close()


def _second(plan: Callable[[str], int | None], statement: str) -> Callable[[str], int | None]:
    passed: list[str] = []

    def wrapped(sql: str) -> int | None:
        if sql.startswith(statement) and not passed:
            passed.append(sql)
            return None
        return plan(sql)

    return wrapped


async def test_a_commit_that_took_place_though_it_failed_takes_its_positions_along(
    tmp_path: Path, flaky: type[Flaky]
) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    flaky.plan = failing_once("COMMIT", -sqlite3.SQLITE_IOERR_FSYNC)
    with pytest.raises(StorageUnavailable):
        await database.write(partial(note, name="@unknown:x"))
    # Not published; what comes next is published with it, and takes another position.
    assert database.position == 0
    assert await database.write(partial(note, name="@after:x")) == 2
    assert database.position == 2
    assert noted(database) == [(1, "@unknown:x"), (2, "@after:x")]
    await database.close()


async def test_an_io_error_during_the_replay_fails_the_rest_and_keeps_what_was_committed(
    tmp_path: Path, flaky: type[Flaky]
) -> None:
    database = await Database.open(tmp_path / "hearth.db")

    def bad(tx: Tx) -> int:
        raise ValueError

    gate = Gate(database)
    futures = [database.submit(partial(note, name=f"@{number}:x")) for number in range(4)]
    futures.append(database.submit(bad))
    commits = [0]

    def plan(sql: str) -> int | None:
        # The gate's, then those of the replay: the third unit's is the fourth.
        commits[0] += sql == "COMMIT"
        return sqlite3.SQLITE_IOERR_WRITE if sql == "COMMIT" and commits[0] == 4 else None

    flaky.plan = staticmethod(plan)
    gate.open()
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert results[:2] == [1, 2]
    assert all(isinstance(result, StorageUnavailable) for result in results[2:])
    assert database.position == 2
    assert noted(database) == [(1, "@0:x"), (2, "@1:x")]
    await database.close()


async def test_while_the_disk_fails_every_unit_is_told_and_the_log_hears_it_once(
    tmp_path: Path, flaky: type[Flaky], caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    flaky.plan = staticmethod(lambda sql: sqlite3.SQLITE_IOERR if sql.startswith(("BEGIN", "ROLLBACK")) else None)
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            await database.write(partial(note, name="@a:x"))
    assert len(caplog.records) == 1
    flaky.plan = staticmethod(lambda sql: None)
    assert await database.write(partial(note, name="@a:x")) == 1
    await database.close()


async def test_a_failed_rollback_is_overcome(tmp_path: Path, flaky: type[Flaky]) -> None:
    database = await Database.open(tmp_path / "hearth.db")

    def bad(tx: Tx) -> int:
        note(tx, "@bad:x")
        raise ValueError

    gate = Gate(database)
    futures = [database.submit(partial(note, name="@a:x")), database.submit(bad)]
    futures.append(database.submit(partial(note, name="@b:x")))
    flaky.plan = failing_once("ROLLBACK", sqlite3.SQLITE_IOERR)
    gate.open()
    first, second, third = await asyncio.gather(*futures, return_exceptions=True)
    assert (first, third) == (1, 2)
    assert isinstance(second, ValueError)
    assert noted(database) == [(1, "@a:x"), (2, "@b:x")]
    await database.close()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from appliance.storage.database import Database
from appliance.storage.errors import StorageError

async def story():
    database = await Database.open(Path(sys.argv[1]))
    def work(tx):
        position = tx.position()
        tx.execute("INSERT INTO to_device_messages VALUES (?, '@a:x', 'D', ?)", (position, b"x" * 20_000))
        return position
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, hard))
    try:
        while True:
            print("kept", await database.write(work))
    except StorageError as error:
        print("failed", type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print("kept", await database.write(work))
    await database.close()

asyncio.run(story())
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A real failure of write(2), in a process of its own; afterwards the same process goes on."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "hearth.db")], capture_output=True, text=True, timeout=120
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    kept = [int(value) for word, value in lines if word == "kept"]
    assert ["failed", "StorageUnavailable"] in lines, done.stderr
    assert len(kept) > 5
    assert kept == sorted(set(kept))
    with contextlib.closing(sqlite3.connect(tmp_path / "hearth.db")) as file:
        assert [row[0] for row in file.execute("SELECT position FROM to_device_messages ORDER BY 1")] == kept
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes; skipped where we may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    database = await Database.open(small_disk / "hearth.db")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)

    def work(tx: Tx) -> int:
        position = tx.position()
        tx.execute("INSERT INTO to_device_messages VALUES (?, '@a:x', 'D', ?)", (position, b"x" * 10_000))
        return position

    kept: list[int] = []
    with pytest.raises(StorageFull):
        while True:
            kept.append(await database.write(work))
    ballast.unlink()
    kept.append(await database.write(work))
    assert kept == sorted(set(kept))
    assert [row[0] for row in database.read("SELECT position FROM to_device_messages ORDER BY position")] == kept
    await database.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    path.write_bytes(b"This is a letter to my aunt. " * 1000)
    with pytest.raises(StorageDamaged, match="is damaged") as failure:
        await Database.open(path)
    assert isinstance(failure.value, OwnerError)
    assert path.read_bytes().startswith(b"This is a letter")


async def test_a_damaged_page_is_told_and_nothing_more_is_written(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    database = await Database.open(path)
    for number in range(200):
        await database.write(partial(note, name=f"@{number}:x"))
    root, size = database.read(
        "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'device_list_changes'"
    )[0]
    await database.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)

    database = await Database.open(path)
    assert database.position == 200
    with pytest.raises(StorageDamaged):
        await database.write(partial(note, name="@a:x"))
    run: list[int] = []
    with pytest.raises(StorageDamaged):
        await database.write(lambda tx: run.append(1))
    assert run == []
    with pytest.raises(StorageDamaged):
        database.read("SELECT * FROM device_list_changes WHERE user_id = '@5:x'")
    with pytest.raises(StorageDamaged):
        await database.fetch("SELECT * FROM device_list_changes WHERE user_id = '@5:x'")
    # What is whole can still be read.
    assert database.read("SELECT position FROM stream") == [(200,)]
    await database.close()


async def test_what_is_not_known_to_be_committed_is_left_out_of_the_stream(
    tmp_path: Path, flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "AHEAD", 10)
    database = await Database.open(tmp_path / "hearth.db")
    assert [await database.write(partial(note, name="@a:x")) for _ in range(3)] == [1, 2, 3]
    # Two of them need not be written to the file; what undoes them leaves what the file has.
    for statement, code in (("INSERT INTO device", sqlite3.SQLITE_IOERR), ("COMMIT", -sqlite3.SQLITE_IOERR_FSYNC)):
        flaky.plan = failing_once(statement, code)
        with pytest.raises(StorageUnavailable):
            await database.write(partial(note, name="@unknown:x"))
    # The first one failed with the file at 11, from where the second one went on; it took 12, and may have come to be.
    assert database.position == 11
    assert [await database.write(partial(note, name="@a:x")) for _ in range(2)] == [23, 24]
    assert [position for position, _ in noted(database)] == [1, 2, 3, 12, 23, 24]
    await database.close()
    # Who closes the file leaves nothing out.
    again = await Database.open(tmp_path / "hearth.db")
    assert again.position == 24
    assert await again.write(partial(note, name="@a:x")) == 25
    await again.close()


async def test_a_file_locked_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_MS", 20)
    database = await Database.open(tmp_path / "hearth.db")
    assert await database.write(partial(note, name="@kept:x")) == 1
    with contextlib.closing(sqlite3.connect(tmp_path / "hearth.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy, match="locked by another program"):
            await database.write(partial(note, name="@a:x"))
        # Reading goes on.
        assert noted(database) == [(1, "@kept:x")]
        other.execute("ROLLBACK")
    assert await database.write(partial(note, name="@a:x")) == 2
    await database.close()


async def test_a_locked_file_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_MS", 20)
    path = tmp_path / "hearth.db"
    await (await Database.open(path)).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageBusy):
            await Database.open(path)


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        await Database.open(tmp_path / "nowhere" / "hearth.db")


async def test_a_file_that_may_not_be_written(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # Root may write whatever its permissions say, but not to a file system that is read-only.
    is_root = os.geteuid() == 0
    folder = request.getfixturevalue("small_disk") if is_root else tmp_path
    path = folder / "hearth.db"
    await (await Database.open(path)).close()
    if is_root:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        path.chmod(0o400)
        folder.chmod(0o500)
    with pytest.raises(StorageUnavailable, match=r"hearth\.db cannot be"):
        await Database.open(path)


async def test_a_file_that_vanished_does_not_come_back_empty(tmp_path: Path, flaky: type[Flaky]) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    await database.write(partial(note, name="@a:x"))
    for file in tmp_path.iterdir():
        file.unlink()
    flaky.plan = failing_once("BEGIN", sqlite3.SQLITE_IOERR)
    for _ in range(2):
        with pytest.raises(StorageError):
            await database.write(partial(note, name="@a:x"))
    assert list(tmp_path.iterdir()) == []
    await database.close()
