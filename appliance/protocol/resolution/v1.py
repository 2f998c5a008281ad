"""State resolution of room version 1.

Where the specification leaves something open, this does what all servers of that time did: each membership is judged
without the other memberships that are in conflict, and where nothing is allowed, the event of the least depth stays.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from appliance.protocol.auth import NotAllowed, Slot, check_event
from appliance.protocol.events import Event
from appliance.protocol.resolution.graph import POWER_LEVELS, EventLookup
from appliance.protocol.slim import AnyEvent

_PASSES: tuple[Callable[[Slot], bool], ...] = (
    lambda slot: slot == POWER_LEVELS,
    lambda slot: slot[0] == "m.room.join_rules",
    lambda slot: slot[0] == "m.room.member",
)
"""What affects the authorisation rules, in the order in which it is resolved."""


def resolve_v1(
    unconflicted: Mapping[Slot, int],
    differences: Sequence[Mapping[Slot, int]],
    lookup: EventLookup,
    create: AnyEvent,
) -> dict[Slot, int]:
    """Resolve what states disagree about.

    Args:
        unconflicted: what no state contradicts.
        differences: for each state, what it holds where another holds something else.
        lookup: finds events.
        create: the room's create event.

    Returns:
        What the resolved state holds in the places that are in conflict.
    """
    conflicted: dict[Slot, set[int]] = {}
    for difference in differences:
        for slot, nid in difference.items():
            conflicted.setdefault(slot, set()).add(nid)
    judge = _Judge(unconflicted, lookup, create)
    for belongs in _PASSES:
        slots = [slot for slot in conflicted if belongs(slot)]
        judge.resolved.update({slot: judge.last_of_chain(slot, conflicted.pop(slot)) for slot in slots})
    return {**judge.resolved, **{slot: judge.highest(nids) for slot, nids in conflicted.items()}}


class _Judge:
    """Chooses among the events of one place, by what was resolved before."""

    def __init__(self, unconflicted: Mapping[Slot, int], lookup: EventLookup, create: AnyEvent) -> None:
        self._unconflicted = unconflicted
        self._lookup = lookup
        self._create = create
        self.resolved: dict[Slot, int] = {}

    def last_of_chain(self, slot: Slot, nids: Iterable[int]) -> int:
        """From the lowest depth upwards, as long as each event is allowed where the one before it holds."""
        chosen, *later = reversed(self._from_above(nids))
        for nid in later:
            if not self._allows(nid, {slot: chosen}):
                break
            chosen = nid
        return chosen

    def highest(self, nids: Iterable[int]) -> int:
        """The first that is allowed from the highest depth downwards, or the lowest."""
        order = self._from_above(nids)
        return next((nid for nid in order if self._allows(nid, {})), order[-1])

    def _from_above(self, nids: Iterable[int]) -> list[int]:
        """Sorted by descending depth, then by ascending SHA-1 of the event id."""

        def key(nid: int) -> tuple[int, bytes]:
            event = cast("Event", self._lookup.event(nid))  # those of this room version are whole
            return -event.depth, hashlib.sha1(event.event_id.encode(), usedforsecurity=False).digest()

        return sorted(nids, key=key)

    def _allows(self, nid: int, chosen: Mapping[Slot, int]) -> bool:
        def state(event_type: str, state_key: str) -> AnyEvent | None:
            slot = (event_type, state_key)
            found = chosen.get(slot)
            if found is None:
                found = self.resolved.get(slot)
            if found is None:
                found = self._unconflicted.get(slot)
            return None if found is None else self._lookup.event(found)

        try:
            check_event(self._lookup.event(nid), state, self._create)
        except NotAllowed:
            return False
        return True
