"""Pages of what relates to an event, and of the threads of a room, as far as the asker may see it."""

from collections.abc import Iterable

from msgspec import Struct, structs

from appliance.protocol.client_form import client_bytes
from appliance.protocol.relations import relation_of
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.serving import Ignores
from appliance.rooms.reading.timeline import START, Timeline
from appliance.rooms.room import Room
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import relations as rows
from appliance.storage.database import Database
from appliance.storage.relations import Child, ThreadRow
from appliance.storage.tokens import HistoryToken, SyncToken

MOST_ROUNDS = 5
"""How often more is read for one answer when what was read is not for the asker's eyes."""
MOST_OF_TREE = 5_000
"""Events that are looked at for those that relate to one by way of others."""


class Wanted(Struct, frozen=True):
    """Which children of an event.

    Args:
        rel_type: the kind of relation; None for all.
        type: the type of the children; None for all.
        recurse: whether also those that relate to it by way of others.
        backwards: the latest first.
        limit: how many at most.
        start: where to begin; None for the end of the history, or forwards its beginning.
        until: where to stop.
    """

    rel_type: str | None = None
    type: str | None = None
    recurse: bool = False
    backwards: bool = True
    limit: int = 5
    start: SyncToken | HistoryToken | None = None
    until: SyncToken | HistoryToken | None = None


class RelatedPage(Struct, frozen=True):
    """Events, and the point from which to go on; None where there is no more."""

    events: list[ClientEvent]
    end: HistoryToken | None


class Related:
    """Reads what relates to what.

    Args:
        database: where that is.
        store: the events in memory.
        reading: admits readers.
        timeline: judges visibility and knows points of histories.
        ignored: whom users ignore.
    """

    def __init__(
        self, database: Database, store: EventStore, reading: Reading, timeline: Timeline, ignored: Ignores
    ) -> None:
        self._database = database
        self._store = store
        self._reading = reading
        self._timeline = timeline
        self._ignored = ignored

    async def children(self, user_id: str, room_id: str, event_id: str, wanted: Wanted) -> RelatedPage:
        """A page of the events that relate to one.

        Args:
            user_id: the asker.
            room_id: the room.
            event_id: the event.
            wanted: which children, and how many.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who may not read in the room, ``M_NOT_FOUND`` for an event that is
                not there or that they may not see.
        """
        room, _ = await self._reading.admitted(user_id, room_id)
        await self._reading.event(user_id, room_id, event_id)
        point = START
        if wanted.start is not None or wanted.backwards:
            point = self._timeline.point(room.nid, wanted.start)
        until = None if wanted.until is None else self._timeline.point(room.nid, wanted.until)
        upto = self._database.position
        whole = await self._tree(room, event_id, wanted) if wanted.recurse else None
        found: list[ClientEvent] = []
        for _ in range(MOST_ROUNDS):
            size = wanted.limit - len(found) + 1
            if whole is not None:
                chunk = _after(whole, point, size, backwards=wanted.backwards)
            else:
                chunk = await self._chunk(room, event_id, point, size, wanted)
            more = len(chunk) == size
            chunk = chunk[: size - 1]
            inside = [child for child in chunk if until is None or not _beyond(child, until, wanted.backwards)]
            found += self._seen(user_id, inside, upto)
            if not more or len(inside) < len(chunk):
                return RelatedPage(found, None)
            point = HistoryToken(chunk[-1].ordering, chunk[-1].position - wanted.backwards)
            if len(found) == wanted.limit:
                break
        return RelatedPage(found, point)

    async def threads(
        self, user_id: str, room_id: str, start: SyncToken | HistoryToken | None, limit: int, *, participated: bool
    ) -> RelatedPage:
        """A page of the roots of a room's threads, that of the latest event first.

        Args:
            user_id: the asker.
            room_id: the room.
            start: where to begin; None for the latest.
            limit: how many at most.
            participated: only threads in which the asker took part.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who may not read in the room.
        """
        room, _ = await self._reading.admitted(user_id, room_id)
        point = self._timeline.point(room.nid, start)
        found: list[ClientEvent] = []
        for _ in range(MOST_ROUNDS):
            size = limit - len(found) + 1
            chunk = await self._threads(room, point, size, user_id if participated else None)
            more = len(chunk) == size
            chunk = chunk[: size - 1]
            found += self._roots(user_id, room, chunk)
            if not more:
                return RelatedPage(found, None)
            point = HistoryToken(chunk[-1].ordering, chunk[-1].position - 1)
            if len(found) == limit:
                break
        return RelatedPage(found, point)

    async def _chunk(self, room: Room, event_id: str, point: HistoryToken, limit: int, wanted: Wanted) -> list[Child]:
        return await self._database.reading(
            lambda reader: rows.children(
                reader,
                room.nid,
                event_id,
                point,
                limit,
                backwards=wanted.backwards,
                rel_type=wanted.rel_type,
                type_=wanted.type,
            )
        )

    async def _tree(self, room: Room, event_id: str, wanted: Wanted) -> list[Child]:
        found = await self._database.reading(
            lambda reader: rows.tree(reader, room.nid, event_id, MOST_OF_TREE, wanted.rel_type, wanted.type)
        )
        return found[::-1] if wanted.backwards else found

    async def _threads(self, room: Room, point: HistoryToken, limit: int, participant: str | None) -> list[ThreadRow]:
        return await self._database.reading(
            lambda reader: rows.threads_before(reader, room.nid, point, limit, participant)
        )

    def _seen(self, user_id: str, children: Iterable[Child], upto: int) -> list[ClientEvent]:
        """Those of the children that are published, and that a reader may see and did not choose to ignore."""
        nids = [child.nid for child in children if child.position <= upto]
        events, ignored = self._store.clients(nids), self._ignored.of(user_id)
        return [
            events[nid]
            for nid in nids
            if nid in events
            and (events[nid].sender not in ignored or events[nid].state_key is not None)
            and self._timeline.visible(events[nid], user_id)
        ]

    def _roots(self, user_id: str, room: Room, threads: Iterable[ThreadRow]) -> list[ClientEvent]:
        """The roots of threads, as far as they are here, relate to nothing themselves, and may be seen; without their
        content those of users whom the reader ignores.
        """
        found, ignored = [], self._ignored.of(user_id)
        for thread in threads:
            root = self._store.find(thread.root_id)
            if root is None or root[0].room_nid != room.nid or relation_of(root[1].content) is not None:
                continue
            (event,) = self._store.clients_of_rows((root[0],))
            if event.position is not None and self._timeline.visible(event, user_id):
                if event.sender in ignored:
                    event = structs.replace(event, body=client_bytes(root[1].redacted()))
                found.append(event)
        return found


def _after(children: list[Child], point: HistoryToken, limit: int, *, backwards: bool) -> list[Child]:
    """Those of the children that come from a point on, in the direction in which they stand."""
    end = (point.ordering, point.position)
    if backwards:
        wanted = [child for child in children if (child.ordering, child.position) <= end]
    else:
        wanted = [child for child in children if (child.ordering, child.position) > end]
    return wanted[:limit]


def _beyond(child: Child, until: HistoryToken, backwards: bool) -> bool:
    place, limit = (child.ordering, child.position), (until.ordering, until.position)
    return place <= limit if backwards else place > limit
