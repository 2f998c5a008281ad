"""A state as another server names it: by the ids of its events, all of which are here by now."""

from collections.abc import Sequence

from appliance.rooms.incoming.naming import NeedsEvents, Unacceptable
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage.database import Database
from appliance.storage.state import Slot, StateMap

MOST = 200_000
"""Events of a state that are looked at."""


async def state_of(database: Database, room: Room, event_ids: Sequence[str]) -> StateMap:
    """The state that consists of some events; what is rejected, no state or another room's is left out.

    Args:
        database: where they are.
        room: the room.
        event_ids: their ids.

    Raises:
        NeedsEvents: where some are not here.
        Unacceptable: where they say two things of one place, or lack the room's create event.
    """
    wanted = list(dict.fromkeys(event_ids))
    if len(wanted) > MOST:
        raise Unacceptable("The other server names more events than a state can have.")
    found = await database.reading(lambda reader: event_rows.slots_by_ids(reader, wanted))
    missing = [event_id for event_id in wanted if event_id not in found]
    if missing:
        raise NeedsEvents("Not all that the other server names is here.", missing)
    state: dict[Slot, int] = {}
    for nid, room_nid, slot, rejected in found.values():
        if slot is None or rejected or room_nid != room.nid:
            continue
        if slot in state:
            raise Unacceptable(f"The other server names two events for one place of the state, {slot[0]}.")
        state[slot] = nid
    create = state.get(("m.room.create", ""))
    if create is None or room.store.event(create).event_id != room.create.event_id:
        raise Unacceptable("The other server's state lacks the create event.")
    return state
