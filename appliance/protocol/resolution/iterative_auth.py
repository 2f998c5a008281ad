"""Replaying events in an order: "iterative auth checks"."""

from collections.abc import Iterable, Mapping

from appliance.protocol.auth import NotAllowed, Slot, StateLookup, check_event
from appliance.protocol.auth_members import is_closed, rests_on_own_membership
from appliance.protocol.resolution.graph import AuthGraph
from appliance.protocol.slim import AnyEvent

JOIN_RULES: Slot = ("m.room.join_rules", "")

_Case = tuple[str, str | None, int | None]
"""A membership, the one before it, and the number of the join rules."""


class Replay:
    """A state that grows by those of the events that it allows itself.

    Args:
        graph: the auth graph.
        create: the room's create event.
        start: what the state begins with; it is not changed.

    Attributes:
        applied: what the events have put into the state.
    """

    __slots__ = ("_create", "_graph", "_start", "applied")

    def __init__(self, graph: AuthGraph, create: AnyEvent, start: Mapping[Slot, int]) -> None:
        self._graph = graph
        self._create = create
        self._start = start
        self.applied: dict[Slot, int] = {}

    def get(self, slot: Slot) -> int | None:
        """What the state holds in a place."""
        nid = self.applied.get(slot)
        return self._start.get(slot) if nid is None else nid

    def apply(self, order: Iterable[int]) -> None:
        """Put each event into the state that the authorisation rules allow in it, and pass over the others.

        Events that were rejected by the state before them take part: by another state they may be allowed.
        """
        event, slot_of, applied, create = self._graph.event, self._graph.slot, self.applied, self._create
        held = self._held

        def state(event_type: str, state_key: str) -> AnyEvent | None:
            """What the event whose turn it is is judged by."""
            found = held(nid, (event_type, state_key))
            return None if found is None else event(found)

        # A large resolution is mostly one of what people say of themselves, the same thing thousands of times.
        verdicts: dict[_Case, bool] = {}
        is_open = not is_closed(create)
        for nid in order:
            slot = slot_of(nid)
            if slot is None:
                continue
            one = event(nid)
            if is_open and rests_on_own_membership(one, create):
                case = self._case(nid, slot, one.membership)
                is_allowed = verdicts.get(case)
                if is_allowed is None:
                    is_allowed = verdicts[case] = _allows(state, one, create)
            else:
                is_allowed = _allows(state, one, create)
            if is_allowed:
                applied[slot] = nid

    def _held(self, nid: int, slot: Slot) -> int | None:
        """What an event is judged by: where this state has nothing, what it names itself."""
        found = self.applied.get(slot)
        if found is None:
            found = self._start.get(slot)
            if found is None:
                found = self._graph.usable_auth(nid, slot)
        return found

    def _case(self, nid: int, slot: Slot, says: str) -> _Case:
        """What somebody says of themselves, and all that decides whether they may."""
        own = self._held(nid, slot)
        return says, None if own is None else self._graph.membership(own), self._held(nid, JOIN_RULES)


def _allows(state: StateLookup, event: AnyEvent, create: AnyEvent) -> bool:
    try:
        check_event(event, state, create)
    except NotAllowed:
        return False
    return True
