"""Small caches of what was learnt from elsewhere: bounded, with an end to each entry, and asked for once at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from appliance.storage.lru import Lru

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Clock = Callable[[], float]
"""Seconds that only ever grow (``time.monotonic``)."""


class TimedCache(Generic[K, V]):
    """At most ``size`` entries, each until its time is over.

    Args:
        size: how many entries to keep.
        clock: the time in seconds.
    """

    __slots__ = ("_clock", "_entries")

    def __init__(self, size: int, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._entries: Lru[K, tuple[float, V]] = Lru(size)

    def get(self, key: K) -> V | None:
        """The entry, or None where there is none (any more)."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            self._entries.drop(key)
            return None
        return found[1]

    def left(self, key: K) -> float:
        """The seconds until an entry is over; 0 where there is none."""
        found = self._entries.get(key)
        return 0.0 if found is None else max(0.0, found[0] - self._clock())

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep an entry for so many seconds."""
        self._entries.put(key, (self._clock() + seconds, value))

    def drop(self, key: K) -> None:
        """Forget an entry."""
        self._entries.drop(key)


class Once(Generic[K, V]):
    """Lets those who ask for the same at the same time wait for one piece of work."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The outcome of the work that runs for a key, begun here if none does.

        Whoever gives up waiting does not end the work for the others.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(_of(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: K, done: "asyncio.Task[Any]") -> None:
        self._running.pop(key, None)
        if not done.cancelled():
            done.exception()  # taken note of, should nobody wait any more


async def _of(work: Callable[[], Awaitable[V]]) -> V:
    return await work()
