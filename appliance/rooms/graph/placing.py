"""Where an event stands: its parents, the stored states around it, and what the room is after it.

An event of our own stands on all ends of the room, so that the state before it is the current one. One that was made
elsewhere may stand anywhere (``accepting.py``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from appliance.protocol.events import Event
from appliance.rooms.snapshot import MEMBER, Extremity, Members, Snapshot
from appliance.rooms.store import EventStore
from appliance.storage.state import Changes, StateMap


class NewGroup(Struct, frozen=True):
    """A state to be stored.

    Args:
        nid: its number.
        base_nid: the group that it differs from; None for the first.
        changes: the slots that differ.
    """

    nid: int
    base_nid: int | None
    changes: Changes


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
        apart: whether the state before it is not the room's current one.
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
    apart: bool = False


def ordering_after(parents: Sequence[Extremity], depth: int) -> int:
    """An event's place in the history: its depth, at most one more than that of the highest parent."""
    return min(depth, 1 + max((parent.ordering for parent in parents), default=0))


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
    group = NewGroup(new_group(), before.group_nid or None, changes)
    after = after.with_state(group.nid, state, members)
    return Placement(nid, parents, auth, end.ordering, replaces, before.group_nid, group.nid, (group,), after, changes)


def changes_between(before: StateMap, after: StateMap) -> Changes:
    """The slots in which two states differ, with what the first and the second hold."""
    changed = {slot: (before.get(slot), nid) for slot, nid in after.items() if before.get(slot) != nid}
    gone = {slot: (nid, None) for slot, nid in before.items() if slot not in after}
    return {**changed, **gone}


def members_after(before: Members, changes: Changes, store: EventStore) -> Members:
    """The members once slots of the state have changed."""
    changed: dict[str, str] = {}
    for (event_type, user_id), (_, nid) in changes.items():
        if event_type == MEMBER:
            membership = None if nid is None else store.event(nid).membership
            changed[user_id] = membership or "leave"
    return Members({**before.memberships, **changed}) if changed else before
