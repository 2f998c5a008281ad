"""The event loop: uvloop, woken by other threads in a way that does not make it wait for them.

Requests are read in a thread of Granian's, commits are made in the writer's, and each of them wakes the loop. uvloop
does that while the waking thread holds the interpreter: the loop's thread wakes up on the other core, finds the
interpreter taken and goes to sleep once more. ``os.eventfd_write`` lets go of the interpreter while it writes, and what
comes in the meantime needs no second waking.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """uvloop with a bell of its own for ``call_soon_threadsafe``."""

    def __init__(self) -> None:
        super().__init__()
        self._rung: deque[asyncio.Handle] = deque()
        # Holds one token while nobody has rung: taking it is one step, so that of two threads exactly one rings.
        self._quiet: deque[None] = deque((None,))
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.add_reader(self._bell, self._on_bell)

    def call_soon_threadsafe(  # type: ignore[override]  # uvloop declares its own kind of handle
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call something on the loop, from any thread; in the order of the calls.

        Raises:
            RuntimeError: where the loop is closed.
        """
        if self._bell < 0:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._rung.append(handle)
        self._ring()
        return handle

    def close(self) -> None:
        """Close the loop and its bell."""
        if self._bell >= 0:
            self.remove_reader(self._bell)
            os.close(self._bell)
            self._bell = -1
        super().close()

    def _ring(self) -> None:
        """Wake the loop, unless somebody has done so since it last looked."""
        try:
            self._quiet.pop()
        except IndexError:
            return
        os.eventfd_write(self._bell, 1)

    def _on_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        # First the token, then the calls: what comes in between is called now, and at most rings in vain.
        self._quiet.append(None)
        rung = self._rung
        for _ in range(len(rung)):  # what is rung for meanwhile waits for its turn, like all that the loop has to do
            handle = rung.popleft()
            if not handle.cancelled():
                handle._run()


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop to run on; plain uvloop where the system has no ``eventfd``."""
    return Loop() if hasattr(os, "eventfd") else uvloop.new_event_loop()
