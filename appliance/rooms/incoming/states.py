"""The states around the events that come in: read, resolved where they differ, and numbered where they are new."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from appliance.protocol.events import Event
from appliance.rooms.graph.placing import NewGroup, changes_between
from appliance.rooms.graph.resolving import Fresh, Resolving
from appliance.rooms.incoming.naming import Unacceptable
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers
from appliance.storage.state import Changes, StateMap

NEAR = 16
"""In how many slots a state may differ from the one that it is stored upon without a search for a nearer one."""


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


class States:
    """Finds states.

    Args:
        database: where they are.
        numbers: numbers groups.
        resolving: resolves states that differ.
    """

    def __init__(self, database: Database, numbers: Numbers, resolving: Resolving) -> None:
        self._database = database
        self._numbers = numbers
        self._resolving = resolving

    async def before(self, room: Room, parents: Sequence[EventRow | Extremity]) -> State:
        """The state in which the parents' states resolve."""
        head = room.head
        if {parent.nid for parent in parents} == {end.nid for end in head.extremities}:
            return State(head.group_nid, head.state)
        groups = {self.after(parent.nid) for parent in parents}
        return await self.resolved(room, await self.stored(room, groups))

    def with_event(self, event: Event, nid: int, before: State) -> State:
        """The state after an event."""
        if event.state_key is None:
            return before
        slot = (event.type, event.state_key)
        state = {**before.state, slot: nid}
        changes = {slot: (before.state.get(slot), nid)}
        group = NewGroup(self._numbers.group(), before.nid or None, changes)
        return State(group.nid, state, (*before.new, group))

    async def resolved(self, room: Room, states: Sequence[State], fresh: Fresh | None = None) -> State:
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

    def after(self, nid: int) -> int:
        """The number of the state after an event; ``Unacceptable`` where it is not known."""
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
