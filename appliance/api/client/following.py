"""How a client is left waiting until there is news: what sync and sliding sync have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from litestar.types import ASGIApp
from msgspec import Struct

from appliance.server.answers import answer
from appliance.server.request import Asked
from appliance.server.waiting import LEFT, Ended, Waiting
from appliance.sync.marks import LONGEST_BODY, Mark, Marks, Nothing
from appliance.sync.notifier import Notifier


class Made(Struct, frozen=True):
    """An answer.

    Args:
        body: makes its body.
        empty: whether it tells nothing, so that the client may be left waiting.
        next: what a request asks for that goes on from it, if that has nothing to be told unless something happens.
    """

    body: Callable[[], bytes]
    empty: bool
    next: tuple[Any, ...] | None


class Follower(Struct, frozen=True):
    """A request of a client that follows.

    Args:
        request: the request.
        key: the device, or the connection.
        asked: what it asks for; None where it must be answered at once.
        wait_ms: how long it may be left waiting.
        make: makes an answer.
        beside: what an answer tells beside news, of which nobody is woken.
        overtaken: ends when another request takes the place of this one.
    """

    request: Asked
    key: Hashable
    asked: tuple[Any, ...] | None
    wait_ms: int
    make: Callable[[], Awaitable[Made]]
    beside: Callable[[], object]
    overtaken: "asyncio.Future[None] | None" = None


class Following:
    """Answers those who follow.

    Args:
        notifier: ends waits.
        marks: the waits that go on from one request to the next.
        waiting: the requests that wait.
        settling: what is to be waited for before a user's device is answered, so that what it acknowledged by its
            request is written; None for nothing.
    """

    def __init__(
        self,
        notifier: Notifier,
        marks: Marks,
        waiting: Waiting,
        settling: Callable[[str, str], Awaitable[object] | None],
    ) -> None:
        self._settling = settling
        self._notifier = notifier
        self._marks = marks
        self._waiting = waiting

    async def answer(self, one: Follower) -> ASGIApp:
        """Answer at once or as soon as there is something to tell, at the latest when the time is over."""
        found = await self._found(one)
        written = self._settling(one.request.requester.user_id, one.request.requester.device_id)
        if written is not None:
            await written
        return found

    async def _found(self, one: Follower) -> ASGIApp:
        now, user_id = asyncio.get_running_loop().time, one.request.requester.user_id
        deadline = now() + one.wait_ms / 1000
        # Where nothing happened since the last answer, there is no need to look.
        kept = self._marks.take(one.key, one.asked) if one.asked is not None else None
        woken = None if kept is None else kept.woken
        made: Made | None = None
        while True:
            looks = woken is None
            # Waiting begins before looking, so that nothing falls between.
            woken = woken or self._notifier.wait(user_id)
            mark, end = None, _ending(woken)
            if one.overtaken is not None:
                one.overtaken.add_done_callback(end)
            try:
                if kept is not None and not one.wait_ms:
                    if kept.nothing is not None and self._is_still(kept.nothing, one):
                        mark = kept
                        return answer(kept.nothing.body)
                    looks = True
                if looks:
                    beside = one.beside()
                    made = await one.make()
                    if not made.empty or deadline <= now() or _is_over(one.overtaken):
                        body = made.body()
                        mark = _mark(user_id, made, woken, body, beside)
                        return answer(body)
                ended = await self._waiting.wait(one.request, woken, deadline - now())
            finally:
                if one.overtaken is not None:
                    one.overtaken.remove_done_callback(end)
                if mark is None:
                    self._notifier.leave(user_id, woken)
                else:
                    self._marks.put(one.key, mark)
            woken = None
            if ended is Ended.LEFT:
                return LEFT
            if ended is Ended.STOPPING:
                return answer((made or await one.make()).body())

    def _is_still(self, nothing: Nothing, one: Follower) -> bool:
        """Whether what told nothing tells nothing, and what stands beside it is as it was."""
        return not self._notifier.is_concerned(one.request.requester.user_id) and nothing.beside == one.beside()


def _mark(user_id: str, made: Made, woken: "asyncio.Future[None]", body: bytes, beside: object) -> Mark | None:
    """What is kept for the request that goes on from an answer; None where there is more to tell at once."""
    if made.next is None:
        return None
    nothing = Nothing(body, beside) if made.empty and len(body) <= LONGEST_BODY else None
    return Mark(user_id, made.next, woken, nothing)


def _ending(woken: "asyncio.Future[None]") -> "Callable[[asyncio.Future[None]], None]":
    def end(_: "asyncio.Future[None]") -> None:
        if not woken.done():
            woken.set_result(None)

    return end


def _is_over(overtaken: "asyncio.Future[None] | None") -> bool:
    return overtaken is not None and overtaken.done()
