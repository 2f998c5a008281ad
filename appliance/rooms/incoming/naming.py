"""What an event that comes in names: its parents, and the events that it names as allowing it. Reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.protocol.auth import auth_event_slots
from appliance.protocol.events import Event
from appliance.rooms.graph.placing import ordering_after
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow


class Unacceptable(Exception):  # noqa: N818 - a verdict, not a mishap
    """An event that is not kept at all, with a sentence that says why."""


class NeedsEvents(Unacceptable):
    """Events that it names are not here.

    Args:
        message: the sentence.
        missing: their ids.
    """

    def __init__(self, message: str, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class Voucher(Protocol):
    """What is known of an event that another one names as allowing it."""

    @property
    def nid(self) -> int:
        """Its number."""
        ...

    @property
    def event_id(self) -> str:
        """Its id."""
        ...

    @property
    def room_nid(self) -> int:
        """Its room."""
        ...

    @property
    def rejected(self) -> int:
        """Whether it was rejected."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """A voucher that the current state of the room holds: it is here, of the room, and accepted."""

    nid: int
    event_id: str
    room_nid: int
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """What an event names.

    Args:
        parents: what it stands on.
        auth: the events that it names as allowing it; some may be another room's.
        lacking: the ids of parents that have no place here; for an event whose state is told by another server.
        at_the_end: whether it stands on all ends of the graph and on nothing else.
        of_the_end: whether what it names as allowing it is, each once, all that the current state holds in the places
            that matter.
    """

    parents: Sequence[EventRow | Extremity]
    auth: Sequence[Voucher]
    lacking: Sequence[str] = ()
    at_the_end: bool = False
    of_the_end: bool = False

    def ends(self) -> list[Extremity]:
        """The parents as places in the graph."""
        return [Extremity(row.nid, row.event_id, row.ordering) for row in self.parents]

    def ordering(self, event: Event) -> int:
        """The event's place in the history; where parents are lacking, nothing is known against the depth it says."""
        return event.depth if self.lacking else ordering_after(self.ends(), event.depth)

    def auth_nids(self, room: Room) -> tuple[int, ...]:
        """The numbers of the events of its room that allow it."""
        return tuple(row.nid for row in self.auth if row.room_nid == room.nid)


class Naming:
    """Finds what events name.

    Args:
        database: where events are.
        store: the events in memory.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store

    def missing(self, event: Event, *, as_outlier: bool = False) -> list[str]:
        """The ids of what an event needs and what is not here. Of a parent its place in the graph is needed, and the
        state around it.

        Args:
            event: the event.
            as_outlier: whether only what allows it is needed.
        """
        found = {event_id: event_rows.by_id(self._database, event_id) for event_id in event.auth_events}
        wanted = {event_id for event_id, row in found.items() if row is None}
        for event_id in () if as_outlier else event.prev_events:
            row = found[event_id] if event_id in found else event_rows.by_id(self._database, event_id)
            if row is None or row.outlier or (row.apart and state_rows.groups_of(self._database, row.nid) is None):
                wanted.add(event_id)
        return sorted(wanted)

    def named(self, room: Room, event: Event, *, as_outlier: bool = False) -> Named:
        """What an event names, all of which must be here.

        Args:
            room: the room.
            event: the event.
            as_outlier: whether it is to have no place in the graph, so that its parents do not matter.

        Raises:
            NeedsEvents: where some are not here.
            Unacceptable: where it stands on nothing, or on another room's.
        """
        if not as_outlier and not event.prev_events:
            raise Unacceptable("The event stands on nothing, and the room has its first event already.")
        missing = self.missing(event, as_outlier=as_outlier)
        if missing:
            raise NeedsEvents("Not all that the event names is here.", missing)
        parents = [] if as_outlier else self.rows(event.prev_events)
        if any(row.room_nid != room.nid for row in parents):
            raise Unacceptable("The event stands on one of another room.")
        return Named(parents, self.rows(event.auth_events))

    def at_the_end(self, room: Room, event: Event) -> Named | None:
        """What an event names, where that is the ends of the graph and what the current state holds; else None.

        Nothing is read: so that is known while those are only on their way into the database, too. In versions in which
        servers choose the ids of their events, what is named may be something that is still to come.
        """
        head = room.head
        ends = head.extremities
        if room.version.event_ids == "field" or len(event.prev_events) != len(ends):
            return None
        parents = set(event.prev_events)
        if any(end.event_id not in parents for end in ends):
            return None
        slots = auth_event_slots(
            room.version, type=event.type, sender=event.sender, state_key=event.state_key, content=event.content
        )
        nids = [head.state[slot] for slot in slots if slot in head.state]
        held = {self._store.event(nid).event_id: nid for nid in nids}
        if any(event_id not in held for event_id in event.auth_events):
            return None
        auth = [Held(held[event_id], event_id, room.nid) for event_id in event.auth_events]
        of_the_end = len(auth) == len(held) and set(event.auth_events) == held.keys()
        return Named(ends, auth, at_the_end=True, of_the_end=of_the_end)

    def rows(self, event_ids: Iterable[str]) -> list[EventRow]:
        """Those of some events that are here, each once."""
        found = (event_rows.by_id(self._database, event_id) for event_id in dict.fromkeys(event_ids))
        return [row for row in found if row is not None]
