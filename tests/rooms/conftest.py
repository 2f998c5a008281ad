"""A Hearth without listeners, in a folder of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.federation.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """A house with Alice in it."""
    async with house(tmp_path) as home:
        yield home
