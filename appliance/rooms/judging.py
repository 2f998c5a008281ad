"""What the events that come in are judged by: what they name, the state before them, and the state after.

Reads only, under the room's lock; the one wait is for a resolution in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.protocol.auth import NotAllowed, check_auth_events, check_event
from appliance.protocol.events import Event
from appliance.rooms.placing import (
    NewGroup,
    Placement,
    changes_between,
    members_after,
    ordering_after,
)
from appliance.rooms.resolving import Resolving
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers
from appliance.storage.state import StateMap


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

    def known(self, room: Room, event_ids: Sequence[str], what: str) -> list[EventRow]:
        """The rows of events that an event names, all of which must be here and of this room.

        Raises:
            NeedsEvents: where some are not here.
            Unacceptable: where some are another room's.
        """
        found = [row for row in (event_rows.by_id(self._database, one) for one in event_ids) if row is not None]
        missing = sorted(set(event_ids) - {row.event_id for row in found})
        if missing:
            raise NeedsEvents(f"The event's {what} are not all here.", missing)
        if any(row.room_nid != room.nid for row in found):
            raise Unacceptable(f"The event names {what} of another room.")
        return found

    def parents(self, room: Room, event: Event) -> list[Extremity]:
        """What an event stands on; raises as ``known``. An outlier has no place in the graph and counts as missing."""
        found = self.known(room, event.prev_events, "parents")
        if not found:
            raise Unacceptable("The event stands on nothing, and the room has its first event already.")
        outliers = [row.event_id for row in found if row.outlier]
        if outliers:
            raise NeedsEvents("The places of the event's parents are not known.", outliers)
        return [Extremity(row.nid, row.event_id, row.ordering) for row in found]

    # Verdicts ----------------------------------------------------------------------------------------------------

    def check_vouchers(self, room: Room, event: Event, auth: Sequence[EventRow]) -> None:
        """Judge an event by the events that it names as allowing it; ``NotAllowed`` where they do not."""
        auth_events = list(self._store.events(row.nid for row in auth).values())
        rejected = {row.event_id for row in auth if row.rejected}
        by_slot = {(one.type, one.state_key or ""): one for one in auth_events}
        check_auth_events(event, auth_events, room.create, rejected.__contains__)
        check_event(event, lambda event_type, key: by_slot.get((event_type, key)), room.create)

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

    async def state_before(self, room: Room, parents: Sequence[Extremity]) -> State:
        """The state in which the parents' states resolve."""
        head = room.head
        here = State(head.group_nid, head.state)
        if {parent.nid for parent in parents} == {end.nid for end in head.extremities}:
            return here
        groups = {self._after(parent.nid) for parent in parents}
        return await self._resolved(room, [self._stored(room, nid) for nid in sorted(groups)])

    async def placed(
        self, room: Room, event: Event, nid: int, parents: Sequence[Extremity], auth: Sequence[int], before: State
    ) -> Placement:
        """The place of an event that was accepted, and what the room is once it stands there.

        Args:
            room: the room.
            event: the event, held by the store under its number.
            nid: its number.
            parents: what it stands on.
            auth: the numbers of the events that it names as allowing it.
            before: the state before it.
        """
        head = room.head
        after = self.state_after(event, nid, before)
        end = Extremity(nid, event.event_id, ordering_after(parents, event.depth))
        covered = {parent.nid for parent in parents}
        others = {self._after(one.nid) for one in head.extremities if one.nid not in covered}
        if not others:
            current = after
        elif event.state_key is None and before.nid == head.group_nid:
            current = State(head.group_nid, head.state)
        else:
            states = [after, *(self._stored(room, group) for group in sorted(others))]
            current = await self._resolved(room, states, {nid: (event, auth)})
        changes = changes_between(head.state, current.state) if current.nid != head.group_nid else {}
        snapshot = head.ended_by(end, covered)
        if current.nid != head.group_nid:
            members = members_after(head.members, changes, self._store)
            snapshot = snapshot.with_state(current.nid, current.state, members)
        replaces = None if event.state_key is None else before.state.get((event.type, event.state_key))
        groups = {group.nid: group for state in (before, after, current) for group in state.new}
        return Placement(
            nid, parents, auth, end.ordering, replaces, before.nid, after.nid, list(groups.values()), snapshot, changes
        )

    def aside(
        self,
        room: Room,
        event: Event,
        nid: int,
        parents: Sequence[Extremity],
        auth: Sequence[int],
        before: State,
        counts: bool,
    ) -> Placement:
        """The place of an event that was not accepted: the room does not change.

        Args:
            room: the room.
            event: the event.
            nid: its number.
            parents: what it stands on.
            auth: the numbers of the events that it names as allowing it.
            before: the state before it.
            counts: whether it is part of the state after it, for whoever builds upon it elsewhere (soft-failed).
        """
        after = self.state_after(event, nid, before) if counts else before
        groups = {group.nid: group for state in (before, after) for group in state.new}
        ordering = ordering_after(parents, event.depth)
        return Placement(
            nid, parents, auth, ordering, None, before.nid, after.nid, list(groups.values()), room.head, {}
        )

    def state_after(self, event: Event, nid: int, before: State) -> State:
        """The state after an event."""
        if event.state_key is None:
            return before
        slot = (event.type, event.state_key)
        state = {**before.state, slot: nid}
        changes = {slot: (before.state.get(slot), nid)}
        group = NewGroup(self._numbers.group(), before.nid or None, changes)
        return State(group.nid, state, (*before.new, group))

    async def _resolved(
        self, room: Room, states: Sequence[State], fresh: dict[int, tuple[Event, Sequence[int]]] | None = None
    ) -> State:
        """One state out of several; one of them where it says the same."""
        if len(states) == 1:
            return states[0]
        resolved = await self._resolving.resolve(room.version, room.create, [state.state for state in states], fresh)
        for state in states:
            if state.state == resolved:
                return state
        base = states[0]
        changes = changes_between(base.state, resolved)
        group = NewGroup(self._numbers.group(), base.nid or None, changes)
        return State(group.nid, resolved, (*base.new, group))

    def _stored(self, room: Room, group_nid: int) -> State:
        head = room.head
        if group_nid == head.group_nid:
            return State(group_nid, head.state)
        return State(group_nid, state_rows.group(self._database, group_nid))

    def _after(self, nid: int) -> int:
        groups = state_rows.groups_of(self._database, nid)
        if groups is None:
            raise Unacceptable("The event stands on one whose state is not known.")
        return groups[1]
