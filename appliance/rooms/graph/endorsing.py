"""Events that somebody else must speak well of before they go out: rooms with a policy server (server-server API,
"Policy Servers").

Nobody is asked under a room's lock. A draft whose event lacks the word of the room's policy server is given up, the
server is asked, and the draft made once more; the event is then the one that was spoken well of, as long as it would
stand in the same place.
"""

from collections.abc import Sequence
from typing import Protocol

from appliance.errors import MatrixError
from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Snapshot

MOST_TIMES = 20
"""How often somebody is asked for one request: events may be many, and a lively room may move on meanwhile."""
_SAME = ("type", "sender", "state_key", "content", "redacts", "prev_events", "auth_events", "depth")


class Endorsing(Protocol):
    """Asks policy servers; federation does."""

    def wants(self, room: Room, snapshot: Snapshot, event: Event) -> bool:
        """Whether a room, as it is, has a policy server whose word an event lacks."""
        ...

    async def endorse(self, room: Room, event: Event) -> Event:
        """The event with that server's signature; raises ``MatrixError`` where it refuses or is not there."""
        ...


class NobodyEndorses:
    """While no other server can be asked: no room has a policy server."""

    def wants(self, room: Room, snapshot: Snapshot, event: Event) -> bool:
        """No."""
        return False

    async def endorse(self, room: Room, event: Event) -> Event:
        """The event as it is."""
        return event


class NeedsEndorsement(Exception):  # noqa: N818 - a verdict
    """A draft's event that lacks the word of the room's policy server."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.event_id)
        self.event = event


def endorsed_form(
    endorsing: Endorsing, room: Room, snapshot: Snapshot, event: Event, endorsed: Sequence[Event]
) -> Event:
    """An event as it may go out: as it is, or as it was endorsed before.

    Raises:
        NeedsEndorsement: where it has to be.
    """
    if not endorsing.wants(room, snapshot, event):
        return event
    for one in endorsed:
        if all(one.pdu.get(field) == event.pdu.get(field) for field in _SAME):
            return one
    raise NeedsEndorsement(event)


async def heard(endorsing: Endorsing, room: Room, event: Event) -> Event:
    """An event that came from elsewhere, with the word of the room's policy server, if that is to be had."""
    if not endorsing.wants(room, room.published, event):
        return event
    try:
        return await endorsing.endorse(room, event)
    except MatrixError:
        return event
