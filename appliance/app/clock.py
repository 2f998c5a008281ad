"""The clock that is handed to whoever needs one."""

import time


def now_ms() -> int:
    """The time, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
