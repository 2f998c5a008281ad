"""What a resident server answers to a join, without a network: template, state before the join, and what allows it."""

from collections.abc import Iterable, Sequence
from typing import Any

from appliance.protocol.auth import auth_event_slots
from appliance.protocol.events import Event, build_event
from appliance.rooms.incoming.vetting import Told
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.auth_graph import named
from tests.federation.house import House


def join_event(resident: Room, joining: House, user_id: str, *, timestamp: int | None = None) -> Event:
    """A join as the joining server makes it out of a resident's template."""
    content = {"membership": "join"}
    head = resident.head
    slots = auth_event_slots(resident.version, type="m.room.member", sender=user_id, state_key=user_id, content=content)
    identity = joining.living.identity
    return build_event(
        resident.version,
        room_id=resident.room_id,
        type="m.room.member",
        sender=user_id,
        state_key=user_id,
        content=content,
        depth=1 + max(end.ordering for end in head.extremities),
        prev_events=[end.event_id for end in head.extremities],
        auth_events=[resident.store.event(head.state[slot]).event_id for slot in slots if slot in head.state],
        origin_server_ts=next(joining.remote.clock) if timestamp is None else timestamp,
        server_name=identity.server_name,
        key=identity.key,
    )


def told_before(resident: House, room: Room, event_id: str) -> Told:
    """The state before an event that a resident has, and all that allows it and the event."""
    database = resident.owning.database
    row = event_rows.by_id(database, event_id)
    assert row is not None
    groups = state_rows.groups_of(database, row.nid)
    assert groups is not None
    state = list(state_rows.group(database, groups[0]).values())
    chain = auth_chain(resident, [row.nid, *state])
    return Told(room.version, room.room_id, pdus(room, state), pdus(room, chain))


async def told_upon(resident: House, room: Room, event: Event) -> Told | None:
    """The state before an event that a resident need not have, and all that allows it; None where it cannot tell.

    It must have what the event stands on.
    """
    database = resident.owning.database
    named = event_rows.by_ids(database, [*event.prev_events, *event.auth_events])
    if any(one not in named or named[one].outlier for one in event.prev_events):
        return None
    async with room.lock:
        await room.settled()
        before = await resident.intake.states.before(room, [named[one] for one in event.prev_events])
    auth = [named[one].nid for one in event.auth_events if one in named]
    chain = sorted({*auth, *auth_chain(resident, [*auth, *before.state.values()])})
    return Told(room.version, room.room_id, pdus(room, list(before.state.values())), pdus(room, chain))


def auth_chain(resident: House, nids: Iterable[int]) -> list[int]:
    """The numbers of what allows some events, and of what allows those in turn."""
    found: set[int] = set()
    waiting = list(nids)
    while waiting:
        nid = waiting.pop()
        for other in named(resident.owning.database, [nid])[nid]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return sorted(found)


def pdus(room: Room, nids: Sequence[int]) -> list[dict[str, Any]]:
    """Events as other servers get them."""
    return [room.store.event(nid).pdu for nid in nids]


async def join_through(resident: House, joining: House, room_id: str, user_id: str) -> tuple[Room, Event]:
    """Let a user of another server into a room: the resident takes the join in, the other server the room."""
    room = await resident.found(room_id)
    join = join_event(room, joining, user_id)
    await resident.accepting.accept(room_id, join.pdu)
    return await joining.arriving.arrive(told_before(resident, room, join.event_id), join.pdu), join
