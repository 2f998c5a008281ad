"""Schemas: a new file, files of earlier versions, a newer one's file, a step that fails."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from appliance.storage import migrate
from appliance.storage.database import Database
from appliance.storage.errors import NewerDataFolder, StorageDamaged
from appliance.storage.settings import load_settings

pytestmark = pytest.mark.anyio

GONE = {"one_time_keys", "claimed_keys"}
"""Tables whose rows were put elsewhere (``test_waiting_keys.py`` sees that they are there), or are of no use now."""
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.sql"))


def schema(database: Database) -> list[tuple[str, ...]]:
    """All tables and indexes with their SQL."""
    return database.read("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")


def counts(read: object) -> dict[str, int]:
    """The number of rows of every table."""
    tables = read("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")  # type: ignore[operator]
    return {name: read(f"SELECT count(*) FROM {name}")[0][0] for (name,) in tables}  # type: ignore[operator]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
async def test_a_file_of_an_earlier_version_becomes_current(tmp_path: Path, fixture: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "hearth.db")) as file:
        file.execute("PRAGMA auto_vacuum = INCREMENTAL")
        file.executescript(fixture.read_text())
    with contextlib.closing(sqlite3.connect(tmp_path / "hearth.db")) as file:  # sees virtual tables that were written
        before = counts(lambda sql: file.execute(sql).fetchall())
        ((position,),) = file.execute("SELECT position FROM stream")
    database = await Database.open(tmp_path / "hearth.db")
    fresh = await Database.open(tmp_path / "fresh.db")
    assert schema(database) == schema(fresh)
    after = counts(database.read)
    assert {name: after[name] for name in before if name not in GONE} == {
        name: count for name, count in before.items() if name not in GONE
    }
    assert database.position == position > 0
    assert load_settings(database).server_name == "example.org"
    assert database.read("PRAGMA user_version") == [(len(migrate.STEPS),)]
    assert database.read("PRAGMA foreign_key_check") == []
    for each in (database, fresh):
        await each.close()


def test_the_fixtures_are_of_schemas_that_were_in_use_and_the_newest_of_them_is_full() -> None:
    """Steps between two of them came together: no data folder was ever left at one."""
    steps = list(migrate.STEPS)
    assert [path.stem for path in FIXTURES] == [step for step in steps if step in {path.stem for path in FIXTURES}]
    assert "m0010_sliding" in {path.stem for path in FIXTURES}


def test_a_current_file_is_opened_without_importing_what_only_migrations_and_piccolo_need(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from appliance.storage.database import Database\n"
        "async def story():\n"
        "    database = await Database.open(Path(sys.argv[1]))\n"
        "    await database.write(lambda tx: tx.position())\n"
        "    await database.close()\n"
        "asyncio.run(story())\n"
        "print(*sorted(name for name in sys.modules if 'migrations' in name or name in ('piccolo', 'aiosqlite')))\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "hearth.db")], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    steps = [f"appliance.storage.migrations.{name}" for name in migrate.STEPS]
    assert printed == [["appliance.storage.migrations", *steps], []]


@pytest.fixture
def steps() -> Iterator[tuple[str, ...]]:
    """The real steps, then one that works and one that fails half-way."""
    works, fails, orphans = ModuleType("works"), ModuleType("fails"), ModuleType("orphans")
    works.STATEMENTS = (  # type: ignore[attr-defined]
        # As a rebuilt table goes: what refers to it must survive.
        "CREATE TABLE accounts_new (user_id TEXT PRIMARY KEY, created_ts INTEGER) WITHOUT ROWID",
        "INSERT INTO accounts_new SELECT user_id, created_ts FROM accounts",
        "DROP TABLE accounts",
        "ALTER TABLE accounts_new RENAME TO accounts",
    )
    fails.STATEMENTS = ("CREATE TABLE extra (a)", "INSERT INTO nowhere VALUES (1)")  # type: ignore[attr-defined]
    orphans.STATEMENTS = ("DELETE FROM accounts",)  # type: ignore[attr-defined]
    names = {f"appliance.storage.migrations.{module.__name__}": module for module in (works, fails, orphans)}
    sys.modules.update(names)
    yield (*migrate.STEPS, "works")
    for name in names:
        del sys.modules[name]


async def one_account(path: Path) -> None:
    """A file with an account and a device that refers to it."""
    database = await Database.open(path)
    await database.write(lambda tx: tx.execute("INSERT INTO accounts (user_id, created_ts) VALUES ('@a:x', 7)"))
    await database.write(
        lambda tx: tx.execute("INSERT INTO devices (user_id, device_id, created_ts) VALUES ('@a:x', 'D', 7)")
    )
    await database.close()


async def test_steps_are_applied_once_each(tmp_path: Path, steps: tuple[str, ...]) -> None:
    path = tmp_path / "hearth.db"
    await one_account(path)
    for _ in range(2):
        database = await Database.open(path, steps=steps)
        assert database.read("PRAGMA user_version") == [(len(steps),)]
        assert database.read("SELECT * FROM accounts") == [("@a:x", 7)]
        assert database.read("SELECT device_id FROM devices") == [("D",)]
        # Foreign keys are on again.
        assert await database.write(lambda tx: tx.execute("PRAGMA foreign_keys")) == [(1,)]
        await database.close()


async def test_a_step_that_fails_leaves_the_file_as_it_was_before_it(tmp_path: Path, steps: tuple[str, ...]) -> None:
    path = tmp_path / "hearth.db"
    await one_account(path)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        await Database.open(path, steps=(*steps, "fails"))
    with pytest.raises(StorageDamaged, match="refer to rows that are gone"):
        await Database.open(path, steps=(*steps, "orphans"))
    database = await Database.open(path, steps=steps)
    assert database.read("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == [(0,)]
    assert database.read("SELECT device_id FROM devices") == [("D",)]
    await database.close()


async def test_a_file_of_a_newer_hearth_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    await one_account(path)
    newer = len(migrate.STEPS) + 2
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {newer}")
    before = path.read_bytes()
    with pytest.raises(NewerDataFolder, match=f"its schema is number {newer}"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE recipes (name)")
    before = path.read_bytes()
    with pytest.raises(StorageDamaged, match="not one of Hearth's"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_opening_a_current_file_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    await one_account(path)
    before = path.read_bytes()
    await (await Database.open(path)).close()
    assert path.read_bytes() == before


async def test_a_file_that_lost_its_journal_mode_has_it_again(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    await one_account(path)
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    database = await Database.open(path)
    assert database.read("PRAGMA journal_mode") == [("wal",)]
    assert database.read("PRAGMA auto_vacuum") == [(2,)]
    await database.close()
