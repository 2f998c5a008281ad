"""The events of a room as numbers, and the graph of which event names which as those that allow it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar

from appliance.protocol.auth import Slot
from appliance.protocol.slim import AnyEvent

T = TypeVar("T")

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


class Found(dict[int, T]):
    """What is found once and then kept, by number. Resolution asks hundreds of thousands of times: it takes
    ``__getitem__`` of this, so that no function of ours is called for what is known.

    Args:
        find: finds it; KeyError where there is nothing.
        known: what is there from the beginning.
    """

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[int], T], known: Mapping[int, T] = MappingProxyType({})) -> None:
        super().__init__(known)
        self._find = find

    def __missing__(self, nid: int) -> T:
        found = self[nid] = self._find(nid)
        return found


class AuthGraph:
    """A lookup's graph as one resolution sees it: no link leads upwards.

    Args:
        lookup: finds events.

    Attributes:
        event: finds the event of a number.
        slot: finds its place in the state.
        auth: the numbers of an event's auth events, each once, all smaller than its own.
        power_levels: the number of the ``m.room.power_levels`` among an event's auth events, if there is one.
    """

    __slots__ = ("_is_rejected", "_links", "auth", "event", "power_levels", "slot")

    def __init__(self, lookup: EventLookup) -> None:
        self.event = lookup.event
        self.slot = lookup.slot
        self._is_rejected = lookup.is_rejected
        self._links = lookup.auth
        self.auth: Callable[[int], Sequence[int]] = Found(self._downwards).__getitem__
        self.power_levels: Callable[[int], int | None] = Found(self._find_power_levels).__getitem__

    def usable_auth(self, nid: int, slot: Slot) -> int | None:
        """The last of an event's auth events that has a place in the state, and was not rejected."""
        slot_of = self.slot
        for one in reversed(self.auth(nid)):
            if slot_of(one) == slot and not self._is_rejected(one):
                return one
        return None

    def _downwards(self, nid: int) -> Sequence[int]:
        links = self._links(nid)
        if max(links, default=-1) < nid and len(set(links)) == len(links):
            return links
        return tuple(dict.fromkeys(one for one in links if one < nid))

    def _find_power_levels(self, nid: int) -> int | None:
        slot = self.slot
        return next((one for one in self.auth(nid) if slot(one) == POWER_LEVELS), None)
