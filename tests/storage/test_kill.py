"""Acknowledged means durable: the process is killed under load, again and again, over one file."""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.storage.database import Database

CHILD = """
import asyncio, os, sys
from itertools import count
from pathlib import Path
from appliance.storage.database import Database, Lane

SQL = ("INSERT INTO events (event_nid, event_id, room_nid, type, sender, ordering, position, json)"
       " VALUES (?, ?, ?, 'm', '@a:x', 1, ?, '{}')")

async def story():
    database = await Database.open(Path(sys.argv[1]))
    ((highest,),) = database.read("SELECT coalesce(max(event_nid), 0) FROM events")
    numbers = count(highest + 1)

    async def sender(room):
        lane = Lane()
        while True:
            nid = next(numbers)
            bad = nid % 97 == 0
            def work(tx):
                position = tx.position()
                tx.execute(SQL, (nid, f"${nid}", room, position))
                if bad:
                    raise ValueError
                tx.execute("INSERT INTO edges VALUES (?, 0, ?)", (nid, nid))
                return position
            try:
                position = await database.write(work, lane=lane)
            except ValueError:
                lane = Lane()
                continue
            os.write(1, b"%d %d\\n" % (nid, position))

    await asyncio.gather(*(sender(room) for room in range(20)))

asyncio.run(story())
"""


@pytest.mark.parametrize("seed", range(3))
def test_every_acknowledged_write_is_there_after_a_kill(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    path = tmp_path / "hearth.db"
    acknowledged: dict[int, int] = {}
    for kills in range(1, 4):
        before = len(acknowledged)
        acknowledged |= _killed_after(path, chance.randrange(1, 1500))
        assert len(acknowledged) > before
        _check(path, acknowledged, kills)


def test_a_log_that_was_cut_off(tmp_path: Path) -> None:
    """Where the end of the write-ahead log is gone or spoilt, the file opens as it was after one of the commits, whole,
    and is written on from there; SQLite promises that, and nothing of ours stands in the way.
    """
    chance = random.Random(5)  # noqa: S311
    path = tmp_path / "hearth.db"
    acknowledged = _killed_after(path, 800)
    log = path.with_name("hearth.db-wal").read_bytes()
    whole = path.read_bytes()
    stood: list[int] = []
    for number in range(6):
        left = tmp_path / f"left{number}" / "hearth.db"
        left.parent.mkdir()
        left.write_bytes(whole)
        at = chance.randrange(len(log) + 1) if number else 0
        spoilt = b"\xff" * 3000 if number % 2 else b""
        left.with_name("hearth.db-wal").write_bytes(log[:at] + spoilt)
        stood.append(_go_on(left, acknowledged))
    assert max(stood) > min(stood)


def _go_on(path: Path, acknowledged: dict[int, int]) -> int:
    """Open a file that lost its end, check it and go on with it; the last position that was used in it."""

    async def live() -> int:
        database = await Database.open(path)
        last = database.position
        assert await database.write(lambda tx: tx.position()) == last + 1
        await database.close()
        return last

    last = asyncio.run(live())
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = dict(file.execute("SELECT event_nid, position FROM events"))
    there = len(stored)
    assert sorted(stored.values()) == list(range(1, there + 1))
    assert there <= last
    assert {nid: position for nid, position in acknowledged.items() if position <= there}.items() <= stored.items()
    return there


def _killed_after(path: Path, lines: int) -> dict[int, int]:
    """Let the child write, kill it after so many acknowledgements, and return all that it had given."""
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        read = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        read += child.stdout.readlines()
    # The last line may have been cut by the kill: then it was not given.
    return {int(nid): int(position) for nid, position in (line.split() for line in read if line.endswith(b"\n"))}


def _check(path: Path, acknowledged: dict[int, int], kills: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = dict(file.execute("SELECT event_nid, position FROM events"))
        edges = {nid for (nid,) in file.execute("SELECT event_nid FROM edges")}
        ((last,),) = file.execute("SELECT position FROM stream")
    assert acknowledged.items() <= stored.items()
    # Nothing half, no position twice, and none left out but by a kill.
    assert edges == stored.keys()
    positions = sorted(stored.values())
    assert len(set(positions)) == len(positions)
    assert positions[-1] <= last
    assert sum(later > earlier + 1 for earlier, later in pairwise(positions)) == kills - 1
