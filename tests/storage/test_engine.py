"""Piccolo over our own connections: queries, transactions, savepoints, atomic, batches."""

import asyncio
import contextlib
import sqlite3
from contextvars import Context
from pathlib import Path

import pytest
from piccolo.engine.exceptions import TransactionError
from piccolo.engine.sqlite import TransactionType

from appliance.storage.database import Database
from appliance.storage.errors import StorageClosed, StorageFull, StorageTooSlow
from appliance.storage.tables import TABLES, AccountRow, RegistrationTokenRow, SettingRow, SigningKeyRow
from tests.storage.conftest import Gate, note

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def bound(database: Database) -> None:
    """The tables' queries go to the test's database."""
    assert database.engine is SettingRow._meta.db


async def settings() -> dict[str, str]:
    return {row["name"]: row["value"] for row in await SettingRow.select()}


async def test_tables_are_as_the_schema_has_them(database: Database) -> None:
    for table in TABLES:
        schema = [
            (name, bool(required) or bool(key), bool(key))
            for _, name, _, required, _, key in database.read(f"PRAGMA table_info({table._meta.tablename})")
        ]
        mirrored = [(c._meta.name, not c._meta.null, c._meta.primary_key) for c in table._meta.columns]
        assert mirrored == schema


async def test_queries_and_objects(database: Database) -> None:
    await SettingRow.insert(SettingRow(name="a", value="1"), SettingRow(name="b", value="2"))
    assert await settings() == {"a": "1", "b": "2"}
    await SettingRow.update({SettingRow.value: "3"}).where(SettingRow.name == "a")
    assert await SettingRow.select(SettingRow.value).where(SettingRow.name == "a").first() == {"value": "3"}
    await SettingRow.delete().where(SettingRow.name == "a")
    assert await SettingRow.count() == 1
    assert await SettingRow.exists().where(SettingRow.name == "b")
    assert await SettingRow.raw("SELECT value FROM settings WHERE name = {}", "b") == [{"value": "2"}]

    token = RegistrationTokenRow(token="t", created_ts=5)
    await token.save()
    token.uses_allowed = 3
    await token.save()
    found = await RegistrationTokenRow.objects().get(RegistrationTokenRow.token == "t")
    assert found is not None
    assert (found.uses_allowed, found.uses, found.expires_ts, found.created_ts) == (3, 0, None, 5)
    made = await RegistrationTokenRow.objects().get_or_create(
        RegistrationTokenRow.token == "u", defaults={RegistrationTokenRow.created_ts: 6}
    )
    assert made.created_ts == 6
    await found.remove()
    assert await RegistrationTokenRow.count() == 1

    key = SigningKeyRow(key_id="ed25519:a", seed=b"\x00\xff", created_ts=2**40)
    await key.save()
    assert await SigningKeyRow.select() == [
        {"key_id": "ed25519:a", "seed": b"\x00\xff", "created_ts": 2**40, "ended_ts": None}
    ]
    await AccountRow.insert(AccountRow(user_id="@a:x", created_ts=1, admin=1))
    assert await AccountRow.select(AccountRow.user_id, AccountRow.admin) == [{"user_id": "@a:x", "admin": 1}]


async def test_returning_and_conflicts(database: Database) -> None:
    assert await SettingRow.insert(SettingRow(name="a", value="1")).returning(SettingRow.value) == [{"value": "1"}]
    await SettingRow.insert(SettingRow(name="a", value="2")).on_conflict(
        target=SettingRow.name, action="DO UPDATE", values=[SettingRow.value]
    )
    assert await settings() == {"a": "2"}
    with pytest.raises(sqlite3.IntegrityError):
        await SettingRow.insert(SettingRow(name="a", value="3"))
    assert await settings() == {"a": "2"}


async def test_ddl(database: Database) -> None:
    engine = database.engine
    await engine.run_ddl("CREATE TABLE extra (a INTEGER PRIMARY KEY, b TEXT)")
    async with engine.transaction():
        await engine.run_ddl("ALTER TABLE extra ADD COLUMN c TEXT")
    assert [row[1] for row in database.read("PRAGMA table_info(extra)")] == ["a", "b", "c"]


async def test_a_transaction_keeps_all_or_nothing(database: Database) -> None:
    async with database.engine.transaction():
        await SettingRow.insert(SettingRow(name="a", value="1"))
        # Inside, it is seen; outside, it is not.
        assert await settings() == {"a": "1"}
        assert database.read("SELECT * FROM settings") == []
        await SettingRow.insert(SettingRow(name="b", value="2"))
    assert database.read("SELECT * FROM settings ORDER BY name") == [("a", "1"), ("b", "2")]

    with pytest.raises(ZeroDivisionError):
        async with database.engine.transaction():
            await SettingRow.delete(force=True)
            raise ZeroDivisionError
    assert await settings() == {"a": "1", "b": "2"}
    assert not database.engine.transaction_exists()


async def test_a_failed_query_leaves_the_transaction_usable(database: Database) -> None:
    async with database.engine.transaction():
        await SettingRow.insert(SettingRow(name="a", value="1"))
        with pytest.raises(sqlite3.IntegrityError):
            await SettingRow.insert(SettingRow(name="a", value="2"))
        await SettingRow.insert(SettingRow(name="b", value="3"))
    assert await settings() == {"a": "1", "b": "3"}


async def test_ending_a_transaction_by_hand(database: Database) -> None:
    async with database.engine.transaction() as transaction:
        await SettingRow.insert(SettingRow(name="a", value="1"))
        await transaction.rollback()
        # It is over: what follows stands for itself.
        await SettingRow.insert(SettingRow(name="b", value="2"))
    assert await settings() == {"b": "2"}
    async with database.engine.transaction(TransactionType.deferred) as transaction:
        await SettingRow.insert(SettingRow(name="c", value="3"))
        await transaction.commit()
    assert await settings() == {"b": "2", "c": "3"}


async def test_nested_transactions_join(database: Database) -> None:
    async with database.engine.transaction() as outer:
        await SettingRow.insert(SettingRow(name="a", value="1"))
        async with database.engine.transaction() as inner:
            assert inner is outer
            await SettingRow.insert(SettingRow(name="b", value="2"))
        with pytest.raises(TransactionError):
            database.engine.transaction(allow_nested=False)
    assert await settings() == {"a": "1", "b": "2"}


async def test_savepoints(database: Database) -> None:
    async with database.engine.transaction() as transaction:
        await SettingRow.insert(SettingRow(name="a", value="1"))
        named = await transaction.savepoint("here")
        await SettingRow.insert(SettingRow(name="b", value="2"))
        await named.rollback_to()
        await SettingRow.insert(SettingRow(name="c", value="3"))
        unnamed = await transaction.savepoint()
        await SettingRow.insert(SettingRow(name="d", value="4"))
        await transaction.rollback_to("here")
        await SettingRow.insert(SettingRow(name="e", value="5"))
        await named.release()
        assert unnamed.name == "savepoint_1"
    assert await settings() == {"a": "1", "e": "5"}


async def test_atomic(database: Database) -> None:
    atomic = database.engine.atomic()
    atomic.add(SettingRow.insert(SettingRow(name="a", value="1")), SettingRow.insert(SettingRow(name="b", value="2")))
    await atomic
    assert await settings() == {"a": "1", "b": "2"}
    atomic.add(SettingRow.insert(SettingRow(name="c", value="1")), SettingRow.insert(SettingRow(name="a", value="2")))
    with pytest.raises(sqlite3.IntegrityError):
        await atomic.run()
    assert await settings() == {"a": "1", "b": "2"}


async def test_batches(database: Database) -> None:
    await database.write(
        lambda tx: tx.execute_many("INSERT INTO settings VALUES (?, '')", [(f"{n:02}",) for n in range(25)])
    )
    sizes, names = [], []
    async with await SettingRow.select(SettingRow.name).order_by(SettingRow.name).batch(batch_size=10) as batch:
        async for rows in batch:
            sizes.append(len(rows))
            names += [row["name"] for row in rows]
    assert sizes == [10, 10, 5]
    assert names == [f"{n:02}" for n in range(25)]
    with pytest.raises(sqlite3.OperationalError):
        async with await SettingRow.raw("SELECT * FROM nowhere").batch():
            pass


async def test_units_wait_for_a_transaction_and_come_after_it(database: Database) -> None:
    async with database.engine.transaction():
        await SettingRow.insert(SettingRow(name="a", value="1"))
        # Another task, which is in no transaction.
        future = await asyncio.create_task(_submit(database), context=Context())
        await SettingRow.insert(SettingRow(name="b", value="2"))
        assert not future.done()
    assert await future == 2


async def _submit(database: Database) -> "asyncio.Future[int]":
    return database.submit(lambda tx: tx.execute("SELECT count(*) FROM settings")[0][0])


async def test_a_unit_inside_a_transaction_is_refused_rather_than_waiting_for_ever(database: Database) -> None:
    with pytest.raises(RuntimeError, match="inside a Piccolo transaction"):
        async with database.engine.transaction():
            await database.write(lambda tx: note(tx, "@a:x"))
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1


async def test_a_task_that_outlives_the_transaction_is_outside_it(database: Database) -> None:
    over = asyncio.Event()

    async def later() -> int:
        await over.wait()
        await SettingRow.insert(SettingRow(name="a", value="1"))
        return await database.write(lambda tx: note(tx, "@a:x"))

    async with database.engine.transaction():
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    over.set()
    assert await task == 1
    assert await settings() == {"a": "1"}


async def test_a_transaction_that_takes_too_long_is_undone(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "other.db", hold_seconds=0.05)
    with pytest.raises(StorageTooSlow, match=r"0\.05 seconds"):
        async with database.engine.transaction() as transaction:
            await SettingRow.insert(SettingRow(name="a", value="1"))
            # Answered only once the writer is free again.
            task = asyncio.create_task(_submit(database), context=Context())
            assert await (await task) == 0
            assert transaction.connection.hold.over
    assert await settings() == {}
    await database.close()


async def test_a_task_cancelled_inside_gives_the_writer_back(database: Database) -> None:
    inside = asyncio.Event()

    async def task() -> None:
        async with database.engine.transaction():
            await SettingRow.insert(SettingRow(name="a", value="1"))
            inside.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(task())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1
    assert await settings() == {}


async def test_a_task_cancelled_while_it_waits_for_the_writer_never_has_it(database: Database) -> None:
    gate = Gate(database)

    async def task() -> None:
        async with database.engine.transaction():
            raise AssertionError

    running = asyncio.create_task(task())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.open()
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1


async def test_a_full_disk_inside_a_transaction(database: Database) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(pytest.raises(StorageFull))
        async with database.engine.transaction():
            await SettingRow.insert(SettingRow(name="a", value="1"))
            await database.engine.run_ddl("PRAGMA max_page_count = 1")
            await SettingRow.insert(*(SettingRow(name=str(n), value="x" * 4000) for n in range(100)))
    assert await settings() == {}
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1


async def test_closing_undoes_a_transaction_in_progress(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "other.db")
    with pytest.raises(StorageClosed):
        async with database.engine.transaction():
            await SettingRow.insert(SettingRow(name="a", value="1"))
            await database.close()
    with contextlib.closing(sqlite3.connect(database.path)) as file:
        assert file.execute("SELECT * FROM settings").fetchall() == []
    with pytest.raises(StorageClosed):
        async with database.engine.transaction():
            pass


async def test_transactions_one_after_the_other(database: Database) -> None:
    async def add(name: str) -> None:
        async with database.engine.transaction():
            value = await SettingRow.count()
            await asyncio.sleep(0)
            await SettingRow.insert(SettingRow(name=name, value=str(value)))

    await asyncio.gather(*(add(str(n)) for n in range(10)))
    assert sorted((await settings()).values(), key=int) == [str(n) for n in range(10)]


async def test_piccolo_opens_no_file_of_its_own(database: Database) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("open files are counted in /proc")
    await SettingRow.count()
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        async with database.engine.transaction():
            await SettingRow.count()
        await SettingRow.count()
    assert len(list(descriptors.iterdir())) == before
    assert [file.name for file in Path.cwd().glob("piccolo*")] == []
