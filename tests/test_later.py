"""What is done once a while after it is wanted."""

import asyncio

from appliance.later import Later

SECONDS = 0.001


async def until_later() -> None:
    """Wait until all is done that was wanted before, of the same delay or a shorter one."""
    done = asyncio.Event()
    Later(2 * SECONDS, done.set).want()
    await done.wait()


def test_it_is_done_once_however_often_it_is_wanted() -> None:
    async def story() -> None:
        done: list[str] = []
        later = Later(SECONDS, lambda: done.append("done"))
        for _ in range(3):
            later.want()
        assert done == []
        await until_later()
        assert done == ["done"]
        later.want()
        await until_later()
        assert done == ["done", "done"]

    asyncio.run(story())


def test_what_is_cancelled_is_not_done_until_it_is_wanted_again() -> None:
    async def story() -> None:
        done: list[str] = []
        later = Later(SECONDS, lambda: done.append("done"))
        later.cancel()
        later.want()
        later.cancel()
        await until_later()
        assert done == []
        later.want()
        await until_later()
        assert done == ["done"]

    asyncio.run(story())


def test_it_is_done_again_where_it_is_wanted_from_within_or_failed() -> None:
    """Work that fails takes nothing with it: the next wish counts."""

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        done: list[str] = []

        def work() -> None:
            done.append("done")
            if len(done) < 3:
                later.want()
            raise ValueError("It failed.")

        later = Later(SECONDS, work)
        later.want()
        for count in range(1, 4):
            while len(done) < count:
                await until_later()
        await until_later()
        assert len(done) == 3

    asyncio.run(story())
