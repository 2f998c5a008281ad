"""What is told of an event's children beside the event itself (client-server API, "Aggregations of child events").

Of each event it is kept in memory what its children come to, mostly nothing; the database is asked once for all events
of an answer of which that is not known. What a certain reader is told follows from it: without those whom they ignore,
and without what they may not see.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from appliance.protocol.relations import ANNOTATION, REPLACE, relation_of
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import relations as rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru
from appliance.storage.tokens import HistoryToken

SUMMARIES_KEPT = 10_000
EDITS, REFERENCES, SENDERS = 3, 200, 100
"""How many last edits, how many references, and how many senders of a thread are kept of one event."""
LOOKED_AT = 50
"""How many events of a thread are looked at for the last one that a reader may see and wants to."""


class Summary(Struct, frozen=True):
    """What the children of an event come to, for everybody.

    Args:
        edits: the numbers of its last edits, the last first.
        references: the numbers of the events that refer to it.
        thread: the thread whose root it is.
        senders: how much each sender has in that; None where they are too many to be kept.
    """

    edits: tuple[int, ...] = ()
    references: tuple[int, ...] = ()
    thread: rows.ThreadRow | None = None
    senders: dict[str, int] | None = None


NOTHING = Summary()


class Thread(Struct, frozen=True):
    """A thread as one reader is told of it."""

    latest: ClientEvent
    count: int
    participated: bool


class Bundle(Struct, frozen=True):
    """What one reader is told of an event's children."""

    edit: ClientEvent | None
    references: list[str]
    thread: Thread | None


class Aggregations:
    """Tells of children.

    Args:
        database: where they are.
        store: the events in memory.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._summaries: Lru[str, Summary] = Lru(SUMMARIES_KEPT)

    def forget(self, event_id: str) -> None:
        """Read anew when next asked what an event's children come to: they changed."""
        self._summaries.drop(event_id)

    def forget_room(self, room_nid: int, room_id: str) -> None:
        """Read everything anew when next asked: a room is gone, and would come back with other numbers."""
        self._summaries = Lru(SUMMARIES_KEPT)

    def last_edit(self, event: ClientEvent) -> int | None:
        """The number of the last edit of an event, None where it was not edited."""
        found = self._summarised([event])
        return found[0][1].edits[0] if found and found[0][1].edits else None

    def of(
        self,
        events: Sequence[ClientEvent],
        user_id: str,
        ignored: frozenset[str],
        visible: Callable[[ClientEvent], bool],
    ) -> dict[int, Bundle]:
        """What a reader is told of the children of events of one room; only for those of which there is anything.

        Args:
            events: the events; state has none.
            user_id: the reader.
            ignored: whom they ignore.
            visible: whether they may see an event.
        """
        found: dict[int, Bundle] = {}
        for event, summary in self._summarised(events):
            bundle = Bundle(
                self._edit(event, summary, visible),
                self._references(summary, ignored, visible),
                self._thread(event, summary, user_id, ignored, visible),
            )
            if bundle.edit is not None or bundle.references or bundle.thread is not None:
                found[event.nid] = bundle
        return found

    def _summarised(self, events: Sequence[ClientEvent]) -> list[tuple[ClientEvent, Summary]]:
        """The events that have children of interest, each with what these come to."""
        wanted = [event for event in events if event.state_key is None]
        known, missing = self._summaries.used([event.event_id for event in wanted])
        if missing:
            absent = set(missing)
            unknown = [event for event in wanted if event.event_id in absent]
            room_nid = unknown[0].room_nid
            parents = set(rows.parents_among(self._database, room_nid, [event.event_id for event in unknown]))
            for event in unknown:
                summary = self._read(event) if event.event_id in parents else NOTHING
                known[event.event_id] = summary
                self._summaries.put(event.event_id, summary)
        return [(event, kept) for event in wanted if (kept := known[event.event_id]) is not NOTHING]

    def _read(self, event: ClientEvent) -> Summary:
        relation = relation_of(self._store.event(event.nid).content)
        if relation is not None and relation.rel_type in (ANNOTATION, REPLACE):
            return NOTHING
        database, room_nid, event_id = self._database, event.room_nid, event.event_id
        thread = rows.thread(database, room_nid, event_id) if relation is None else None
        senders = rows.thread_senders(database, room_nid, event_id, SENDERS + 1) if thread is not None else {}
        summary = Summary(
            tuple(rows.last_edits(database, room_nid, event_id, event.sender, event.type, EDITS)),
            tuple(rows.references(database, room_nid, event_id, REFERENCES)),
            thread,
            senders if len(senders) <= SENDERS else None,
        )
        return NOTHING if summary == Summary(senders={}) else summary

    def _edit(self, event: ClientEvent, summary: Summary, visible: Callable[[ClientEvent], bool]) -> ClientEvent | None:
        if not summary.edits or event.redacted_by is not None:
            return None
        edits = self._store.clients(summary.edits)
        return next((edits[nid] for nid in summary.edits if nid in edits and visible(edits[nid])), None)

    def _references(
        self, summary: Summary, ignored: frozenset[str], visible: Callable[[ClientEvent], bool]
    ) -> list[str]:
        if not summary.references:
            return []
        events = self._store.clients(summary.references)
        return [
            events[nid].event_id
            for nid in summary.references
            if nid in events and events[nid].sender not in ignored and visible(events[nid])
        ]

    def _thread(
        self,
        root: ClientEvent,
        summary: Summary,
        user_id: str,
        ignored: frozenset[str],
        visible: Callable[[ClientEvent], bool],
    ) -> Thread | None:
        thread = summary.thread
        if thread is None:
            return None
        latest = self._store.clients((thread.latest_nid,)).get(thread.latest_nid)
        if latest is None or latest.sender in ignored or not visible(latest):
            latest = self._last_but(root, ignored, visible)
        if latest is None:
            return None
        of_interest = {user_id, *ignored}
        counts = summary.senders
        if counts is None:
            counts = rows.in_thread(self._database, root.room_nid, root.event_id, of_interest)
        count = thread.count - sum(counts.get(sender, 0) for sender in ignored)
        return Thread(latest, count, root.sender == user_id or user_id in counts)

    def _last_but(
        self, root: ClientEvent, ignored: frozenset[str], visible: Callable[[ClientEvent], bool]
    ) -> ClientEvent | None:
        """The last event of a thread that a reader may see, by nobody whom they ignore."""
        end = HistoryToken(2**62, 0)
        children = rows.children(
            self._database, root.room_nid, root.event_id, end, LOOKED_AT, backwards=True, rel_type="m.thread"
        )
        events = self._store.clients(child.nid for child in children)
        wanted = (events[child.nid] for child in children if child.nid in events)
        return next((event for event in wanted if event.sender not in ignored and visible(event)), None)
