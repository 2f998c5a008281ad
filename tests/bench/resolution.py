"""What it costs to resolve states that differ, and what others feel of it meanwhile."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from appliance.protocol.events import Event
from appliance.protocol.versions import VERSIONS
from appliance.rooms.graph.resolving import Resolving
from appliance.storage.database import Database, Tx
from appliance.storage.state import StateMap
from tests.bench.figures import Figure
from tests.bench.rooms import Counters, LargeRoom

VERSION = "12"
GOALS = (60, 120, 400)
TICK = 0.001


class Forked(NamedTuple):
    """A room in two states."""

    create: Event
    states: list[StateMap]


async def measure(folder: Path, members: int, conflicts: tuple[int, ...], rounds: int) -> list[Figure]:
    """Resolve two states of a large room that is in the database, again and again, with more and more conflicts.

    Args:
        folder: an empty one.
        members: how many the room has.
        conflicts: in how many slots the states differ, for each figure.
        rounds: how often each is measured.
    """
    database = await Database.open(folder / "resolution.db")
    try:
        rooms = await database.write(lambda tx: _forked(tx, members, conflicts))
        resolving = Resolving(database)
        figures = []
        stall = 0.0
        for count, goal, room in zip(conflicts, GOALS, rooms, strict=True):

            async def resolve(room: Forked = room) -> None:
                await resolving.resolve(VERSIONS[VERSION], room.create, room.states)

            times, stall = await _timed(resolve, rounds)
            figures.append(Figure(f"resolving {count} conflicts, {members} members", times * 1000, "ms", goal))
        figures.append(Figure("  longest stall of the loop meanwhile", stall * 1000, "ms", 50))
        return figures
    finally:
        await database.close()


def _forked(tx: Tx, members: int, conflicts: tuple[int, ...]) -> list[Forked]:
    """One room, forked anew for each number of conflicts."""
    room = LargeRoom(tx, VERSION, Counters())
    room.fill(range(members))
    return [Forked(room.create, list(room.fork(count))) for count in conflicts]


async def _timed(work: Callable[[], Awaitable[None]], rounds: int) -> tuple[float, float]:
    """Seconds that some work takes (the median), and the longest that the loop was late for anything else meanwhile."""
    times = []
    ticker = Ticker()
    for _ in range(rounds):
        begin = time.perf_counter()
        await work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times), await ticker.stop()


class Ticker:
    """Something that wants to be called every millisecond."""

    def __init__(self) -> None:
        self._task = asyncio.ensure_future(self._run())
        self._worst = 0.0

    async def _run(self) -> None:
        while True:
            begin = time.perf_counter()
            try:
                await asyncio.sleep(TICK)
            finally:
                self._worst = max(self._worst, time.perf_counter() - begin - TICK)

    async def stop(self) -> float:
        """Seconds by which it was late at worst."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        return self._worst
