"""Rate limits: token buckets by kind of request, for a user or for an address; and for wrong passwords by account."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from msgspec import Struct

from appliance.errors import MatrixError, limit_exceeded
from appliance.server.requester import Limit
from appliance.settings import Settings

MOST_BUCKETS = 10_000
_FAILURES = "failures"


class Rate(Struct, frozen=True):
    """How often something may be asked: so many at once, and so many a second in the long run."""

    burst: float
    per_second: float


RATES: Mapping[Limit, Rate] = {
    Limit.LOGIN: Rate(10, 0.2),
    Limit.REGISTER: Rate(30, 0.1),  # Element asks three to six times for one account
    Limit.SEND: Rate(200, 20),
    Limit.JOIN: Rate(40, 1),
    Limit.INVITE: Rate(100, 1),
    Limit.SEARCH: Rate(60, 5),
    Limit.WRITE: Rate(300, 30),
    Limit.READ: Rate(600, 100),
}
FAILURES = Rate(20, 0.1)
"""Wrong passwords for one account, from wherever they come; the right one is let in all the same until then."""
"""Generous: they are for programs that run wild and for guessing passwords, not for people."""


class Limits:
    """The buckets of everybody who asked lately; the ones longest unused are forgotten first.

    Args:
        settings: ``limits_enabled`` and ``limits_rates``, read at each use.
        rates: by kind; a kind that is missing is not limited.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        rates: Mapping[Limit, Rate] = RATES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._rates = rates
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, limit: Limit, who: str) -> None:
        """Count one request.

        Args:
            limit: its kind.
            who: a user id or an address (``clients.address_block``).

        Raises:
            MatrixError: 429 ``M_LIMIT_EXCEEDED`` with the time until one more is allowed; the request does not count.
        """
        if not self._settings.limits_enabled:
            return
        chosen = next((rate for name, rate in self._settings.limits_rates.items() if name == limit.value), None)
        rate = self._rates.get(limit) if chosen is None else Rate(*chosen)
        if rate is None:
            return
        key = (limit.value, who)
        level = self._level(key, rate)
        allowed = level >= 1
        self._put(key, level - 1 if allowed else level)
        if not allowed:
            raise _exceeded(level, rate)

    def check_failures(self, account: str) -> None:
        """Refuse to try a password of an account for which too many were wrong; raises as ``take``."""
        if self._settings.limits_enabled:
            level = self._level((_FAILURES, account), FAILURES)
            if level < 1:
                raise _exceeded(level, FAILURES)

    def count_failure(self, account: str) -> None:
        """Count a wrong password for an account."""
        if self._settings.limits_enabled:
            key = (_FAILURES, account)
            self._put(key, max(0.0, self._level(key, FAILURES) - 1))

    def _level(self, key: tuple[str, str], rate: Rate) -> float:
        now = self._clock()
        level, since = self._buckets.get(key, (rate.burst, now))
        return min(rate.burst, level + (now - since) * rate.per_second)

    def _put(self, key: tuple[str, str], level: float) -> None:
        self._buckets[key] = (level, self._clock())
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)


def _exceeded(level: float, rate: Rate) -> MatrixError:
    return limit_exceeded(max(1, int((1 - level) / rate.per_second * 1000) + 1))
