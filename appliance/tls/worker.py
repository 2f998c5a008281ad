"""A thread for one piece of work that blocks for long."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str) -> T:
    """Run ``work`` in a thread of its own and wait for it.

    Unlike a pool's, the thread does not keep the process from ending: an authority that is slow to answer must not
    delay a stop. If the wait is cancelled, the work goes on unheard.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(set_it: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def run() -> None:
        set_it: Callable[[Any], None] = done.set_result
        value: Any
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 — it goes to whoever waits
            set_it, value = done.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, set_it, value)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
