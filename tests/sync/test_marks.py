"""A client that follows is left waiting without a look while nothing happens, and misses nothing by that."""

import asyncio
from typing import Any, cast

from appliance.api.client.following import Follower, Following, Made
from appliance.server.waiting import Ended, Waiting
from appliance.sync.marks import MOST, Mark, Marks
from appliance.sync.notifier import Notifier

ALICE = "@alice:here"


class Requester:
    """Who asks."""

    user_id, device_id = ALICE, "D"


class Request:
    """A request."""

    requester = Requester()


class Patience:
    """Waits for news, in place of the server's waiting."""

    count = 0

    async def wait(self, request: object, woken: "asyncio.Future[None]", seconds: float) -> Ended:
        """Until it is woken or the time is over."""
        self.count += 1
        done, _ = await asyncio.wait([woken], timeout=seconds)
        return Ended.WOKEN if done else Ended.TIMEOUT


class Desk:
    """Answers with all news that there are after a number, as sync does."""

    def __init__(self) -> None:
        self.notifier, self.patience = Notifier(), Patience()
        self.marks = Marks(self.notifier)
        self.following = Following(self.notifier, self.marks, cast("Waiting", self.patience), self.settling)
        self.news: list[str] = []
        self.looks = 0
        self.whole = True
        self.keys = 50

    def settling(self, user_id: str, device_id: str) -> None:
        """There is nothing to be waited for."""

    def happen(self, what: str) -> None:
        """Something happens to Alice."""
        self.news.append(what)
        self.notifier.concern(ALICE)
        self.notifier.wake(0)

    async def ask(self, since: int, *more: str, wait_ms: int = 60_000, overtaken: Any = None) -> list[str]:
        """Whatever came after so much."""

        async def make() -> Made:
            self.looks += 1
            found, upto = self.news[since:], len(self.news)
            body = ",".join(found or [str(self.keys)]).encode()
            return Made(lambda: body, not found, (upto, *more) if self.whole else None)

        follower = Follower(cast("Any", Request()), ALICE, (since, *more), wait_ms, make, lambda: self.keys, overtaken)
        told = cast("Any", await self.following.answer(follower)).body.decode()
        return [] if told == "50" else told.split(",")


async def woken(desk: Desk, asking: "asyncio.Task[list[str]]", what: str) -> list[str]:
    """The answer to a request that waits until something happens."""
    waiting = desk.patience.count
    while desk.patience.count == waiting:
        await asyncio.sleep(0)
    desk.happen(what)
    return await asyncio.wait_for(asking, 30)


def test_following() -> None:
    """One look for each answer; what happens between two requests, or while one waits, is told."""

    async def story() -> None:
        desk = Desk()
        desk.happen("a")
        assert await desk.ask(0) == ["a"]
        assert desk.looks == 1
        assert await woken(desk, asyncio.create_task(desk.ask(1)), "b") == ["b"]
        assert desk.looks == 2
        desk.happen("c")
        assert await desk.ask(2) == ["c"]
        assert desk.looks == 3
        assert await woken(desk, asyncio.create_task(desk.ask(3)), "d") == ["d"]
        assert desk.looks == 4

    asyncio.run(story())


def test_what_does_not_go_on_is_looked_at() -> None:
    """An old token, another wish, no time to wait, a second request beside the first, or more to tell already."""

    async def story() -> None:
        desk = Desk()
        desk.happen("a")
        assert await desk.ask(0) == ["a"]
        assert await desk.ask(0) == ["a"]
        assert await desk.ask(1, wait_ms=0) == []
        looks = desk.looks
        asking = asyncio.create_task(desk.ask(1, "other"))
        assert await woken(desk, asking, "b") == ["b"]
        assert desk.looks == looks + 2
        first, second = (asyncio.create_task(desk.ask(2, "other")) for _ in range(2))
        assert await woken(desk, second, "c") == await first == ["c"]
        desk.whole = False
        assert await desk.ask(0) == ["a", "b", "c"]
        assert await desk.ask(2) == ["c"]

    asyncio.run(story())


def test_who_does_not_wait_is_told_nothing_without_a_look() -> None:
    """Until something happens, also in the moment before who waits is woken, or what stands beside news changes."""

    async def story() -> None:
        desk = Desk()
        assert await desk.ask(0, wait_ms=0) == []
        for _ in range(3):
            assert await desk.ask(0, wait_ms=0) == []
        assert desk.looks == 1
        desk.keys = 49
        assert await desk.ask(0, wait_ms=0) == await desk.ask(0, wait_ms=0) == ["49"]
        assert desk.looks == 2
        desk.news.append("a")
        desk.notifier.concern(ALICE)  # published, and not woken yet
        assert await desk.ask(0, wait_ms=0) == ["a"]
        desk.notifier.wake(0)
        desk.keys = 50
        assert await desk.ask(1, wait_ms=0) == await desk.ask(1, "other", wait_ms=0) == []
        assert desk.looks == 5
        assert await woken(desk, asyncio.create_task(desk.ask(1, "other")), "b") == ["b"]
        assert desk.looks == 6

    asyncio.run(story())


def test_a_request_that_is_overtaken_ends() -> None:
    """With an answer, also where it went on without a look; and the next one goes on undisturbed."""

    async def story() -> None:
        desk = Desk()
        desk.happen("a")
        first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
        assert await desk.ask(0, overtaken=first) == ["a"]
        first.set_result(None)
        await asyncio.sleep(0)
        asking = asyncio.create_task(desk.ask(1, overtaken=second))
        while not desk.patience.count:
            await asyncio.sleep(0)
        assert desk.looks == 1
        second.set_result(None)
        assert await asyncio.wait_for(asking, 30) == []

    asyncio.run(story())


def test_waits_are_given_back() -> None:
    """Those of devices that do not come back go once they are too many, and none is kept twice."""

    async def story() -> None:
        notifier = Notifier()
        marks = Marks(notifier)
        for number in [*range(MOST + 5), MOST]:
            user_id = f"@{number}:here"
            marks.put(number, Mark(user_id, ("token",), notifier.wait(user_id)))
        assert len(marks) == len(notifier._waiting) == MOST
        assert marks.take(MOST, ("token", "other")) is None
        assert marks.take(MOST, ("token",)) is None
        assert len(marks) == len(notifier._waiting) == MOST - 1

    asyncio.run(story())
