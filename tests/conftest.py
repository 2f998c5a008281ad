"""What holds for every test: property tests repeat exactly and nobody judges their speed, the machine's own Hearth does
not leak in, and whatever a test changes in its process, it puts back, as the next one may be any other.
"""

import asyncio
import gc
import logging
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "hearth",
    deadline=None,
    derandomize=True,
    print_blob=True,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("hearth")

for name in [name for name in os.environ if name.startswith("HEARTH_")]:
    del os.environ[name]


def _process() -> dict[str, Any]:
    """What all tests of a process share, and may change."""
    root, policy = logging.getLogger(), asyncio.events._event_loop_policy
    return {
        "environment": {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),  # noqa: PTH109 - a tenth of the cost, for each of many tests
        "path": list(sys.path),
        "log": (list(root.handlers), root.level, logging.getLogger("hearth").level, vars(logging).get("_srcfile")),
        "garbage": gc.isenabled(),
        "loops": policy if policy is None or not type(policy).__module__.startswith("asyncio.") else None,
        "resolver": socket.getaddrinfo,
    }


@pytest.fixture
def anyio_backend() -> str:
    """The loop that asynchronous tests run on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    """A test's process is afterwards what it was before."""
    before = _process()
    yield
    assert _process() == before
