"""Replaying events in an order: "iterative auth checks"."""

from collections.abc import Iterable, Mapping

from appliance.protocol.auth import NotAllowed, Slot, check_event
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
        event, slot_of, applied, start, create = (
            self._graph.event,
            self._graph.slot,
            self.applied,
            self._start,
            self._create,
        )
        usable_auth = self._graph.usable_auth

        def state(event_type: str, state_key: str) -> AnyEvent | None:
            """What the event whose turn it is is judged by: where this state has nothing, what it names itself."""
            place = (event_type, state_key)
            found = applied.get(place)
            if found is None:
                found = start.get(place)
                if found is None:
                    found = usable_auth(nid, place)
                    if found is None:
                        return None
            return event(found)

        for nid in order:
            slot = slot_of(nid)
            if slot is None:
                continue
            try:
                check_event(event(nid), state, create)
            except NotAllowed:
                continue
            applied[slot] = nid
