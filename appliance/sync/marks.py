"""What a device waits for next, from its last answer on: so that its next request need not look whether there is news.

A client that follows asks again as soon as it has an answer, with the token of that answer. Between the two mostly
nothing happens. So the wait that began before the answer was made is kept: as long as it did not end, there is nothing
to tell, and the next request goes on with it.

Where the answer told nothing, its body is kept with it: whoever asks again without waiting is given the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from msgspec import Struct

from appliance.sync.notifier import Notifier

MOST = 1_000
"""Devices whose last answer is remembered."""

LONGEST_BODY = 4_096
"""Bytes of a body that is kept: those of answers that tell nothing have some hundred."""

Woken = asyncio.Future[None]


class Nothing(Struct, frozen=True):
    """An answer that told nothing.

    Args:
        body: its body, with the token that it was asked for with next.
        beside: what else it depends on, of which nobody is woken.
    """

    body: bytes
    beside: object


class Mark(Struct, frozen=True):
    """What is kept for a device.

    Args:
        user_id: whose wait it is.
        asked: what a request must ask for to have the same answer.
        woken: the wait.
        nothing: the last answer, if it told nothing.
    """

    user_id: str
    asked: tuple[Any, ...]
    woken: Woken
    nothing: Nothing | None = None


class Marks:
    """Keeps a wait for each device, or connection, that was answered.

    Args:
        notifier: ends the waits.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._kept: OrderedDict[Hashable, Mark] = OrderedDict()

    def put(self, key: Hashable, mark: Mark) -> None:
        """Keep the wait that began before an answer was made; it is given back by whoever takes it.

        Args:
            key: the device.
            mark: what is kept.
        """
        self.drop(key)
        self._kept[key] = mark
        if len(self._kept) > MOST:
            self.drop(next(iter(self._kept)))

    def take(self, key: Hashable, asked: tuple[Any, ...]) -> Mark | None:
        """What a request goes on with, where there is nothing to tell; None where that must be looked at."""
        mark = self._kept.get(key)
        if mark is not None and mark.asked == asked and not mark.woken.done():
            del self._kept[key]
            return mark
        self.drop(key)
        return None

    def drop(self, key: Hashable) -> None:
        """Give back the wait of a device, if there is one."""
        mark = self._kept.pop(key, None)
        if mark is not None:
            self._notifier.leave(mark.user_id, mark.woken)

    def __len__(self) -> int:
        return len(self._kept)
