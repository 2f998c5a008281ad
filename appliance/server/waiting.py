"""Long polling: a request that waits for something to happen, and stops waiting when nobody needs it any more."""

import asyncio
import enum
import time
from typing import Any, cast

from litestar import Request
from litestar.types import Receive

from appliance.errors import MatrixError
from appliance.server.answers import Answer
from appliance.storage.lru import Lru

LEFT = Answer(b"{}", 499)
"""What a handler returns whose client has left: nobody reads it, so it costs nothing to make."""

_WATCH = "hearth_watch"
WATCH_AFTER_S = 1.0
"""How long a request waits before it is watched whether its client has left: most waits end before, and to watch costs
as much as all the rest of waiting.
"""


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


ENDED_KEPT = 1_000
"""Logins of which it is remembered that they ended, for the moments in which a request of theirs is not waiting."""


class Waiting:
    """All requests that wait at the moment."""

    def __init__(self) -> None:
        self._ends: dict[asyncio.Future[Ended], tuple[str, str]] = {}
        self._ended: Lru[tuple[str, str], tuple[float, MatrixError]] = Lru(ENDED_KEPT)
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

        Raises:
            MatrixError: 401 where the login that asks has ended since it asked.
        """
        asker = _asker(cast("dict[str, Any]", request.scope))
        self._check(asker, cast("dict[str, Any]", request.scope))
        if _is_over(woken):
            return Ended.WOKEN
        if self._stopping:
            return Ended.STOPPING
        loop = asyncio.get_running_loop()
        end: asyncio.Future[Ended] = loop.create_future()
        scope = cast("dict[str, Any]", request.scope)
        gone: asyncio.Task[None] | None = None
        timer: asyncio.TimerHandle | None = None
        waiter = loop.create_task(woken.wait()) if isinstance(woken, asyncio.Event) else woken

        def on_woken(_: object) -> None:
            _finish(end, Ended.WOKEN)

        def on_gone(_: object) -> None:
            _finish(end, Ended.LEFT)

        def watch() -> None:
            nonlocal gone, timer
            timer = loop.call_at(deadline, _finish, end, Ended.TIMEOUT)
            gone = _watch(scope, request.receive)
            gone.add_done_callback(on_gone)

        deadline = loop.time() + seconds
        if _WATCH in scope:
            watch()
        elif seconds <= WATCH_AFTER_S:
            timer = loop.call_at(deadline, _finish, end, Ended.TIMEOUT)
        else:
            timer = loop.call_later(WATCH_AFTER_S, watch)
        waiter.add_done_callback(on_woken)
        self._ends[end] = asker
        try:
            return await end
        finally:
            self._ends.pop(end, None)
            if timer is not None:
                timer.cancel()
            if gone is not None:
                gone.remove_done_callback(on_gone)
            waiter.remove_done_callback(on_woken)
            if waiter is not woken:
                waiter.cancel()

    def end_login(self, user_id: str, device_id: str, error: MatrixError) -> None:
        """End the waits of a login that is over, each with an error; ``device_id`` is empty for all of a user's."""
        self._ended.put((user_id, device_id), (time.perf_counter(), error))
        for end, (asking_user, asking_device) in list(self._ends.items()):
            if asking_user == user_id and device_id in ("", asking_device) and not end.done():
                end.set_exception(error)

    def _check(self, asker: tuple[str, str], scope: dict[str, Any]) -> None:
        """Refuse to wait for a login that has ended since its request came."""
        if asker[0]:
            for key in (asker, (asker[0], "")):
                known = self._ended.get(key)
                if known is not None and known[0] >= scope.get("started", 0.0):
                    raise known[1]

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._stopping = True
        for end in list(self._ends):
            _finish(end, Ended.STOPPING)


class EndedLogins:
    """Tells those who wait that their login has ended; what ``accounts`` tells of devices and accounts.

    Args:
        waiting: the requests that wait.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def deleting(self, tx: object, user_id: str, device_id: str) -> None:
        """Nothing is kept about a device."""

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone, and with it the login on it."""
        error = MatrixError("M_UNKNOWN_TOKEN", "This access token is not known any more: log in again.", 401)
        self._waiting.end_login(user_id, device_id, error)

    def locked(self, user_id: str) -> None:
        """A user was locked out."""
        error = MatrixError(
            "M_USER_LOCKED", "This account has been locked by the server's owner.", 401, soft_logout=True
        )
        self._waiting.end_login(user_id, "", error)


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


def _asker(scope: dict[str, Any]) -> tuple[str, str]:
    """The user and the device that ask, as far as the request was authenticated."""
    requester = scope.get("requester")
    return ("", "") if requester is None else (requester.user_id, requester.device_id)
