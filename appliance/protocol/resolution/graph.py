"""The events of a room as numbers, and the graph of which event names which as those that allow it."""

from collections.abc import Sequence
from typing import Protocol

from appliance.protocol.auth import Slot
from appliance.protocol.events import Event

POWER_LEVELS: Slot = ("m.room.power_levels", "")


class EventLookup(Protocol):
    """Finds what is known of a room's events. Events have numbers, each its own.

    An event's number is larger than the numbers of its auth events: nothing is taken in before what it names. The
    walks rely on it to stop early. A link that does not go down can only come from a forged circle (room versions 1
    and 2, whose event ids are free to choose) and is not followed, so that no graph makes a walk endless.

    Resolution asks from the thread in which it is called, often more than once for the same number in separate calls,
    never for a number that it was not given by the states or by ``auth``.
    """

    def event(self, nid: int) -> Event:
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
        """Whether an event was rejected."""
        ...


class AuthGraph:
    """A lookup's graph as one resolution sees it: each event is asked for once, and no link leads upwards.

    Args:
        lookup: finds events.
    """

    __slots__ = ("_auth", "_events", "_levels", "_lookup", "_slots")

    def __init__(self, lookup: EventLookup) -> None:
        self._lookup = lookup
        self._events: dict[int, Event] = {}
        self._auth: dict[int, tuple[int, ...]] = {}
        self._levels: dict[int, int | None] = {}
        self._slots: dict[int, Slot | None] = {}

    def event(self, nid: int) -> Event:
        """The event of a number."""
        event = self._events.get(nid)
        if event is None:
            event = self._events[nid] = self._lookup.event(nid)
        return event

    def auth(self, nid: int) -> tuple[int, ...]:
        """The numbers of an event's auth events, each once, all smaller than its own."""
        auth = self._auth.get(nid)
        if auth is None:
            auth = self._auth[nid] = tuple({one: None for one in self._lookup.auth(nid) if one < nid})
        return auth

    def slot(self, nid: int) -> Slot | None:
        """The place of an event in the state; nothing for one that is no state event."""
        if nid not in self._slots:
            self._slots[nid] = self._lookup.slot(nid)
        return self._slots[nid]

    def power_levels(self, nid: int) -> int | None:
        """The number of the ``m.room.power_levels`` among an event's auth events, if there is one."""
        if nid not in self._levels:
            self._levels[nid] = next((one for one in self.auth(nid) if self.slot(one) == POWER_LEVELS), None)
        return self._levels[nid]

    def usable_auth(self, nid: int) -> dict[Slot, int]:
        """An event's auth events by their places in the state, without rejected ones."""
        is_rejected = self._lookup.is_rejected
        found: dict[Slot, int] = {}
        for one in self.auth(nid):
            slot = self.slot(one)
            if slot is not None and not is_rejected(one):
                found[slot] = one
        return found
