"""How a request comes from Granian's threads to ours: in as few steps as there can be.

A tokio thread reads the request, a second thread makes Python objects of it, and the event loop answers. Each of them
wakes the next, which costs more than most answers. What Granian does by itself is done here with less:

- Where a small body is announced, it is asked for before the loop is woken, which then finds it there. Granian would
  wake the loop, which asks for the body, which comes by way of both other threads and wakes the loop once more.
- The first step of an answer is made at once, not by a task that the loop would come to later; only an answer that has
  to wait becomes a task.
"""

import asyncio
import time
import types
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Protocol

from granian._granian import ASGIWorker, CallbackScheduler
from litestar.types import Receive, Scope, Send
from msgspec import Struct

MOST_AHEAD = 64 * 1024
"""Bytes of a body that is asked for ahead: what most events and requests have, far below what Granian buffers."""
AHEAD_SECONDS = 10.0
"""How long a request may be kept back for its body; afterwards it begins without."""
AT_ONCE = "/_matrix/"
"""The paths whose first step is made without a task: those of our own handlers."""

Target = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
Coming = Awaitable[dict[str, Any]]


class _Watcher(Protocol):
    """A request, as Granian hands it over."""

    scope: Any
    proto: Any

    def done(self) -> None: ...

    def err(self, error: BaseException) -> None: ...

    def taskref(self, task: object) -> None: ...


class Beginner:
    """Stands for the task of an answer that has none yet, for ``asyncio.timeout`` and the like."""

    __slots__ = ("task",)

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, once there is one."""
        return self.task is not None and self.task.cancel(msg)

    def cancelling(self) -> int:
        """How often the task was asked to end."""
        return 0 if self.task is None else self.task.cancelling()

    def uncancel(self) -> int:
        """Take back that it was asked to end."""
        return 0 if self.task is None else self.task.uncancel()


class _Ahead(Struct, frozen=True):
    """A request that waits for its body: since when, how long that is, and the piece that comes first."""

    since: float
    length: int
    coming: Any


class Handover:
    """Takes the requests of one listener from Granian and begins to answer them.

    Args:
        loop: the event loop.
        target: the application.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Target) -> None:
        self._loop = loop
        self._target = target
        self._ahead: dict[_Watcher, _Ahead] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._context = copy_context()

    def start(self) -> CallbackScheduler:
        """Begin: what Granian gives requests to. It must not be kept here, since the collector does not see into it."""
        make: Any = CallbackScheduler
        scheduler: CallbackScheduler = make(self._loop, self._target, None, None, None)
        scheduler._schedule_fn = self.take  # type: ignore[attr-defined]
        self._look()
        return scheduler

    def stop(self) -> None:
        """Look no longer; what waits is begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._begin_waiting(time.monotonic())

    def take(self, watcher: _Watcher) -> None:
        """Called in Granian's thread with each request."""
        scope = watcher.scope
        length = small_body(scope["headers"]) if scope["method"] in ("PUT", "POST") else 0
        if length:
            coming = watcher.proto.receive()
            self._ahead[watcher] = _Ahead(time.monotonic(), length, coming)
            coming.add_done_callback(lambda _: self._come(watcher), context=self._context)
        else:
            self._loop.call_soon_threadsafe(self._begin, watcher, context=self._context)

    def _come(self, watcher: _Watcher) -> None:
        """The first piece of a body is there."""
        ahead = self._ahead.pop(watcher, None)
        if ahead is not None:
            self._begin(watcher, ahead)

    def _look(self) -> None:
        """Begin what waits for a body that does not come."""
        self._begin_waiting(time.monotonic() - AHEAD_SECONDS)
        self._timer = self._loop.call_later(AHEAD_SECONDS, self._look)

    def _begin_waiting(self, before: float) -> None:
        for watcher, ahead in list(self._ahead.items()):
            if ahead.since <= before and self._ahead.pop(watcher, None) is not None:
                self._loop.call_soon(self._begin, watcher, ahead)

    def _begin(self, watcher: _Watcher, ahead: _Ahead | None = None) -> None:
        scope, proto = watcher.scope, watcher.proto
        receive = proto.receive
        if ahead is not None:
            receive = _receive(proto.receive, ahead.coming)
            if ahead.coming.done():
                piece = ahead.coming.result().get("body", b"")
                if len(piece) == ahead.length:
                    scope["hearth_body"] = piece
        scope["root_path"], scope["state"] = "", {}
        coroutine = self._target(scope, receive, proto.send)
        if scope["path"].startswith(AT_ONCE):
            context = copy_context()
            context.run(self._first_step, watcher, coroutine, context)
        else:
            watcher.taskref(self._loop.create_task(_answer(watcher, coroutine)))

    def _first_step(self, watcher: _Watcher, coroutine: Coroutine[Any, Any, None], context: Context) -> None:
        """Go as far as the answer comes without waiting; the rest is a task's."""
        beginner = Beginner()
        _enter_task(self._loop, beginner)  # type: ignore[arg-type]
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            watcher.done()
            return
        except BaseException as error:  # noqa: BLE001  Granian answers 500 and logs it
            watcher.err(error)
            return
        finally:
            _leave_task(self._loop, beginner)  # type: ignore[arg-type]
        task = self._loop.create_task(_answer(watcher, _rest(coroutine, awaited)), context=context)
        beginner.task = task
        watcher.taskref(task)


async def _answer(watcher: _Watcher, answering: Awaitable[None]) -> None:
    try:
        await answering
    except BaseException as error:  # noqa: BLE001  the same
        watcher.err(error)
    else:
        watcher.done()


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine whose first step ended with awaiting something."""
    while True:
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001  it is the coroutine's
            step: Any = coroutine.throw
            argument = error
        else:
            step, argument = coroutine.send, value
        try:
            awaited = step(argument)
        except StopIteration:
            return
        finally:
            # An error leads to this frame, and so to itself: it would keep the connection until the collector comes.
            del argument


def _receive(receive: Receive, coming: Coming) -> Receive:
    """ASGI's ``receive`` where the first message was asked for already."""
    first: Coming | None = coming

    async def receiving() -> Any:
        nonlocal first
        if first is None:
            return await receive()
        message, first = await first, None
        return message

    return receiving


def small_body(headers: list[tuple[bytes, bytes]]) -> int:
    """How long a body is that is worth asking for ahead; 0 for any other.

    Not one of which the client wants to know first whether it is welcome, nor one of a request that nobody could have
    authorised: such are refused without waiting for it.
    """
    length = 0
    authorised = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"authorization":
            authorised = True
        elif name == b"expect":
            return 0
    return length if authorised and length <= MOST_AHEAD else 0


async def work(
    worker_id: int, signal: Any, target: Target, sock: Any, loop: asyncio.AbstractEventLoop, *settings: Any
) -> None:
    """Serve a listener until Granian's signal: what its embedded server does for ASGI, with a ``Handover``.

    Args:
        worker_id: Granian's number.
        signal: set to end it.
        target: the application.
        sock: the listening socket.
        loop: the event loop.
        settings: Granian's, in its order.
    """
    (
        threads,
        more_threads,
        blocking_threads,
        idle_timeout,
        backpressure,
        _,
        http_mode,
        http1,
        http2,
        websockets,
        static,
        _,
        tls,
        _,
    ) = settings
    ended: asyncio.Future[None] = loop.create_future()
    signal.add_cb(lambda: loop.call_soon_threadsafe(ended.set_result, None))
    make: Any = ASGIWorker
    worker = make(
        worker_id,
        sock,
        None,
        threads,
        more_threads,
        blocking_threads,
        idle_timeout,
        backpressure,
        http_mode,
        http1,
        http2,
        websockets,
        static,
        *tls,
        (None, None),
    )
    handover = Handover(loop, target)
    worker.serve_async(handover.start(), loop, signal)
    try:
        await ended
    finally:
        handover.stop()
