"""Where an event stands that came in and was judged, and what the room is once it stands there.

Reads only, under the room's lock; the one wait is for a resolution in a thread.
"""

from collections.abc import Sequence

from appliance.protocol.events import Event
from appliance.rooms.graph.merging import surplus
from appliance.rooms.graph.placing import Placement, changes_between, members_after, on_top
from appliance.rooms.graph.resolving import Fresh
from appliance.rooms.incoming.naming import Named, Naming
from appliance.rooms.incoming.states import State, States, new_groups
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers

LONGEST_DETOUR = 200
"""How many events that were kept aside are passed on the way from an event to the ends of the graph below it."""


class Places:
    """Finds the places of events.

    Args:
        database: where events are.
        numbers: numbers groups.
        store: the events in memory.
        naming: finds what events name.
        states: finds the states around them.
    """

    def __init__(self, database: Database, numbers: Numbers, store: EventStore, naming: Naming, states: States) -> None:
        self._database = database
        self._numbers = numbers
        self._store = store
        self._naming = naming
        self._states = states

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
        after = self._states.with_event(event, nid, before)
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
        after = self._states.with_event(event, nid, before) if counts else before
        parents, auth, groups = named.ends(), named.auth_nids(room), new_groups(before, after)
        ordering = named.ordering(event)
        return Placement(nid, parents, auth, ordering, None, before.nid, after.nid, groups, room.head, {})

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
            named = {row.nid: self._store.event(row.nid) for row in self._naming.rows(event.auth_events)}
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
        fresh: Fresh | None = None,
    ) -> State:
        """The current state once some ends of the graph are none any more: that in which the states after all ends
        resolve.

        Args:
            room: the room.
            after: the state after an event that is one more end, if there is one.
            covered: what are no ends any more.
            fresh: the event.
        """
        was = {end.nid: self._states.after(end.nid) for end in room.head.extremities}
        others = {group for nid, group in was.items() if nid not in covered}
        now = others if after is None else others | {after.nid}
        if now == set(was.values()):
            return State(room.head.group_nid, room.head.state)
        stored = await self._states.stored(room, others if after is None else others - {after.nid})
        return await self._states.resolved(room, stored if after is None else [after, *stored], fresh)
