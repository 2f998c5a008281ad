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
    walks rely on it to stop early, and to end. A link that does not go down can only come from a forged circle (room
    versions 1 and 2, whose event ids are free to choose): a lookup leaves it out (``downwards``).

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

    def membership(self, nid: int) -> str | None:
        """What an event says if it is a membership, as ``AnyEvent.membership``: asked of events that are else not
        looked at.
        """
        ...

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of those events that an event names in ``auth_events`` and that are known, each once, all smaller
        than its own.
        """
        ...

    def is_rejected(self, nid: int) -> bool:
        """Whether an event was rejected; asked only where ``slot`` or ``event`` was asked before."""
        ...


def downwards(nid: int, links: Sequence[int]) -> Sequence[int]:
    """What is left of an event's links to others when each is taken once and only those that go down."""
    if max(links, default=-1) < nid and len(set(links)) == len(links):
        return links
    return tuple(dict.fromkeys(one for one in links if one < nid))


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
    """A lookup's graph, and what is asked of several events of it together.

    Args:
        lookup: finds events.

    Attributes:
        event: finds the event of a number.
        slot: finds its place in the state.
        membership: finds what it says if it is a membership.
        auth: the numbers of an event's auth events, each once, all smaller than its own.
    """

    __slots__ = ("_is_rejected", "auth", "event", "membership", "slot")

    def __init__(self, lookup: EventLookup) -> None:
        self.event = lookup.event
        self.slot = lookup.slot
        self.membership = lookup.membership
        self.auth = lookup.auth
        self._is_rejected = lookup.is_rejected

    def usable_auth(self, nid: int, slot: Slot) -> int | None:
        """The last of an event's auth events that has a place in the state, and was not rejected."""
        slot_of = self.slot
        for one in reversed(self.auth(nid)):
            if slot_of(one) == slot and not self._is_rejected(one):
                return one
        return None

    def power_levels(self, nid: int) -> int | None:
        """The first ``m.room.power_levels`` among an event's auth events, if there is one."""
        slot_of = self.slot
        for one in self.auth(nid):
            if slot_of(one) == POWER_LEVELS:
                return one
        return None
