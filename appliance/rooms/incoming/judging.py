"""What the events that come in are judged by: what they name, the state before them, and the state after.

Reads only, under the room's lock; the one wait is for a resolution in a thread.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.protocol.auth import NotAllowed, auth_event_slots, check_auth_events, check_event
from appliance.protocol.events import Event
from appliance.rooms.graph.merging import surplus
from appliance.rooms.graph.placing import (
    NewGroup,
    Placement,
    changes_between,
    members_after,
    on_top,
    ordering_after,
)
from appliance.rooms.graph.resolving import Resolving
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers
from appliance.storage.state import Changes, StateMap

NEAR = 16
"""In how many slots a state may differ from the one that it is stored upon without a search for a nearer one."""

LONGEST_DETOUR = 200
"""How many events that were kept aside are passed on the way from an event to the ends of the graph below it."""


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
        of_the_end: whether all that it names as allowing it is what the current state holds in all places that matter.
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


@dataclass(frozen=True, slots=True)
class State:
    """A state, with the number under which it is or will be stored.

    Args:
        nid: its group.
        state: slot to event number.
        new: the group, where it is not stored yet.
    """

    nid: int
    state: StateMap
    new: tuple[NewGroup, ...] = field(default=())


class Judging:
    """Finds and judges.

    Args:
        database: where events and states are.
        numbers: numbers groups.
        store: the events in memory.
        resolving: resolves states that differ.
    """

    def __init__(self, database: Database, numbers: Numbers, store: EventStore, resolving: Resolving) -> None:
        self._database = database
        self._numbers = numbers
        self._store = store
        self._resolving = resolving

    # What an event names -----------------------------------------------------------------------------------------

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
        parents = [] if as_outlier else self._rows(event.prev_events)
        if any(row.room_nid != room.nid for row in parents):
            raise Unacceptable("The event stands on one of another room.")
        return Named(parents, self._rows(event.auth_events))

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
        return Named(ends, auth, at_the_end=True, of_the_end=len(auth) == len(held))

    def _rows(self, event_ids: Iterable[str]) -> list[EventRow]:
        found = (event_rows.by_id(self._database, event_id) for event_id in dict.fromkeys(event_ids))
        return [row for row in found if row is not None]

    # Verdicts ----------------------------------------------------------------------------------------------------

    def check_vouchers(self, room: Room, event: Event, auth: Sequence[Voucher]) -> None:
        """Judge an event by the events that it names as allowing it; ``NotAllowed`` where they do not."""
        if any(row.room_nid != room.nid for row in auth):
            raise NotAllowed("One of the event's auth events belongs to another room.")
        auth_events = list(self._store.events(row.nid for row in auth).values())
        rejected = {row.event_id for row in auth if row.rejected}
        check_vouchers(event, auth_events, room.create, rejected.__contains__)

    def allows(self, room: Room, event: Event, state: StateMap) -> bool:
        """Whether a state allows an event."""

        def lookup(event_type: str, state_key: str) -> Event | None:
            nid = state.get((event_type, state_key))
            return None if nid is None else self._store.event(nid)

        try:
            check_event(event, lookup, room.create)
        except NotAllowed:
            return False
        return True

    # States ------------------------------------------------------------------------------------------------------

    async def state_before(self, room: Room, parents: Sequence[EventRow | Extremity]) -> State:
        """The state in which the parents' states resolve."""
        head = room.head
        if {parent.nid for parent in parents} == {end.nid for end in head.extremities}:
            return State(head.group_nid, head.state)
        groups = {self._after(parent.nid) for parent in parents}
        return await self.resolved(room, await self.stored(room, groups))

    async def placed(self, room: Room, event: Event, nid: int, named: Named, before: State) -> Placement:
        """The place of an event that was accepted, and what the room is once it stands there.

        Args:
            room: the room.
            event: the event, held by the store under its number.
            nid: its number.
            named: what it names.
            before: the state before it.
        """
        head, auth = room.head, named.auth_nids(room)
        if named.at_the_end:
            return on_top(head, event, nid, tuple(named.ends()), auth, self._numbers.group)
        after = self.state_after(event, nid, before)
        end = Extremity(nid, event.event_id, named.ordering(event))
        covered = self._covered(room, named.parents) | set(auth)
        current = None
        if self._stood_upon(room, event, nid) and any(one.nid not in covered for one in head.extremities):
            current = await self._current(room, None, covered)
            snapshot = head.ended_by(None, covered)
        if current is None or self._is_wanting(event, after, current):
            others = [one for one in head.extremities if one.nid not in covered]
            covered |= surplus(end, others, lambda one: self._store.event(one).sender)
            current = await self._current(room, after, covered, {nid: (event, auth)})
            snapshot = head.ended_by(end, covered)
        changes = changes_between(head.state, current.state) if current.nid != head.group_nid else {}
        if current.nid != head.group_nid:
            members = members_after(head.members, changes, self._store)
            snapshot = snapshot.with_state(current.nid, current.state, members)
        replaces = None if event.state_key is None else before.state.get((event.type, event.state_key))
        groups = new_groups(before, after, current)
        apart = before.nid != head.group_nid
        return Placement(
            nid, named.ends(), auth, end.ordering, replaces, before.nid, after.nid, groups, snapshot, changes, apart
        )

    def aside(self, room: Room, event: Event, nid: int, named: Named, before: State, *, counts: bool) -> Placement:
        """The place of an event that was not accepted: the room does not change.

        Args:
            room: the room.
            event: the event.
            nid: its number.
            named: what it names.
            before: the state before it.
            counts: whether it is part of the state after it, for whoever builds upon it elsewhere (soft-failed).
        """
        after = self.state_after(event, nid, before) if counts else before
        parents, auth, groups = named.ends(), named.auth_nids(room), new_groups(before, after)
        ordering = named.ordering(event)
        return Placement(nid, parents, auth, ordering, None, before.nid, after.nid, groups, room.head, {})

    def state_after(self, event: Event, nid: int, before: State) -> State:
        """The state after an event."""
        if event.state_key is None:
            return before
        slot = (event.type, event.state_key)
        state = {**before.state, slot: nid}
        changes = {slot: (before.state.get(slot), nid)}
        group = NewGroup(self._numbers.group(), before.nid or None, changes)
        return State(group.nid, state, (*before.new, group))

    def _stood_upon(self, room: Room, event: Event, nid: int) -> bool:
        """Whether an event comes late, and what is here stands on it already: then it is no end of the graph.

        What it stands on itself may have been taken for an end until now.
        """
        if event.state_key is not None and room.head.state.get((event.type, event.state_key)) == nid:
            return True
        return gaps.is_missing(self._database, room.nid, event.event_id)

    def _is_wanting(self, event: Event, after: State, current: State) -> bool:
        """Whether the room lacks what an event brings to it, although what is here stands on it already.

        So it is with state that could not be checked when that came, as its keys could not be had: it did not count.
        """
        if not after.state.keys() <= current.state.keys():
            return True
        slot = (event.type, event.state_key or "")
        held = None if event.state_key is None else current.state[slot]
        for _ in range(LONGEST_DETOUR):
            named = {row.nid: self._store.event(row.nid) for row in self._rows(event.auth_events)}
            above = {nid: one for nid, one in named.items() if (one.type, one.state_key) == slot}
            if not above or held is None:
                return False
            if held in above:
                return True
            event = next(iter(above.values()))
        return False

    def _covered(self, room: Room, parents: Sequence[EventRow | Extremity]) -> set[int]:
        """The numbers of what an event stands on, as far as ends of the graph may be among them.

        What was kept aside is no end, yet what that stands on may be one: it is not any more.
        """
        covered = {row.nid for row in parents}
        ends = {end.nid for end in room.head.extremities}
        waiting = [row.nid for row in parents if isinstance(row, EventRow) and (row.rejected or row.soft_failed)]
        for _ in range(LONGEST_DETOUR):
            if not waiting or ends <= covered:
                break
            for nid, aside in event_rows.parents_aside(self._database, waiting.pop()):
                if aside and nid not in covered:
                    waiting.append(nid)
                covered.add(nid)
        return covered

    async def _current(
        self,
        room: Room,
        after: State | None,
        covered: set[int],
        fresh: dict[int, tuple[Event, Sequence[int]]] | None = None,
    ) -> State:
        """The current state once some ends of the graph are none any more: that in which the states after all ends
        resolve.

        Args:
            room: the room.
            after: the state after an event that is one more end, if there is one.
            covered: what are no ends any more.
            fresh: the event.
        """
        was = {end.nid: self._after(end.nid) for end in room.head.extremities}
        others = {group for nid, group in was.items() if nid not in covered}
        now = others if after is None else others | {after.nid}
        if now == set(was.values()):
            return State(room.head.group_nid, room.head.state)
        stored = await self.stored(room, others if after is None else others - {after.nid})
        return await self.resolved(room, stored if after is None else [after, *stored], fresh)

    async def resolved(
        self, room: Room, states: Sequence[State], fresh: dict[int, tuple[Event, Sequence[int]]] | None = None
    ) -> State:
        """One state out of several; one of them where it says the same."""
        if len(states) == 1:
            return states[0]
        resolved = await self._resolving.resolve(room.version, room.create, [state.state for state in states], fresh)
        for state in states:
            if state.state == resolved:
                return state
        base, changes = _nearest(states, resolved)
        group = NewGroup(self._numbers.group(), base.nid or None, changes)
        return State(group.nid, resolved, (*base.new, group))

    async def stored(self, room: Room, groups: Iterable[int]) -> list[State]:
        """Stored states in the order of their numbers, read in a thread."""
        head, numbers = room.head, sorted(groups)
        far = [nid for nid in numbers if nid != head.group_nid]
        read: dict[int, StateMap] = {head.group_nid: head.state}
        if far:
            read.update(
                await self._database.reading(lambda reader: {nid: state_rows.group(reader, nid) for nid in far})
            )
        return [State(nid, read[nid]) for nid in numbers]

    def _after(self, nid: int) -> int:
        groups = state_rows.groups_of(self._database, nid)
        if groups is None:
            raise Unacceptable("The event stands on one whose state is not known.")
        return groups[1]


def _nearest(states: Sequence[State], state: StateMap) -> tuple[State, Changes]:
    """Which of some states another one differs from the least, and in what; near enough will do, the latest first.

    One that others chose may lie far back: what differs from that would be stored anew for each event of theirs.
    """
    latest, *earlier = sorted(states, key=lambda one: -one.nid)
    best = latest, changes_between(latest.state, state)
    for one in earlier:
        if len(best[1]) <= NEAR:
            break
        best = min(best, (one, changes_between(one.state, state)), key=lambda found: len(found[1]))
    return best


def new_groups(*states: State) -> list[NewGroup]:
    """The groups that are to be stored for some states, each once, bases first."""
    return list({group.nid: group for state in states for group in state.new}.values())


def check_vouchers(
    event: Event, auth_events: Sequence[Event], create: Event, is_rejected: Callable[[str], bool]
) -> None:
    """Judge an event by all the events that it names as allowing it; ``NotAllowed`` where they do not.

    Args:
        event: the event.
        auth_events: what it names.
        create: the room's create event.
        is_rejected: whether the event of an id was rejected.
    """
    check_auth_events(event, auth_events, create, is_rejected)
    by_slot = {(one.type, one.state_key or ""): one for one in auth_events}
    check_event(event, lambda event_type, key: by_slot.get((event_type, key)), create)
