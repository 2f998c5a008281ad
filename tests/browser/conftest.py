"""Asynchronous tests run on asyncio (with the plugin that comes with anyio)."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The loop that asynchronous tests run on."""
    return "asyncio"
