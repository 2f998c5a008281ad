"""Waiting, in a test's own loop, for what comes by itself."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is so; fails when it does not come to be."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
