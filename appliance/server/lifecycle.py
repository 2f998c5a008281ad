"""From the first signal to the end: how the server stops, in order and in time."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from appliance.server.listeners import Listeners
from appliance.server.loop import new_loop
from appliance.server.waiting import Waiting

log = logging.getLogger("hearth.lifecycle")

REQUESTS_SECONDS = 1.2
"""For requests that run when the server is told to stop. Who stops containers soon loses patience."""
CLOSE_SECONDS = 5.0
"""For each part that has something to put away, such as the database; it takes milliseconds."""


class Stopping:
    """Whether the server has been told to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def request(self) -> None:
        """Tell it; again changes nothing."""
        self._event.set()

    async def wait(self) -> None:
        """Until it is told."""
        await self._event.wait()


def run(main: Callable[[Stopping], Coroutine[Any, Any, None]]) -> None:
    """Run a server until its ``main`` returns.

    Args:
        main: given what SIGTERM and SIGINT set off.
    """

    async def with_signals() -> None:
        stopping = Stopping()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.request)
        await main(stopping)
        loop.set_exception_handler(lambda _, __: None)  # what is cut off now complains, and there is nobody to tell

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(with_signals())


async def shut_down(listeners: Listeners, waiting: Waiting, closing: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Stop accepting, wake who waits, let requests finish, put everything away.

    Args:
        listeners: stopped first; requests have ``REQUESTS_SECONDS``.
        waiting: long polls; they answer with what there is.
        closing: in this order, after the last request; a part that fails or hangs does not keep the others.
    """
    log.info("Stopping.")
    stopped = asyncio.ensure_future(listeners.stop(REQUESTS_SECONDS))
    await asyncio.sleep(0)  # the listeners are told before those who waited come back with their next request
    waiting.stop()
    with contextlib.suppress(Exception):
        await stopped
    for close in closing:
        try:
            await asyncio.wait_for(close(), CLOSE_SECONDS)
        except Exception as error:
            log.error("A part of the server did not close as it should.", exc_info=error)
    log.info("Stopped.")
