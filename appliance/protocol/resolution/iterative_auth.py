"""Replaying events in an order: "iterative auth checks"."""

from collections.abc import Iterable, Mapping

from appliance.protocol.auth import NotAllowed, Slot, StateLookup, check_event
from appliance.protocol.resolution.graph import AuthGraph
from appliance.protocol.slim import AnyEvent


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
        for nid in order:
            slot = self._graph.slot(nid)
            if slot is None:
                continue
            try:
                check_event(self._graph.event(nid), self._state_for(nid), self._create)
            except NotAllowed:
                continue
            self.applied[slot] = nid

    def _state_for(self, nid: int) -> StateLookup:
        """The state that an event is judged by: where this one has nothing, what the event names itself."""
        graph, event, applied, start = self._graph, self._graph.event, self.applied, self._start
        named: dict[Slot, int] | None = None

        def state(event_type: str, state_key: str) -> AnyEvent | None:
            nonlocal named
            slot = (event_type, state_key)
            found = applied.get(slot)
            if found is None and start:
                found = start.get(slot)
            if found is None:
                if named is None:
                    named = graph.usable_auth(nid)
                found = named.get(slot)
                if found is None:
                    return None
            return event(found)

        return state
