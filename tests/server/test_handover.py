"""From Granian's threads to the loop: the first step of an answer, bodies that are asked for ahead, and the bell."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from appliance.server.handover import MOST_AHEAD, Handover, small_body
from appliance.server.loop import Loop
from tests.server.harness import run
from tests.support.waiting import until

App = Callable[..., Awaitable[None]]
PUT = {"method": "PUT", "path": "/_matrix/a", "headers": [(b"content-length", b"2"), (b"authorization", b"Bearer a")]}
GET = {"method": "GET", "path": "/_matrix/a", "headers": []}


class Watcher:
    """A request as Granian hands it over, whose body comes when the test says so."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = dict(scope)
        self.proto = self
        self.ends: list[object] = []
        self.tasks: list[object] = []
        self.sent: list[dict[str, Any]] = []
        self.body: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def receive(self) -> Awaitable[dict[str, Any]]:
        return self.body

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def done(self) -> None:
        self.ends.append("done")

    def err(self, error: BaseException) -> None:
        self.ends.append(error)

    def taskref(self, task: object) -> None:
        self.tasks.append(task)


async def answered(app: Any, scope: dict[str, Any]) -> Watcher:
    """A request that an application has answered."""
    watcher = Watcher(scope)
    Handover(asyncio.get_running_loop(), app).take(watcher)
    await until(lambda: watcher.ends)
    return watcher


def test_what_needs_no_waiting_is_answered_without_a_task() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"said": scope["path"]})

    async def work() -> None:
        watcher = await answered(app, GET)
        assert (watcher.ends, watcher.tasks, watcher.sent) == (["done"], [], [{"said": "/_matrix/a"}])
        page = await answered(app, {**GET, "path": "/account"})
        assert (page.ends, len(page.tasks)) == (["done"], 1)

    run(work())


def test_an_answer_that_waits_has_a_task_with_its_context_and_its_timeouts() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        token = variable.set(5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        assert asyncio.current_task() is not None
        await send({"said": variable.get()})
        variable.reset(token)

    async def work() -> None:
        first, second = await asyncio.gather(answered(app, GET), answered(app, GET))
        for watcher in (first, second):
            assert (watcher.ends, len(watcher.tasks), watcher.sent) == (["done"], 1, [{"said": 5}])
        assert variable.get() == 0

    run(work())


@pytest.mark.parametrize("waits", [False, True])
def test_an_answer_that_fails_is_told_to_granian(waits: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        raise KeyError("gone")

    async def work() -> None:
        watcher = await answered(app, GET)
        assert [repr(end) for end in watcher.ends] == ["KeyError('gone')"]

    run(work())


def test_a_small_body_is_there_when_its_request_begins() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"kept": scope.get("hearth_body"), "message": await receive()})

    async def work() -> None:
        for body, kept in ((b"{}", b"{}"), (b"{", None)):
            watcher = Watcher(PUT)
            Handover(asyncio.get_running_loop(), app).take(watcher)
            await asyncio.sleep(0.01)
            assert not watcher.sent
            message = {"type": "http.request", "body": body, "more_body": True}
            watcher.body.set_result(message)
            await until(lambda watcher=watcher: watcher.ends)
            assert watcher.sent == [{"kept": kept, "message": message}]

    run(work())


def test_a_request_whose_body_does_not_come_begins_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.server.handover.AHEAD_SECONDS", 0.02)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"begun": "hearth_body" not in scope})
        await send(await receive())

    async def work() -> None:
        handover = Handover(asyncio.get_running_loop(), app)
        handover.start()
        late, left = Watcher(PUT), Watcher(PUT)
        handover.take(late)
        await until(lambda: late.sent)
        late.body.set_result({"late": True})
        await until(lambda: late.ends)
        assert late.sent == [{"begun": True}, {"late": True}]
        handover.take(left)
        handover.stop()
        await until(lambda: left.sent)
        assert left.sent == [{"begun": True}]

    run(work())


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([(b"content-length", b"10"), (b"authorization", b"Bearer a")], 10),
        ([(b"content-length", b"10")], 0),
        ([(b"content-length", b"10"), (b"authorization", b"a"), (b"expect", b"100-continue")], 0),
        ([(b"content-length", str(MOST_AHEAD + 1).encode()), (b"authorization", b"a")], 0),
        ([(b"content-length", b"-1"), (b"authorization", b"a")], 0),
        ([(b"transfer-encoding", b"chunked"), (b"authorization", b"a")], 0),
    ],
)
def test_which_bodies_are_asked_for_ahead(headers: list[tuple[bytes, bytes]], length: int) -> None:
    assert small_body(headers) == length


def test_threads_ring_in_their_order_and_nothing_is_lost() -> None:
    heard: list[tuple[int, int]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)

        def ring(thread: int) -> None:
            for number in range(2_000):
                loop.call_soon_threadsafe(heard.append, (thread, number))

        loop.call_soon_threadsafe(heard.append, (-1, 0)).cancel()
        threads = [threading.Thread(target=ring, args=(thread,)) for thread in range(3)]
        for thread in threads:
            thread.start()
        await until(lambda: len(heard) == 6_000)
        for thread in range(3):
            assert [number for who, number in heard if who == thread] == list(range(2_000))

    run(work())


def test_a_thread_that_comes_between_does_not_silence_the_bell() -> None:
    """Two threads that are handed the interpreter between putting their call and ringing: one of them rings."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        heard: list[str] = []

        class Interrupted(deque[asyncio.Handle]):
            def append(self, handle: asyncio.Handle) -> None:
                super().append(handle)
                if len(self) == 1:
                    loop.call_soon_threadsafe(heard.append, "between")

        loop._rung = Interrupted()
        loop.call_soon_threadsafe(heard.append, "first")
        await until(lambda: len(heard) == 2)
        assert heard == ["first", "between"]

    run(work())


def test_a_closed_loop_takes_no_calls() -> None:
    loop = Loop()
    loop.close()
    loop.close()
    with pytest.raises(RuntimeError):
        loop.call_soon_threadsafe(print)


def test_a_call_that_fails_is_told_and_stops_no_other() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        done = asyncio.Event()
        loop.call_soon_threadsafe(lambda: 1 / 0)
        loop.call_soon_threadsafe(done.set)
        await done.wait()
        assert [type(error) for error in told] == [ZeroDivisionError]

    run(work())
