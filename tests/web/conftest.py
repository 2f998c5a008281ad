"""Asynchronous tests run on asyncio (with the plugin that comes with anyio), each on a stage of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A server that nobody has claimed."""
    it = await Stage.set(tmp_path)
    yield it
    await it.strike()
