"""Long polling: a request that waits for something to happen, and stops waiting when nobody needs it any more."""

import asyncio
import enum
from typing import Any, cast

from litestar import Request
from litestar.types import Receive

from appliance.server.answers import Answer

LEFT = Answer(b"{}", 499)
"""What a handler returns whose client has left: nobody reads it, so it costs nothing to make."""

_WATCH = "hearth_watch"


class Ended(enum.Enum):
    """Why a wait ended."""

    WOKEN = "woken"
    """What was waited for happened."""
    TIMEOUT = "timeout"
    """The time was over."""
    LEFT = "left"
    """The client closed its connection: return ``LEFT`` at once."""
    STOPPING = "stopping"
    """The server is about to stop: answer with what there is."""


class Waiting:
    """All requests that wait at the moment."""

    def __init__(self) -> None:
        self._ends: set[asyncio.Future[Ended]] = set()
        self._stopping = False

    @property
    def count(self) -> int:
        """How many requests are waiting."""
        return len(self._ends)

    async def wait(
        self, request: Request[Any, Any, Any], woken: "asyncio.Future[Any] | asyncio.Event", seconds: float
    ) -> Ended:
        """Wait for the first of: something happened, the time is over, the client left, the server stops.

        May be called again for the same request. The body of the request must have been read, or be of no interest.

        Args:
            request: the one that waits.
            woken: a future that is resolved, or an event that is set, when there is something to tell. It is not
                cancelled.
            seconds: the longest wait.
        """
        if _is_over(woken):
            return Ended.WOKEN
        if self._stopping:
            return Ended.STOPPING
        loop = asyncio.get_running_loop()
        end: asyncio.Future[Ended] = loop.create_future()
        gone = _watch(cast("dict[str, Any]", request.scope), request.receive)
        waiter = loop.create_task(woken.wait()) if isinstance(woken, asyncio.Event) else woken

        def on_woken(_: object) -> None:
            _finish(end, Ended.WOKEN)

        def on_gone(_: object) -> None:
            _finish(end, Ended.LEFT)

        timer = loop.call_later(seconds, _finish, end, Ended.TIMEOUT)
        waiter.add_done_callback(on_woken)
        gone.add_done_callback(on_gone)
        self._ends.add(end)
        try:
            return await end
        finally:
            self._ends.discard(end)
            timer.cancel()
            gone.remove_done_callback(on_gone)
            waiter.remove_done_callback(on_woken)
            if waiter is not woken:
                waiter.cancel()

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._stopping = True
        for end in list(self._ends):
            _finish(end, Ended.STOPPING)


def end_watch(scope: dict[str, Any]) -> None:
    """Stop watching for the client's leave; called when the request is over."""
    watch = scope.pop(_WATCH, None)
    if watch is not None:
        watch.cancel()


def _watch(scope: dict[str, Any], receive: Receive) -> "asyncio.Task[None]":
    """The one task of this request that ends when its client has left."""
    watch: asyncio.Task[None] | None = scope.get(_WATCH)
    if watch is None:
        watch = asyncio.get_running_loop().create_task(_until_left(receive))
        scope[_WATCH] = watch
    return watch


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_over(woken: "asyncio.Future[Any] | asyncio.Event") -> bool:
    return woken.is_set() if isinstance(woken, asyncio.Event) else woken.done()


def _finish(end: "asyncio.Future[Ended]", why: Ended) -> None:
    if not end.done():
        end.set_result(why)
