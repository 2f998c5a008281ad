"""Something that is done once a while after it is wanted, however often that is meanwhile: what failed is looked at
again, what may wait is written together.
"""

import asyncio
from collections.abc import Callable


class Later:
    """Does it.

    Args:
        seconds: after which it is done, from the first moment on at which it is wanted.
        work: does it, on the loop; where it is wanted from within, or afterwards, it is done once more.
    """

    __slots__ = ("_seconds", "_timer", "_work")

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self._seconds = seconds
        self._work = work
        self._timer: asyncio.TimerHandle | None = None

    def want(self) -> None:
        """Have it done."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._due)

    def cancel(self) -> None:
        """Want it no more, as it was done otherwise or never will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._work()
