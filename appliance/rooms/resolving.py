"""Resolving stored states: what the algorithms of ``protocol.resolution`` need, read from the database in a thread."""

from collections.abc import Sequence

from appliance.protocol.events import Event
from appliance.protocol.resolution.resolver import resolve
from appliance.protocol.versions import RoomVersion
from appliance.storage import events as event_rows
from appliance.storage.database import Database, Reader
from appliance.storage.events import EventRow
from appliance.storage.state import StateMap


class StoredEvents:
    """Events and what they name, as resolution asks for them; made for one resolution.

    Args:
        reader: reads the database, in the thread of the resolution.
        version: the version of the room.
        fresh: events that are on their way and not stored yet, with the numbers of what they name.
    """

    def __init__(self, reader: Reader, version: RoomVersion, fresh: dict[int, tuple[Event, Sequence[int]]]) -> None:
        self._reader = reader
        self._version = version
        self._fresh = fresh
        self._rows: dict[int, EventRow] = {}

    def _row(self, nid: int) -> EventRow:
        row = self._rows.get(nid)
        if row is None:
            row = self._rows[nid] = event_rows.by_nids(self._reader, (nid,))[nid]
        return row

    def event(self, nid: int) -> Event:
        """The event of a number."""
        if nid in self._fresh:
            return self._fresh[nid][0]
        row = self._row(nid)
        return Event.from_json(self._version, row.json, row.event_id)

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of what an event names as allowing it."""
        return self._fresh[nid][1] if nid in self._fresh else event_rows.auth_of(self._reader, nid)

    def is_rejected(self, nid: int) -> bool:
        """Whether an event was rejected."""
        return nid not in self._fresh and bool(self._row(nid).rejected)


class Resolving:
    """Resolves states.

    Args:
        database: where the events are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(
        self,
        version: RoomVersion,
        create: Event,
        states: Sequence[StateMap],
        fresh: dict[int, tuple[Event, Sequence[int]]] | None = None,
    ) -> StateMap:
        """One state out of several, off the loop.

        Args:
            version: the version of the room.
            create: its create event.
            states: the states.
            fresh: events among them that are not stored yet, with the numbers of what they name.
        """
        return await self._database.reading(
            lambda reader: resolve(version, states, StoredEvents(reader, version, fresh or {}), create)
        )
