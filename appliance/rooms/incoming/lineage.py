"""Which of the events that another server sends belong to the history before a hole, and in what order.

Only what leads on from a hole is wanted: an event that the timeline names as a parent, what that names in turn, and so
on. So nobody can put events into our history that nothing stands on.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow


@dataclass(frozen=True, slots=True)
class Lineage:
    """Events of the past in their order.

    Args:
        events: the events by their ids, each behind all that stand on it.
        rows: the rows of what they name and of themselves, as far as they are here.
        above: for events that the timeline names: (ordering, number) of those that stand on them.
        after: for parents that have their place, the group of the state after them, where it is known.
        unvouched: the ids of what was left out since what it names as allowing it is not here, and of that.
    """

    events: dict[str, Event]
    rows: Mapping[str, EventRow]
    above: Mapping[str, Sequence[tuple[int, int]]]
    after: Mapping[str, int]
    unvouched: Collection[str] = field(default=())

    def lacking(self, event: Event) -> list[str]:
        """The ids of the parents of an event that are neither among these nor in their places."""
        return [
            one
            for one in dict.fromkeys(event.prev_events)
            if one not in self.events and ((row := self.rows.get(one)) is None or row.outlier)
        ]

    def is_rootless(self, event: Event) -> bool:
        """Whether the state before an event cannot be told from its parents'."""
        return any(one not in self.events and one not in self.after for one in event.prev_events)

    def orderings(self) -> dict[str, int]:
        """The places of the events in the history: their depths, below whatever stands on them."""
        found: dict[str, int] = {}
        below: dict[str, int] = {}
        for event_id, event in self.events.items():
            limits = [ordering for ordering, _ in self.above.get(event_id, ())]
            if event_id in below:
                limits.append(below[event_id])
            place = found[event_id] = max(0, min(event.depth, min(limits) - 1))
            for parent in event.prev_events:
                below[parent] = min(place, below.get(parent, place))
        return found


def lineage(database: Database, room: Room, candidates: Mapping[str, Event]) -> Lineage:
    """What of some events leads on from the holes of a room, without what is in its place already.

    Args:
        database: where the room is.
        room: the room.
        candidates: the events by their ids.
    """
    named = {other for event in candidates.values() for other in (*event.prev_events, *event.auth_events)}
    rows = event_rows.by_ids(database, sorted(named | candidates.keys()))
    fresh = {
        event_id: event
        for event_id, event in candidates.items()
        if (row := rows.get(event_id)) is None or (row.outlier and row.room_nid == room.nid)
    }
    rows = {event_id: row for event_id, row in rows.items() if row.room_nid == room.nid}
    above = gaps.above(database, room.nid, sorted(fresh))
    unvouched: set[str] = set()
    while True:
        events = _in_order(fresh, above)
        lost = [event for event in events.values() if not _is_vouched(event, events, rows)]
        if not lost:
            break
        for event in lost:
            unvouched.add(event.event_id)
            unvouched.update(one for one in event.auth_events if one not in rows and one not in events)
            del fresh[event.event_id]
    placed = {one for event in events.values() for one in event.prev_events if one in rows and not rows[one].outlier}
    groups = {one: state_rows.groups_of(database, rows[one].nid) for one in placed}
    after = {one: both[1] for one, both in groups.items() if both is not None}
    return Lineage(events, rows, above, after, unvouched)


def _in_order(events: Mapping[str, Event], starts: Collection[str]) -> dict[str, Event]:
    """Those events that are reached from some of them by way of parents, each behind all that stand on it; what is part
    of a circle, or behind one, is left out.
    """
    reached = [event_id for event_id in events if event_id in starts]
    children: dict[str, int] = dict.fromkeys(reached, 0)
    for event_id in reached:  # grows while it is walked
        for parent in set(events[event_id].prev_events):
            if parent not in events:
                continue
            if parent not in children:
                children[parent] = 0
                reached.append(parent)
            children[parent] += 1
    ready = [event_id for event_id in reached if not children[event_id]]
    order: dict[str, Event] = {}
    for event_id in ready:  # grows while it is walked
        order[event_id] = events[event_id]
        for parent in set(events[event_id].prev_events):
            if parent in children:
                children[parent] -= 1
                if not children[parent]:
                    ready.append(parent)
    return order


def _is_vouched(event: Event, events: Mapping[str, Event], rows: Mapping[str, EventRow]) -> bool:
    return all(one in rows or one in events for one in event.auth_events)
