"""The time, handed to services so that tests can set it."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Answers the time in milliseconds since 1970."""


def wall_clock() -> int:
    """The machine's time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
