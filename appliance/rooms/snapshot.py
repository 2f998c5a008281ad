"""What a room is at one moment, as immutable values that a room moves along.

A room has two of them (``room.py``): the head, on which the next event is built, and the published snapshot, which is
all that readers ever see. An event makes a new snapshot out of the one before it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from msgspec import Struct

from appliance.protocol.events import Event
from appliance.storage.state import Slot, StateMap

MEMBER, REDACTION = "m.room.member", "m.room.redaction"
MAX_PARENTS = 20
"""``prev_events`` of one event (server-server API, "PDUs")."""


class Members:
    """Who is how in a room: user to membership, with counts. Never changed; ``changed`` makes another."""

    __slots__ = ("invited", "joined", "memberships")

    def __init__(self, memberships: Mapping[str, str], joined: int | None = None, invited: int | None = None) -> None:
        self.memberships = memberships
        values = memberships.values()
        self.joined = sum(value == "join" for value in values) if joined is None else joined
        self.invited = sum(value == "invite" for value in values) if invited is None else invited

    def of(self, user_id: str) -> str:
        """The membership of a user; ``leave`` for somebody who never had one."""
        return self.memberships.get(user_id, "leave")

    def having(self, membership: str) -> list[str]:
        """The users with that membership, the earliest first."""
        return [user for user, value in self.memberships.items() if value == membership]

    def changed(self, user_id: str, membership: str) -> "Members":
        """The members after one change."""
        before = self.memberships.get(user_id)
        if before == membership:
            return self
        joined = self.joined + (membership == "join") - (before == "join")
        invited = self.invited + (membership == "invite") - (before == "invite")
        return Members({**self.memberships, user_id: membership}, joined, invited)


@dataclass(frozen=True, slots=True)
class Extremity:
    """An end of the room's graph: an event that no other names as its parent."""

    nid: int
    event_id: str
    ordering: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A room at one moment.

    Args:
        extremities: the ends of the graph, the highest first.
        group_nid: the stored group of the current state.
        state: the current state, slot to event number.
        members: who is how in the room.
    """

    extremities: tuple[Extremity, ...]
    group_nid: int
    state: Mapping[Slot, int]
    members: Members

    def ended_by(self, end: Extremity | None, parents: Collection[int]) -> "Snapshot":
        """After an event that stands on those parents, as far as the ends of the graph go.

        Args:
            end: the event; None where something stands on it already, so that it is no end itself.
            parents: what it stands on.
        """
        ends = (*(() if end is None else (end,)), *(one for one in self.extremities if one.nid not in parents))
        return Snapshot(ends, self.group_nid, self.state, self.members)

    def with_state(self, group_nid: int, state: StateMap, members: Members) -> "Snapshot":
        """With another current state."""
        return Snapshot(self.extremities, group_nid, state, members)


class Transaction(Struct, frozen=True):
    """A client's request: who, from which device, to which endpoint (with its room and type), under which id."""

    user_id: str
    device_id: str
    scope: str
    transaction_id: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Step:
    """One event and what it did to its room; what contributors judge.

    It is the same object before the unit and after it. What a contributor remembers in between goes by it and ends with
    it (``WeakKeyDictionary``), so that nothing is left of a unit that failed. An event's number would not do: a state
    that the event brings along is a step of its own.

    Args:
        room_nid: the room.
        room_id: its id.
        nid: the event's number.
        event: the event.
        before: the room before it.
        after: the room after it.
        changes: the slots of the current state that differ, with the event number before and after; None for an empty
            slot. Mostly the event's own; where ends of the graph had to be resolved, others too, or not even that.
        replaces_nid: the event whose place it took in the state before it, None for a new slot or for no state.
        transaction: the client's request that made it, None where none did.
        ordering: the event's place in the history; None where the step is only the state that an event brings along,
            which a step of its own follows.
        is_behind_hole: whether events that it names as its parents are not here.
    """

    room_nid: int
    room_id: str
    nid: int
    event: Event
    before: Snapshot
    after: Snapshot
    changes: Mapping[Slot, tuple[int | None, int | None]]
    replaces_nid: int | None
    transaction: Transaction | None = None
    ordering: int | None = None
    is_behind_hole: bool = False

    @property
    def members_changed(self) -> list[str]:
        """The users whose membership differs."""
        return [state_key for event_type, state_key in self.changes if event_type == MEMBER]
