"""The order of what is only in memory: who is typing, who is online.

Every change gets the next number, which sync tokens carry with the number of the server's run: after another start the
numbers of before mean nothing.
"""

import secrets


class Serial:
    """One counter for all that changes in memory.

    Attributes:
        boot: the number of this run of the server.
        value: the number of the last change.
    """

    __slots__ = ("boot", "value")

    def __init__(self) -> None:
        self.boot = secrets.randbits(40) | 1
        self.value = 0

    def next(self) -> int:
        """The number of another change."""
        self.value += 1
        return self.value
