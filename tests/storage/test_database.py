"""The face of the database: units, positions, what is published when, reads, closing."""

import asyncio
import contextlib
import sqlite3
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from appliance.storage.database import Database, Lane, Reader, Tx
from appliance.storage.errors import StorageClosed
from tests.storage.conftest import Gate, note, noted

pytestmark = pytest.mark.anyio


async def test_a_unit_is_answered_after_its_commit(database: Database) -> None:
    position = await database.write(lambda tx: note(tx, "@a:x"))
    assert position == database.position == 1
    # Another connection sees it: it is committed.
    with contextlib.closing(sqlite3.connect(database.path)) as other:
        assert other.execute("SELECT position FROM device_list_changes").fetchall() == [(1,)]
    assert noted(database) == [(1, "@a:x")]


async def test_pragmas(database: Database) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "temp_store", "mmap_size", "busy_timeout")
    found = await database.write(lambda tx: {name: tx.execute(f"PRAGMA {name}")[0][0] for name in names})
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "auto_vacuum": 2,
        "temp_store": 2,
        "mmap_size": 0,
        "busy_timeout": 5000,
    }


async def test_the_file_is_for_its_owner_alone(database: Database) -> None:
    await database.write(lambda tx: note(tx, "@a:x"))
    files = list(database.path.parent.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_waiting_writes_share_one_commit(database: Database) -> None:
    gate = Gate(database)
    before = database.commits
    futures = [database.submit(partial(note, name=f"@{number}:x")) for number in range(20)]
    gate.open()
    assert await asyncio.gather(*futures) == list(range(1, 21))
    assert database.commits == before + 2  # the gate's own, and one for the twenty


async def test_twenty_senders_need_far_fewer_commits_than_writes(database: Database) -> None:
    async def sender(name: str) -> None:
        for _ in range(20):
            await database.write(partial(note, name=name))

    await asyncio.gather(*(sender(f"@{number}:x") for number in range(20)))
    assert len(noted(database)) == 400
    assert database.commits <= 200


async def test_a_batch_has_a_bound(database: Database) -> None:
    gate = Gate(database)
    before = database.commits
    futures = [database.submit(lambda tx: tx.position()) for _ in range(600)]
    gate.open()
    await asyncio.gather(*futures)
    assert database.commits == before + 1 + 3


async def test_publishing_is_one_step_in_commit_order_then_the_position_then_the_senders(database: Database) -> None:
    seen: list[object] = []
    database.on_published.append(lambda position: seen.append(("woken", position)))

    async def sender(number: int) -> None:
        result = await database.write(
            lambda tx: (number, tx.position()), published=lambda result: seen.append((*result, database.position))
        )
        seen.append(("answered", *result, database.position))

    gate = Gate(database)
    tasks = [asyncio.create_task(sender(number)) for number in range(3)]
    await asyncio.sleep(0)  # each task has submitted its unit
    gate.open()
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    assert seen == [
        (0, 1, 0),
        (1, 2, 0),
        (2, 3, 0),
        ("answered", 0, 1, 3),
        ("answered", 1, 2, 3),
        ("answered", 2, 3, 3),
        ("woken", 3),
    ]


async def test_a_commit_without_positions_wakes_nobody(database: Database) -> None:
    woken: list[int] = []
    database.on_published.append(woken.append)
    await database.write(lambda tx: tx.execute("INSERT INTO setup VALUES ('a', 'b')"))
    await database.write(lambda tx: note(tx, "@a:x"))
    await asyncio.sleep(0)
    assert woken == [1]


async def test_one_bad_callback_does_not_keep_the_others_from_publishing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def bad(_: int) -> None:
        raise ValueError("broken callback")

    database.on_published.append(bad)
    database.on_published.append(seen.append)
    gate = Gate(database)
    first = database.submit(lambda tx: note(tx, "@a:x"), published=bad)
    second = database.submit(lambda tx: note(tx, "@b:x"), published=seen.append)
    gate.open()
    assert (await first, await second) == (1, 2)
    await asyncio.sleep(0)
    assert seen == [2, 2]
    assert caplog.text.count("broken callback") >= 2


async def test_positions_go_on_after_reopening_and_past_ones_count_down(tmp_path: Path) -> None:
    sql = (
        "INSERT INTO events (event_nid, event_id, room_nid, type, sender, ordering, position, json)"
        " VALUES (?, ?, 1, 't', '@a:x', 1, ?, '{}')"
    )

    def live(tx: Tx) -> int:
        position = tx.position()
        tx.execute(sql, (position, f"${position}", position))
        return position

    def past(tx: Tx) -> int:
        position = tx.past_position()
        tx.execute(sql, (100 - position, f"${position}", position))
        return position

    for expected in ((1, -1), (2, -2), (3, -3)):
        database = await Database.open(tmp_path / "hearth.db")
        assert (await database.write(live), await database.write(past)) == expected
        assert database.position == expected[0]
        await database.close()


async def test_positions_are_not_given_again_after_their_rows_are_gone(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    await database.write(lambda tx: note(tx, "@a:x"))
    await database.write(lambda tx: tx.execute("DELETE FROM device_list_changes"))
    await database.close()
    database = await Database.open(tmp_path / "hearth.db")
    assert database.position == 1
    assert await database.write(lambda tx: note(tx, "@a:x")) == 2
    await database.close()


async def test_a_unit_runs_though_nobody_waits_any_more(database: Database) -> None:
    published: list[int] = []
    gate = Gate(database)
    task = asyncio.create_task(database.write(lambda tx: note(tx, "@a:x"), published=published.append))
    await asyncio.sleep(0)
    task.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(lambda tx: None)
    assert noted(database) == [(1, "@a:x")]
    assert published == [1]


async def test_a_unit_raises_what_it_raised_and_nothing_of_it_stays(database: Database) -> None:
    def work(tx: Tx) -> None:
        note(tx, "@a:x")
        tx.execute("INSERT INTO stream VALUES (2, 0)")

    with pytest.raises(sqlite3.IntegrityError):
        await database.write(work)
    assert noted(database) == []
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.write(
            lambda tx: tx.execute("INSERT INTO devices (user_id, device_id, created_ts) VALUES ('@a:x', 'D', 0)")
        )


async def test_a_unit_may_catch_a_constraint_and_go_on(database: Database) -> None:
    def work(tx: Tx) -> int:
        with contextlib.suppress(sqlite3.IntegrityError):
            tx.execute("INSERT INTO stream VALUES (2, 0)")
        return note(tx, "@a:x")

    assert await database.write(work) == 1


async def test_a_unit_may_not_end_the_transaction_nor_keep_its_tx(database: Database) -> None:
    with pytest.raises(RuntimeError, match="ended the transaction"):
        await database.write(lambda tx: tx.execute("COMMIT"))
    kept: list[Tx] = []
    await database.write(kept.append)
    with pytest.raises(RuntimeError, match="over"):
        kept[0].execute("SELECT 1")
    with pytest.raises(RuntimeError, match="over"):
        kept[0].execute_many("SELECT 1", [])
    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.write(lambda tx: next(iter(())))
    assert await database.write(lambda tx: note(tx, "@a:x")) == 1


async def test_execute_many(database: Database) -> None:
    await database.write(
        lambda tx: tx.execute_many("INSERT INTO setup VALUES (?, ?)", [(str(number), "x") for number in range(5)])
    )
    assert database.read("SELECT count(*) FROM setup") == [(5,)]


async def test_reads_in_threads(database: Database) -> None:
    await database.write(lambda tx: note(tx, "@a:x"))
    assert await database.fetch("SELECT user_id FROM device_list_changes WHERE position = ?", (1,)) == [("@a:x",)]
    # More at once than there are threads.
    answers = await asyncio.gather(*(database.fetch("SELECT ?", (number,)) for number in range(20)))
    assert answers == [[(number,)] for number in range(20)]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await database.fetch("SELECT * FROM nowhere")


async def test_reading_sees_one_moment(database: Database) -> None:
    await database.write(lambda tx: note(tx, "@a:x"))
    first_done, go_on = threading.Event(), threading.Event()

    def work(reader: Reader) -> list[int]:
        sql = "SELECT count(*) FROM device_list_changes"
        before = reader.read(sql)[0][0]
        first_done.set()
        assert go_on.wait(30)
        return [before, reader.read(sql)[0][0]]

    task = asyncio.create_task(database.reading(work))
    await asyncio.to_thread(first_done.wait, 30)
    await database.write(lambda tx: note(tx, "@b:x"))
    go_on.set()
    assert await task == [1, 1]
    assert await database.reading(lambda reader: reader.read("SELECT count(*) FROM device_list_changes")) == [(2,)]


async def test_a_failed_reading_leaves_no_snapshot_behind(database: Database) -> None:
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            await database.reading(lambda reader: reader.read("SELECT 1")[0][0] / 0)
    await database.write(lambda tx: note(tx, "@a:x"))
    assert await database.reading(lambda reader: reader.read("SELECT count(*) FROM device_list_changes")) == [(1,)]


async def test_readers_cannot_write(database: Database) -> None:
    for read in (database.read, database.fetch):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            result = read("INSERT INTO setup VALUES ('a', 'b')")
            if asyncio.iscoroutine(result):
                await result


async def test_closing_finishes_what_is_queued_and_folds_the_log_in(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    gate = Gate(database)
    published: list[int] = []
    future = database.submit(lambda tx: note(tx, "@a:x"), published=published.append)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(closing, database.close())
    assert await future == 1
    assert published == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["hearth.db"]
    with pytest.raises(StorageClosed):
        await database.write(lambda tx: None)
    with pytest.raises(StorageClosed):
        await database.fetch("SELECT 1")
    with pytest.raises(StorageClosed):
        database.read("SELECT 1")
    with pytest.raises(StorageClosed):
        await database.hold()


async def test_closing_cuts_off_a_read_without_end(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "hearth.db")
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    begun = threading.Event()

    def work(reader: Reader) -> None:
        begun.set()
        reader.read(endless)

    task = asyncio.create_task(database.reading(work))
    await asyncio.to_thread(begun.wait, 30)
    await database.close()
    with pytest.raises(StorageClosed):
        await task


def test_a_loop_that_ends_first_loses_no_unit(tmp_path: Path) -> None:
    async def story() -> tuple[Database, Gate]:
        database = await Database.open(tmp_path / "hearth.db")
        gate = Gate(database)
        database.submit(lambda tx: note(tx, "@a:x"), lane=Lane())
        await asyncio.sleep(0)  # what is submitted at one go is handed over together, at its end
        return database, gate

    loop = asyncio.new_event_loop()
    database, gate = loop.run_until_complete(story())
    loop.close()
    gate.open()
    database._writer.close()
    database._readers._close()
    database._reader.close()
    with contextlib.closing(sqlite3.connect(database.path)) as other:
        assert other.execute("SELECT count(*) FROM device_list_changes").fetchall() == [(1,)]
