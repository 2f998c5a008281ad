"""Keeping events that name others which are not here yet, until those come."""

from collections.abc import Callable, Sequence
from typing import Any

from appliance.protocol import canonical
from appliance.protocol.events import Event
from appliance.storage import waiting as rows
from appliance.storage.database import Database, Tx
from appliance.storage.waiting import WaitingEvent

MOST_OF_ROOM = 2_000
MOST_OF_ORIGIN = 5_000
AT_ONCE = 100
LONGEST_MS = 7 * 24 * 3600 * 1000
"""How long an event waits. What it stands on has been asked for many times by then."""


class Holding:
    """The events that wait.

    Args:
        database: where they are.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def hold(self, event: Event, pdu: dict[str, Any], origin: str, missing: Sequence[str]) -> None:
        """Let an event wait.

        Args:
            event: the event.
            pdu: as it was received.
            origin: the server that sent it.
            missing: the ids of what it waits for.
        """
        waiting = WaitingEvent(event.event_id, event.room_id, origin, self._now_ms(), canonical.encode(pdu))
        await self._database.write(lambda tx: rows.put(tx, waiting, missing, MOST_OF_ROOM, MOST_OF_ORIGIN))

    async def wait_for(self, event_id: str, missing: Sequence[str]) -> None:
        """Let an event that waits already wait for these from now on."""
        await self._database.write(lambda tx: rows.wait_for(tx, event_id, missing))

    async def drop(self, event_id: str) -> None:
        """Give up an event that waits."""
        await self._database.write(lambda tx: rows.remove(tx, event_id))

    async def prune(self) -> int:
        """Give up, a few at a time, what waited too long; answers how many those were."""
        before = self._now_ms() - LONGEST_MS
        return await self._database.write(lambda tx: rows.drop_older(tx, before, AT_ONCE))

    def let_go(self, tx: Tx, event_id: str) -> None:
        """In the unit that stores an event: it waits no longer."""
        rows.remove(tx, event_id)

    def waiting_for(self, event_id: str) -> list[WaitingEvent]:
        """What waits for an event."""
        return rows.waiting_for(self._database, event_id)

    def due(self, after: str) -> list[WaitingEvent]:
        """Some of what waits for events that are here, in the order of ids, from one id on."""
        return rows.due(self._database, after, AT_ONCE)

    @staticmethod
    def pdu(json: bytes) -> dict[str, Any]:
        """An event as it was received."""
        value: dict[str, Any] = canonical.decode(json)
        return value
