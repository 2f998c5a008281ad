"""What the events that come in are judged by: the events that they name as allowing them, and states."""

from collections.abc import Callable, Sequence

from appliance.protocol.auth import NotAllowed, check_auth_events, check_event
from appliance.protocol.events import Event
from appliance.rooms.incoming.naming import Voucher
from appliance.rooms.room import Room
from appliance.rooms.store import EventStore
from appliance.storage.state import StateMap


class Judging:
    """Judges.

    Args:
        store: the events in memory.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def check_vouchers(self, room: Room, event: Event, auth: Sequence[Voucher]) -> None:
        """Judge an event by the events that it names as allowing it; ``NotAllowed`` where they do not."""
        if any(row.room_nid != room.nid for row in auth):
            raise NotAllowed("One of the event's auth events belongs to another room.")
        auth_events = list(self._store.events(row.nid for row in auth).values())
        rejected = {row.event_id for row in auth if row.rejected}
        check_vouchers(event, auth_events, room.create, rejected.__contains__)

    def allows(self, room: Room, event: Event, state: StateMap) -> bool:
        """Whether a state allows an event."""

        def lookup(event_type: str, state_key: str) -> Event | None:
            nid = state.get((event_type, state_key))
            return None if nid is None else self._store.event(nid)

        try:
            check_event(event, lookup, room.create)
        except NotAllowed:
            return False
        return True


def check_vouchers(
    event: Event, auth_events: Sequence[Event], create: Event, is_rejected: Callable[[str], bool]
) -> None:
    """Judge an event by all the events that it names as allowing it; ``NotAllowed`` where they do not.

    Args:
        event: the event.
        auth_events: what it names.
        create: the room's create event.
        is_rejected: whether the event of an id was rejected.
    """
    check_auth_events(event, auth_events, create, is_rejected)
    by_slot = {(one.type, one.state_key or ""): one for one in auth_events}
    check_event(event, lambda event_type, key: by_slot.get((event_type, key)), create)
