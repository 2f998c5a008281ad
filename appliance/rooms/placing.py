"""Where an event stands: its parents, the stored states around it, and what the room is after it.

An event of our own stands on all ends of the room, so that the state before it is the current one. One that was made
elsewhere may stand anywhere (``accepting.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from appliance.protocol.events import Event
from appliance.rooms.snapshot import MEMBER, Extremity, Members, Snapshot
from appliance.rooms.store import EventStore
from appliance.storage.state import Slot, StateMap

SHORTEST_CHAIN = 64
"""A state is stored whole when as many deltas lie below it, or a sixteenth of its size if that is more: reading a
state walks the deltas, storing it whole costs its size."""

Changes = Mapping[Slot, tuple[int | None, int | None]]


class NewGroup(Struct, frozen=True):
    """A state to be stored.

    Args:
        nid: its number.
        base_nid: the group that it differs from; None for a whole one.
        chain: how many bases lie below it.
        entries: slots with event numbers; None where the base's entry is gone.
    """

    nid: int
    base_nid: int | None
    chain: int
    entries: Sequence[tuple[Slot, int | None]]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an event stands.

    Args:
        nid: its number.
        parents: what it stands on.
        auth: the numbers of the events that it names as those that allow it.
        ordering: its place in the history.
        replaces_nid: the event whose slot it takes in the state before it.
        before_nid: the stored group of the state before it.
        after_nid: that of the state after it.
        groups: groups that are not stored yet.
        after: the room after it.
        changes: the slots of the current state that differ then.
    """

    nid: int
    parents: Sequence[Extremity]
    auth: Sequence[int]
    ordering: int
    replaces_nid: int | None
    before_nid: int
    after_nid: int
    groups: Sequence[NewGroup]
    after: Snapshot
    changes: Changes


def ordering_after(parents: Sequence[Extremity], depth: int) -> int:
    """An event's place in the history: its depth, at most one more than that of the highest parent."""
    return min(depth, 1 + max((parent.ordering for parent in parents), default=0))


def group_upon(nid: int, base_nid: int, base_chain: int, state: StateMap, changes: Changes) -> NewGroup:
    """A group for a state that differs from a stored one: its delta, or now and then the whole.

    Args:
        nid: the new group's number.
        base_nid: the stored group.
        base_chain: how many bases lie below that.
        state: the new state.
        changes: what differs.
    """
    chain = base_chain + 1
    if base_nid == 0 or chain > max(SHORTEST_CHAIN, len(state) // 16):
        return NewGroup(nid, None, 0, list(state.items()))
    return NewGroup(nid, base_nid, chain, [(slot, after) for slot, (_, after) in changes.items()])


def on_top(
    before: Snapshot,
    event: Event,
    nid: int,
    parents: Sequence[Extremity],
    auth: Sequence[int],
    new_group: Callable[[], int],
) -> Placement:
    """The place of an event that stands on all ends of a room, or on the highest of too many.

    Args:
        before: the room before it.
        event: the event.
        nid: its number.
        parents: the ends that it stands on.
        auth: the numbers of the events that it names as those that allow it.
        new_group: numbers a group.
    """
    end = Extremity(nid, event.event_id, ordering_after(parents, event.depth))
    after = before.ended_by(end, frozenset(parent.nid for parent in parents))
    if event.state_key is None:
        group_nid = before.group_nid
        return Placement(nid, parents, auth, end.ordering, None, group_nid, group_nid, (), after, {})
    slot = (event.type, event.state_key)
    replaces = before.state.get(slot)
    changes = {slot: (replaces, nid)}
    state = {**before.state, slot: nid}
    members = before.members
    if event.type == MEMBER:
        members = members.changed(event.state_key, event.membership or "leave")
    group = group_upon(new_group(), before.group_nid, before.chain, state, changes)
    after = after.with_state(group.nid, group.chain, state, members)
    return Placement(nid, parents, auth, end.ordering, replaces, before.group_nid, group.nid, (group,), after, changes)


def changes_between(before: StateMap, after: StateMap) -> Changes:
    """The slots in which two states differ, with what the first and the second hold."""
    changed = {slot: (before.get(slot), nid) for slot, nid in after.items() if before.get(slot) != nid}
    gone = {slot: (nid, None) for slot, nid in before.items() if slot not in after}
    return {**changed, **gone}


def members_after(before: Members, changes: Changes, store: EventStore) -> Members:
    """The members once slots of the state have changed."""
    members = before
    for (event_type, user_id), (_, nid) in changes.items():
        if event_type == MEMBER:
            membership = None if nid is None else store.event(nid).membership
            members = members.changed(user_id, membership or "leave")
    return members
