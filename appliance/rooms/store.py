"""Events as objects: read from the database once, kept for a while, and made into what clients see.

Two caches, since they serve two needs: whole events for judging (a few thousand), and ready-made client bytes for
answering (more of them, a fraction of the size).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from appliance.protocol.client_form import client_bytes
from appliance.protocol.events import Event
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.rooms.snapshot import REDACTION
from appliance.storage import events as rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.lru import Lru
from appliance.storage.rooms import version_of

EVENTS_KEPT = 2_000
CLIENT_FORMS_KEPT = 10_000
SLICE = 100
"""Events that are made into client forms at one go: about two milliseconds of the loop's time."""


class ClientEvent(Struct, frozen=True):
    """An event as clients see it, before ``room_id`` and ``unsigned`` are added.

    Args:
        nid: its number.
        room_nid: its room.
        ordering: its place in the history.
        position: its place in the stream; None for an outlier.
        apart: whether the state before it is not the room's current state at its position.
        timestamp: ``origin_server_ts``.
        replaces_nid: the event whose place in the state it took.
        redacted_by: the number of the redaction that emptied it.
        body: a JSON object as bytes.
        withheld: whether nobody is shown it: a redaction that was not carried out, since its target is not here, or
            since its sender may not (room version 3, "Handling redactions").
        usual: whether it has a place in the timeline, is not apart, took no other's place in the state, and was not
            redacted: then everybody is told of it alike.
    """

    nid: int
    event_id: str
    room_nid: int
    type: str
    state_key: str | None
    sender: str
    ordering: int
    position: int | None
    apart: int
    timestamp: int
    replaces_nid: int | None
    redacted_by: int | None
    body: bytes
    withheld: bool = False
    usual: bool = False

    def at(self, position: int) -> "ClientEvent":
        """The same, once its position is known."""
        usual = not self.apart and self.replaces_nid is None and self.redacted_by is None
        return msgspec.structs.replace(self, position=position, usual=usual)


class EventStore:
    """Reads events and keeps those that were read.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: Lru[int, Event] = Lru(EVENTS_KEPT)
        self._clients: Lru[int, ClientEvent] = Lru(CLIENT_FORMS_KEPT)
        self._versions: dict[int, RoomVersion] = {}
        self._fresh: Mapping[int, Event] = {}
        self._fresh_rows: Mapping[str, EventRow] = {}
        self._underway: dict[str, EventRow] = {}
        self._underway_nids: dict[int, EventRow] = {}
        self._forgotten = 0

    @property
    def version(self) -> int:
        """A number that grows whenever the stored form of an event changes, for whoever keeps what was made of some."""
        return self._forgotten

    def know_room(self, room_nid: int, version: RoomVersion) -> None:
        """Note the version of a room, without which its events cannot be read."""
        self._versions[room_nid] = version

    def _version(self, room_nid: int) -> RoomVersion:
        version = self._versions.get(room_nid)
        if version is None:
            version = VERSIONS[version_of(self._database, room_nid)]
            self._versions[room_nid] = version
        return version

    def _parse(self, row: EventRow) -> Event:
        event = self._events.get(row.nid)
        if event is None:
            event = Event.from_json(self._version(row.room_nid), row.json, row.event_id)
            self._events.put(row.nid, event)
        return event

    # Whole events ------------------------------------------------------------------------------------------------

    def event(self, nid: int) -> Event:
        """The event of that number; KeyError where there is none."""
        event = self._fresh.get(nid) or self._events.get(nid)
        return event if event is not None else self.events((nid,))[nid]

    def events(self, nids: Iterable[int]) -> dict[int, Event]:
        """The events of those numbers; unknown ones are left out."""
        found: dict[int, Event] = {}
        missing: list[int] = []
        for nid in nids:
            event = self._fresh.get(nid) or self._events.get(nid)
            if event is not None:
                found[nid] = event
            elif nid in self._underway_nids:
                found[nid] = self._parse(self._underway_nids[nid])
            else:
                missing.append(nid)
        if missing:
            for nid, row in rows.by_nids(self._database, missing).items():
                found[nid] = self._parse(row)
        return found

    @contextmanager
    def knowing(self, events: Mapping[int, Event], rows_of: Mapping[str, EventRow] | None = None) -> Iterator[None]:
        """Know events that are not stored yet, more than would be kept otherwise; inside there must be no waiting.

        Args:
            events: the events by their numbers.
            rows_of: their rows by their ids, where they are to be found by these too.
        """
        self._fresh, self._fresh_rows = events, rows_of or {}
        try:
            yield
        finally:
            self._fresh, self._fresh_rows = {}, {}

    def find(self, event_id: str) -> tuple[EventRow, Event] | None:
        """The stored row and the event of that id, or None."""
        row = rows.by_id(self._database, event_id)
        return (row, self._parse(row)) if row else None

    def coming(self, event_id: str) -> tuple[EventRow, Event] | None:
        """As ``find``, also for an event that is only on its way into the database: without a position."""
        row = self._fresh_rows.get(event_id)
        if row is not None:
            return row, self._fresh[row.nid]
        row = self._underway.get(event_id)
        return (row, self.event(row.nid)) if row is not None else self.find(event_id)

    def is_underway(self, event_id: str) -> bool:
        """Whether an event is on its way into the database."""
        return event_id in self._underway

    # What clients see --------------------------------------------------------------------------------------------

    def clients_of_rows(self, found: Sequence[EventRow]) -> list[ClientEvent]:
        """Client forms of rows that were just read, in their order."""
        kept, missing = self._clients.used([row.nid for row in found])
        if missing:
            absent = set(missing)
            fresh = [row for row in found if row.nid in absent]
            redacted = rows.redactions_of(self._database, [row.event_id for row in fresh])
            for row in fresh:
                kept[row.nid] = client = self._client(row, redacted.get(row.event_id))
                self._clients.put(row.nid, client)
        return [kept[row.nid] for row in found]

    def clients(self, nids: Iterable[int]) -> dict[int, ClientEvent]:
        """Client forms by number; unknown numbers are left out."""
        found, missing = self._clients.used(nids)
        if missing:
            for client in self.clients_of_rows(list(rows.by_nids(self._database, missing).values())):
                found[client.nid] = client
        return found

    async def many_clients(self, nids: Iterable[int]) -> dict[int, ClientEvent]:
        """As ``clients``, for what may be many: read in a thread, made in slices so that others get their turn."""
        found, missing = self._clients.look(nids)
        if len(missing) <= SLICE:
            found.update(self.clients(missing))
            return found
        forgotten = self._forgotten
        read = await self._database.reading(lambda reader: rows.by_nids(reader, missing))
        waiting = list(read.values())
        for start in range(0, len(waiting), SLICE):
            part = waiting[start : start + SLICE]
            if self._forgotten != forgotten:
                # What was redacted since the thread read it must not be kept as it was.
                part = list(rows.by_nids(self._database, [row.nid for row in part]).values())
            for client in self.clients_of_rows(part):
                found[client.nid] = client
            await asyncio.sleep(0)
        return found

    def _client(self, row: EventRow, redacted_by: int | None) -> ClientEvent:
        event = self._parse(row)
        redacts = event.type == REDACTION and not event.version.redaction_rule
        return ClientEvent(
            row.nid,
            event.event_id,
            row.room_nid,
            event.type,
            event.state_key,
            event.sender,
            row.ordering,
            row.position,
            row.apart,
            event.origin_server_ts,
            row.replaces_nid,
            redacted_by,
            client_bytes(event),
            withheld=redacts and not rows.was_carried_out(self._database, row.nid),
            usual=row.position is not None and not row.apart and row.replaces_nid is None and redacted_by is None,
        )

    # What changes ------------------------------------------------------------------------------------------------

    def hold(self, nid: int, event: Event) -> None:
        """Keep an event that is about to be stored, for those that build on it before it is published."""
        self._events.put(nid, event)

    def under_way(self, row: EventRow) -> None:
        """Note an event whose unit was submitted, until ``settled``."""
        self._underway[row.event_id] = self._underway_nids[row.nid] = row

    def settled(self, event_id: str) -> None:
        """Note that an event is in the database now, or will never be."""
        row = self._underway.pop(event_id, None)
        if row is not None:
            self._underway_nids.pop(row.nid, None)

    def published(self, client: ClientEvent) -> None:
        """Keep what clients see of an event that was just published: most of them ask at once."""
        self._clients.put(client.nid, client)

    def forget(self, nid: int) -> None:
        """Drop what is kept of an event, since its stored form changed (a redaction) or it never came to be."""
        self._forgotten += 1
        self._events.drop(nid)
        self._clients.drop(nid)
