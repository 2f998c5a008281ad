"""What the owner sees of other servers, and what they can order: try again, block, allow."""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.federation.policy import Policy, matches
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.destinations import DestinationRow
from appliance.storage.settings import save_settings
from appliance.storage.to_device import outgoing_counts


class Standings(Protocol):
    """How it goes with the servers (``standing.py``)."""

    def all_rows(self) -> list[DestinationRow]:
        """Every server with which we have had to do, by name."""
        ...

    def retry(self, server: str) -> None:
        """Leave a server alone no longer."""
        ...


class Overview:
    """Other servers for the owner.

    Args:
        database: where settings are kept.
        settings: the lists.
        policy: what the lists mean.
        standings: how it goes with the servers.
        waiting_for: how much waits for a server.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        policy: Policy,
        standings: Standings,
        waiting_for: Callable[[str], int],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._settings = settings
        self._policy = policy
        self._standings = standings
        self._waiting_for = waiting_for
        self._now_ms = now_ms

    def every(self) -> list[dict[str, Any]]:
        """Every server with which we have had to do.

        Returns:
            for each ``server``; ``state``: fine, catching up, failing or blocked; ``last_success_ts``,
            ``failing_since_ts`` and ``retry_ts`` (milliseconds since 1970, 0 for never), ``last_error`` in plain
            words, ``waiting``: in how many rooms it lacks something, and ``messages``: how many messages between
            devices wait for it.
        """
        messages = outgoing_counts(self._database)
        return [self._told(row, messages.get(row.server_name, 0)) for row in self._standings.all_rows()]

    def retry(self, server: str = "") -> list[str]:
        """Try a server again now, or all that do not answer; which those are."""
        due = [
            row.server_name for row in self._standings.all_rows() if row.failures and server in ("", row.server_name)
        ]
        for name in due:
            self._standings.retry(name)
        return due

    async def block(self, glob: str) -> None:
        """Talk no more with the servers of a glob."""
        settings = self._settings
        if glob not in settings.federation_blocked_servers:
            settings.federation_blocked_servers = [*settings.federation_blocked_servers, glob]
        await save_settings(self._database, settings)

    async def allow(self, glob: str) -> None:
        """Talk with the servers of a glob: take it off the list of those that are blocked, and put it onto the list of
        the only ones to talk with where there is one.
        """
        settings = self._settings
        settings.federation_blocked_servers = [one for one in settings.federation_blocked_servers if one != glob]
        if settings.federation_allowed_servers and glob not in settings.federation_allowed_servers:
            settings.federation_allowed_servers = [*settings.federation_allowed_servers, glob]
        await save_settings(self._database, settings)
        for row in self._standings.all_rows():
            if row.failures and matches([glob], row.server_name):
                self._standings.retry(row.server_name)

    def _told(self, row: DestinationRow, messages: int) -> dict[str, Any]:
        state = "failing" if row.failures else "catching up" if row.behind else "fine"
        if not self._policy.allows(row.server_name):
            state = "blocked"
        return {
            "server": row.server_name,
            "state": state,
            "last_success_ts": row.last_success_ts,
            "failing_since_ts": row.failing_since_ts or 0,
            "retry_ts": row.retry_ts if row.failures else 0,
            "last_error": row.last_error,
            "waiting": self._waiting_for(row.server_name),
            "messages": messages,
        }
