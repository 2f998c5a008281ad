"""An event and its place as rows: what the unit of the writer executes."""

from collections.abc import Callable, Sequence

from appliance.protocol.events import Event
from appliance.protocol.slim import plain_columns
from appliance.rooms.graph.placing import Placement
from appliance.rooms.snapshot import Snapshot
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.events import NewEvent


def new_row(
    room_nid: int, event: Event, place: Placement, *, rejected: bool = False, soft_failed: bool = False
) -> NewEvent:
    """An event in its place, as it is stored."""
    return NewEvent(
        nid=place.nid,
        event_id=event.event_id,
        room_nid=room_nid,
        type=event.type,
        state_key=event.state_key,
        sender=event.sender,
        ordering=place.ordering,
        json=event.json,
        parents=tuple(parent.nid for parent in place.parents),
        auth=tuple(place.auth),
        replaces_nid=place.replaces_nid,
        rejected=rejected,
        soft_failed=soft_failed,
        apart=place.apart,
        plain=plain_columns(event),
    )


def outlier_row(room_nid: int, nid: int, event: Event, auth: tuple[int, ...], *, rejected: bool) -> NewEvent:
    """An event without a place in the graph, as it is stored; ``auth`` are the numbers of what it says allows it."""
    return NewEvent(
        nid=nid,
        event_id=event.event_id,
        room_nid=room_nid,
        type=event.type,
        state_key=event.state_key,
        sender=event.sender,
        ordering=event.depth,
        json=event.json,
        parents=(),
        auth=auth,
        rejected=rejected,
        outlier=True,
        plain=plain_columns(event),
    )


def store_groups(tx: Tx, room_nid: int, place: Placement, stored: set[int] | None = None) -> None:
    """Store the states around an event.

    Args:
        tx: the unit.
        room_nid: the room.
        place: where the event stands.
        stored: the groups that the unit has stored for others; these are added.
    """
    for group in place.groups:
        if stored is not None:
            if group.nid in stored:
                continue
            stored.add(group.nid)
        state_rows.insert_changed(tx, group.nid, room_nid, group.base_nid, group.changes)
    state_rows.set_event_groups(tx, place.nid, place.before_nid, place.after_nid)


def store_event(tx: Tx, room_nid: int, event: Event, place: Placement, before: Snapshot, position: int) -> None:
    """Store an event of the timeline, the ends of the graph after it, and the state around and after it."""
    event_rows.insert(tx, new_row(room_nid, event, place), position)
    ended, ends = ({end.nid for end in one.extremities} for one in (before, place.after))
    event_rows.move_extremities(tx, room_nid, ended - ends, place.nid if place.nid in ends else None)
    if not place.groups and len(ended) == 1 and place.before_nid == before.group_nid:
        # The state after that one end, which holds it.
        state_rows.set_held_groups(tx, place.nid, place.before_nid, place.after_nid)
    else:
        store_groups(tx, room_nid, place)
    state_rows.change_current(tx, room_nid, position, place.changes)
    if len(ends) > 1 or len(ended) > 1:
        room_rows.set_state_group(tx, room_nid, place.after.group_nid if len(ends) > 1 else None)


def gap_before(room_nid: int, place: Placement, lacking: Sequence[str]) -> Callable[[Tx, int], None] | None:
    """What notes that parents of an event are not here; nothing where all are."""
    if not lacking:
        return None
    return lambda tx, position: gaps.note(tx, room_nid, place.nid, place.ordering, position, lacking)
