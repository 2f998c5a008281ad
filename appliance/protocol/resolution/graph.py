"""The events of a room as numbers, and the graph of which event names which as those that allow it."""

from collections.abc import Sequence
from typing import Protocol

from appliance.protocol.auth import Slot
from appliance.protocol.slim import AnyEvent

POWER_LEVELS: Slot = ("m.room.power_levels", "")


class EventLookup(Protocol):
    """Finds what is known of a room's events. Events have numbers, each its own.

    An event's number is larger than the numbers of its auth events: nothing is taken in before what it names. The
    walks rely on it to stop early. A link that does not go down can only come from a forged circle (room versions 1
    and 2, whose event ids are free to choose) and is not followed, so that no graph makes a walk endless.

    Resolution asks from the thread in which it is called, often many times for the same number, never for a number that
    it was not given by the states or by ``auth``.
    """

    def event(self, nid: int) -> AnyEvent:
        """The event of a number."""
        ...

    def slot(self, nid: int) -> Slot | None:
        """The place of an event in the state; nothing for one that is no state event. Of many events no more is asked
        than this, so that it may be worth knowing without the event.
        """
        ...

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of those events that an event names in ``auth_events`` and that are known."""
        ...

    def is_rejected(self, nid: int) -> bool:
        """Whether an event was rejected; asked only where ``slot`` or ``event`` was asked before."""
        ...


class AuthGraph:
    """A lookup's graph as one resolution sees it: no link leads upwards.

    Args:
        lookup: finds events.

    Attributes:
        event: finds the event of a number.
        slot: finds its place in the state.
    """

    __slots__ = ("_auth", "_is_rejected", "_levels", "_links", "event", "slot")

    def __init__(self, lookup: EventLookup) -> None:
        self.event = lookup.event
        self.slot = lookup.slot
        self._is_rejected = lookup.is_rejected
        self._links = lookup.auth
        self._auth: dict[int, tuple[int, ...]] = {}
        self._levels: dict[int, int | None] = {}

    def auth(self, nid: int) -> tuple[int, ...]:
        """The numbers of an event's auth events, each once, all smaller than its own."""
        auth = self._auth.get(nid)
        if auth is None:
            links = self._links(nid)
            if max(links, default=-1) < nid and len(set(links)) == len(links):
                auth = tuple(links)
            else:
                auth = tuple(dict.fromkeys(one for one in links if one < nid))
            self._auth[nid] = auth
        return auth

    def power_levels(self, nid: int) -> int | None:
        """The number of the ``m.room.power_levels`` among an event's auth events, if there is one."""
        if nid in self._levels:
            return self._levels[nid]
        slot, found = self.slot, None
        for one in self.auth(nid):
            if slot(one) == POWER_LEVELS:
                found = one
                break
        self._levels[nid] = found
        return found

    def usable_auth(self, nid: int) -> dict[Slot, int]:
        """An event's auth events by their places in the state, without rejected ones."""
        is_rejected, slot_of = self._is_rejected, self.slot
        found: dict[Slot, int] = {}
        for one in self.auth(nid):
            slot = slot_of(one)
            if slot is not None and not is_rejected(one):
                found[slot] = one
        return found
