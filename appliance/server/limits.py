"""Rate limits: token buckets by kind of request, for a user or for an address."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from msgspec import Struct

from appliance.errors import limit_exceeded
from appliance.server.requester import Limit
from appliance.settings import Settings

MOST_BUCKETS = 10_000


class Rate(Struct, frozen=True):
    """How often something may be asked: so many at once, and so many a second in the long run."""

    burst: float
    per_second: float


RATES: Mapping[Limit, Rate] = {
    Limit.LOGIN: Rate(10, 0.2),
    Limit.REGISTER: Rate(10, 0.1),
    Limit.SEND: Rate(200, 20),
    Limit.JOIN: Rate(40, 1),
    Limit.READ: Rate(600, 100),
}
"""Generous: they are for programs that run wild and for guessing passwords, not for people."""


class Limits:
    """The buckets of everybody who asked lately; the ones longest unused are forgotten first.

    Args:
        settings: ``limits_enabled``, read at each use.
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
        self._buckets: OrderedDict[tuple[Limit, str], tuple[float, float]] = OrderedDict()

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
        rate = self._rates.get(limit)
        if rate is None or not self._settings.limits_enabled:
            return
        key = (limit, who)
        now = self._clock()
        level, since = self._buckets.get(key, (rate.burst, now))
        level = min(rate.burst, level + (now - since) * rate.per_second)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise limit_exceeded(max(1, int((1 - level) / rate.per_second * 1000) + 1))
