"""What users report to the owner: kept until there are too many (client-server API, "Reporting content")."""

from collections.abc import Callable

from appliance.storage import reports as rows
from appliance.storage.database import Database
from appliance.storage.reports import Report

KEPT = 10_000
LONGEST = 2_000
"""Characters of a reason that are kept."""


class Reports:
    """The reports.

    Args:
        database: where they are.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def keep(
        self,
        reporter: str,
        reason: str,
        *,
        room_id: str = "",
        event_id: str = "",
        user_id: str = "",
        excerpt: str = "",
    ) -> None:
        """Keep a report; what it is about is as ``storage.reports.Report`` says."""
        report = Report(
            received_ts=self._now_ms(),
            reporter=reporter,
            room_id=room_id,
            event_id=event_id,
            user_id=user_id,
            reason=reason[:LONGEST],
            excerpt=excerpt[:LONGEST],
        )
        await self._database.write(lambda tx: rows.insert(tx, report, KEPT))

    async def latest(self, limit: int) -> list[Report]:
        """The last reports, the last first."""
        return await self._database.reading(lambda reader: rows.latest(reader, limit))
