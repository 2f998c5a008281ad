"""How it goes with each other server: whether it answers, what it last failed with, and when it is tried again.

A server that fails is left alone, longer each time; one that contacts us, or answers anything, is trusted again at
once. What is kept of it is written only when something changes, so that a server that answers costs no write.
"""

import random
from collections.abc import Callable
from copy import copy

from appliance.federation.failures import Unreachable
from appliance.storage import destinations as rows
from appliance.storage.database import Database
from appliance.storage.destinations import DestinationRow

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
LADDER_MS = (
    *(5 * SECOND, 20 * SECOND, MINUTE, 3 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR),
)
"""How long a server is left alone after one failure, two, and so on."""
MOST_REST_MS = HOUR
"""For how long a server is left alone because it asks for that (``Retry-After``)."""
SUCCESS_KEPT_MS = HOUR
"""How old what is kept of a last success may become."""
FORGOTTEN_MS, IDLE_MS = HOUR, 90 * 24 * HOUR
"""After which a server is forgotten that lacks nothing and that nobody asks: one that fails, since it could have been
asked again; one that is fine, since it answered last. Anybody can have us ask servers that there are not.
"""
SLICE = 200
MAX_WORDS = 500
CONTACT_MS = MINUTE
"""A server that contacts us is tried at once, but not more often than so if it has failed for longer, as it may be one
that can call us and cannot be called."""


def wait_ms(failures: int, spread: float = 1.0) -> int:
    """How long a server is left alone that has failed so many times in a row."""
    return int(LADDER_MS[min(failures, len(LADDER_MS)) - 1] * spread)


class Standing:
    """Keeps how it goes; told by the client, the outbox and whoever hears from a server.

    Args:
        database: where it is kept.
        now_ms: the time, milliseconds since 1970.
        spread: a factor on waits, so that not all servers are tried at once.

    Attributes:
        recovered: called with one that answers again, or has contacted us while it was being left alone.
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        spread: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._spread = spread
        self._troubled = {row.server_name: row for row in rows.troubled(database)}
        self._fine: dict[str, int] = {}
        """When servers without trouble last answered."""
        self._contacts: dict[str, int] = {}
        """When servers that do not answer were tried last since they had contacted us."""
        self._kept: dict[str, int] = {}
        """What the database has of that."""
        self.recovered: list[Callable[[str], None]] = []

    # The client's watch --------------------------------------------------------------------------------------------

    def before(self, destination: str) -> None:
        """See that a server may be asked now; raises ``Unreachable`` while it is left alone."""
        row = self._troubled.get(destination)
        if row is not None and row.failures and row.retry_ts > self._now_ms():
            raise Unreachable(f"It does not answer, so it is left alone for a while: {row.last_error}", local=True)

    def after(self, destination: str, failure: str, rest_ms: int = 0) -> None:
        """Take note of how asking a server went: what went wrong, or "" where it answered; and for how long it asks to
        be left alone.
        """
        if failure:
            self.note_failure(destination, failure, rest_ms)
        else:
            self.note_success(destination)

    # What happens --------------------------------------------------------------------------------------------------

    def note_failure(self, server: str, words: str, rest_ms: int = 0) -> None:
        """A server did not answer, or not as it must. Further failures of the same time do not count.

        Args:
            server: the server.
            words: what went wrong.
            rest_ms: for how long it asks to be left alone, which it is, up to an hour.
        """
        now = self._now_ms()
        row = self.row(server)
        if row.failures and row.retry_ts > now:
            return
        row.failures += 1
        row.failing_since_ts = row.failing_since_ts or now
        row.retry_ts = now + max(wait_ms(row.failures, self._spread()), min(rest_ms, MOST_REST_MS))
        row.last_error = words[:MAX_WORDS]
        self.keep(row)

    def note_success(self, server: str) -> None:
        """A server answered."""
        now = self._now_ms()
        row = self._troubled.get(server)
        if row is None:
            self._fine[server] = now
            if now - self._kept.get(server, 0) > SUCCESS_KEPT_MS:
                self._kept[server] = now
                self.keep(self.row(server))
            return
        row.last_success_ts = now
        if row.failures:
            row.failures, row.failing_since_ts, row.retry_ts = 0, None, 0
            self.keep(row)
            for listener in self.recovered:
                listener(server)

    def contacted(self, server: str) -> None:
        """A server has sent us a request: it is up, whatever happened before."""
        row, now = self._troubled.get(server), self._now_ms()
        if row is None or not row.failures:
            return
        if now >= self._contacts.get(server, 0) + min(CONTACT_MS, wait_ms(row.failures)):
            self._contacts[server] = now
            row.retry_ts = 0
            for listener in self.recovered:
                listener(server)

    def retry(self, server: str) -> None:
        """The owner wants a server to be tried now."""
        row = self._troubled.get(server)
        if row is not None:
            row.retry_ts = 0
            for listener in self.recovered:
                listener(server)

    async def prune(self) -> int:
        """Forget servers that nobody asks any more, a few at a time; answers how many those were."""
        now = self._now_ms()
        failing = [
            server
            for server, row in self._troubled.items()
            if not row.behind and row.retry_ts + FORGOTTEN_MS < now and row.last_success_ts + IDLE_MS < now
        ][:SLICE]
        before = now - IDLE_MS
        idle = await self._database.reading(lambda reader: rows.idle(reader, before, SLICE))
        gone = [*failing, *(server for server in idle if self._fine.get(server, 0) < before)]
        for server in gone:
            for memory in (self._troubled, self._fine, self._contacts, self._kept):
                memory.pop(server, None)
        if gone:
            await self._database.write(lambda tx: rows.drop(tx, gone))
        return len(gone)

    # What is known -------------------------------------------------------------------------------------------------

    def row(self, server: str) -> DestinationRow:
        """How it goes with a server; the living object where it is in trouble."""
        row = self._troubled.get(server)
        if row is None:
            row = rows.find(self._database, server) or DestinationRow(server)
            row.last_success_ts = max(row.last_success_ts, self._fine.get(server, 0))
        return row

    def keep(self, row: DestinationRow) -> None:
        """Keep a row, in memory where something is the matter with it, and in the database."""
        if row.failures or row.behind:
            self._troubled[row.server_name] = row
        else:
            self._troubled.pop(row.server_name, None)
            self._contacts.pop(row.server_name, None)
            self._fine[row.server_name] = row.last_success_ts
        kept = copy(row)  # at this moment, since the unit runs later in another thread
        self._database.submit(lambda tx: rows.keep(tx, kept))

    def behind(self) -> list[DestinationRow]:
        """The servers that are behind."""
        return [row for row in self._troubled.values() if row.behind]

    def wait_ms(self, server: str) -> int:
        """For how long a server is still left alone; 0 where it is not."""
        row = self._troubled.get(server)
        return max(0, row.retry_ts - self._now_ms()) if row is not None and row.failures else 0

    def all_rows(self) -> list[DestinationRow]:
        """Every server with which we have had to do, by name."""
        found = {row.server_name: row for row in rows.all_of(self._database)}
        for server, last in self._fine.items():
            row = found.setdefault(server, DestinationRow(server))
            row.last_success_ts = max(row.last_success_ts, last)
        found.update(self._troubled)
        return [found[server] for server in sorted(found)]
