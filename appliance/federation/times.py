"""The event nearest to a time, where the history that is here has holes (server-server API, "Retrieving events")."""

import asyncio
import logging

from appliance.errors import MatrixError
from appliance.federation.access import RoomAccess
from appliance.federation.digging import Digging
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.rooms.graph.appending import Identity
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.room import Room, Rooms
from appliance.storage import gaps
from appliance.storage.database import Database

log = logging.getLogger("hearth.federation")

MOST_SERVERS = 3
SECONDS = 15.0
Near = tuple[str, int]
"""An event's id and its time."""


class TimesElsewhere:
    """Asks other servers.

    Args:
        database: where holes are noted.
        rooms: the rooms in memory.
        access: which servers are in a room.
        reading: says who may see what.
        digging: fetches what was found.
        remote: asks other servers.
        identity: which server this is.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        access: RoomAccess,
        reading: Reading,
        digging: Digging,
        remote: Remote,
        identity: Identity,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._access = access
        self._reading = reading
        self._digging = digging
        self._remote = remote
        self._identity = identity

    async def nearer(
        self, user_id: str, room_id: str, timestamp: int, found: Near | None, *, backwards: bool
    ) -> Near | None:
        """An event that is nearer to a time than the one that was found here, or that one; within some seconds.

        Args:
            user_id: who asks, and must be able to see it.
            room_id: the room.
            timestamp: the time.
            found: the nearest one here.
            backwards: whether to look before the time.
        """
        room = await self._rooms.find(room_id)
        if room is None or not gaps.of_room(self._database, room.nid):
            return found
        try:
            async with asyncio.timeout(SECONDS):
                told = await self._asked(room, timestamp, backwards)
                if told is None or not _is_nearer(told, found, timestamp, backwards):
                    return found
                await self._digging.reach(room, told[0])
                event = await self._reading.event(user_id, room_id, told[0])
        except (TimeoutError, MatrixError):
            return found
        return event.event_id, event.timestamp

    async def _asked(self, room: Room, timestamp: int, backwards: bool) -> Near | None:
        here = self._identity.server_name
        servers = [one for one in self._access.servers(room) if one != here][:MOST_SERVERS]
        for server in servers:
            try:
                return await self._remote.at_time(server, room.room_id, timestamp, "b" if backwards else "f")
            except (Refused, Unreachable) as problem:
                log.info("%s does not tell of a time in %s: %s", server, room.room_id, problem)
        return None


def _is_nearer(told: Near, found: Near | None, timestamp: int, backwards: bool) -> bool:
    if backwards:
        return told[1] <= timestamp and (found is None or told[1] > found[1])
    return told[1] >= timestamp and (found is None or told[1] < found[1])
