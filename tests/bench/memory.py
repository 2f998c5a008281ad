"""What rooms take in memory while they are in use: ``python -m tests.bench.memory FOLDER`` is the process measured."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from appliance.rooms.room import Rooms
from appliance.rooms.store import EventStore
from appliance.storage.database import Database, Tx
from tests.bench.figures import Figure
from tests.bench.process import resident
from tests.bench.rooms import Counters, LargeRoom

VERSION = "12"
USERS = 10
"""How many times as many users there are as one room has members."""
RECENT = 20
"""State events of each room that are asked for, as a timeline would."""


async def measure(folder: Path, rooms: int, members: int) -> list[Figure]:
    """Rooms in a database, loaded by a process of its own.

    Args:
        folder: an empty one.
        rooms: how many.
        members: how many each has.
    """
    database = await Database.open(folder / "hearth.db")
    try:
        await database.write(lambda tx: _fill(tx, rooms, members))
    finally:
        await database.close()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory", folder / "hearth.db"],
        check=True, stdout=subprocess.PIPE, text=True, timeout=300,
    )  # fmt: skip
    return [Figure(f"memory of {rooms} rooms in use, {members} members each", float(done.stdout), "MiB")]


def _fill(tx: Tx, rooms: int, members: int) -> None:
    chance = random.Random(0)  # noqa: S311 - no secrets
    counters = Counters()
    for _ in range(rooms):
        LargeRoom(tx, VERSION, counters).fill(chance.sample(range(members * USERS), members))


async def _load(path: Path) -> float:
    """MiB by which this process grows when all rooms of a database are used."""
    database = await Database.open(path)
    try:
        ids = [row[0] for row in database.read("SELECT room_id FROM rooms")]
        store = EventStore(database)
        rooms = Rooms(database, store)
        await rooms.find(ids[0])
        before = resident()
        kept = []
        for room_id in ids:
            room = await rooms.find(room_id)
            assert room is not None
            store.clients(list(room.published.state.values())[-RECENT:])
            kept.append(room)
        return max(0.0, resident() - before)
    finally:
        await database.close()


if __name__ == "__main__":
    print(asyncio.run(_load(Path(sys.argv[1]))))
