"""What the members of a room may read of it: one event, its state, its members.

Former members see the state as it was when they left.
"""

from collections.abc import Callable

import orjson
from msgspec import Struct

from appliance.errors import forbidden, not_found
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.standings import Standings
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import memberships as membership_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.state import Slot, StateMap
from appliance.storage.tokens import HistoryToken, SyncToken


class View(Struct, frozen=True):
    """A room's state as the asker may see it: the room, and slots with event numbers."""

    room: Room
    state: StateMap


class Reading:
    """Reads rooms for their members.

    Args:
        database: where they are.
        rooms: the rooms in memory.
        store: the events in memory.
        standings: who was where.
        timeline: judges visibility.
    """

    def __init__(
        self, database: Database, rooms: Rooms, store: EventStore, standings: Standings, timeline: Timeline
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._store = store
        self._standings = standings
        self._timeline = timeline

    async def event(self, user_id: str, room_id: str, event_id: str) -> ClientEvent:
        """One event.

        Raises:
            MatrixError: ``M_NOT_FOUND`` where there is none or the asker may not see it.
        """
        room = await self._rooms.find(room_id)
        found = self._store.find(event_id)
        if room is not None and found is not None and found[0].room_nid == room.nid:
            row = found[0]
            client = self._store.clients_of_rows((row,))[0]
            published = row.position is not None and row.position <= self._database.position
            if published and not row.rejected and not row.soft_failed and self._timeline.visible(client, user_id):
                return client
        raise not_found("There is no such event, or you may not see it.")

    async def view(self, user_id: str, room_id: str) -> View:
        """The state: the present one for members, the one at their leaving for former members.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for anybody else, unless the room is readable for the world.
        """
        room, left = await self.admitted(user_id, room_id)
        return View(room, room.published.state if left is None else await self.state_at(room, left))

    async def admitted(self, user_id: str, room_id: str) -> tuple[Room, int | None]:
        """The room, for somebody who may read in it: members, former ones, and everybody if it is for the world.

        Returns:
            the room, and for former members the position at which they left.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for anybody else, also for those who forgot the room.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise forbidden("You are not in this room.")
        if room.published.members.of(user_id) == "join":
            return room, None
        history = self._standings.of(user_id).remembered(room.nid)
        left = None if history is None else history.left_at(room.position)
        if left is not None:
            return room, left
        visibility = room.state_event(room.published, "m.room.history_visibility")
        if visibility is not None and visibility.content.get("history_visibility") == "world_readable":
            return room, None
        raise forbidden("You are not in this room.")

    async def state_at(self, room: Room, position: int) -> StateMap:
        """The current state of a room as it was at a position of the stream."""
        state, upto = dict(room.published.state), room.position
        undone = await self._database.reading(lambda reader: state_rows.undo_changes(reader, room.nid, position, upto))
        apply(state, undone)
        return state

    async def members(
        self, user_id: str, room_id: str, at: SyncToken | HistoryToken | None, wanted: Callable[[str], bool]
    ) -> list[ClientEvent]:
        """The membership events of a room.

        Args:
            user_id: the asker.
            room_id: the room.
            at: the point at which; None for now. Before anybody was there, as far as this server knows, the first
                members: the token before a whole timeline is such a point.
            wanted: says of a membership whether it is asked for.
        """
        room, left = await self.admitted(user_id, room_id)
        point = room.position
        if at is not None:
            point = max(at.position, membership_rows.first_change(self._database, room.nid))
        if left is not None:
            point = min(point, left)
        published = room.published
        state = published.state if point >= room.position else await self.state_at(room, point)
        slots = [(user, nid) for (event_type, user), nid in state.items() if event_type == MEMBER]
        if state is published.state:
            slots = [(user, nid) for user, nid in slots if wanted(published.members.of(user))]
            clients = await self._store.many_clients(nid for _, nid in slots)
            return [clients[nid] for _, nid in slots]
        clients = await self._store.many_clients(nid for _, nid in slots)
        return [clients[nid] for _, nid in slots if wanted(membership_of(clients[nid]))]


def membership_of(event: ClientEvent) -> str:
    """The membership that a membership event's client form says."""
    return str(orjson.loads(event.body)["content"].get("membership"))


def apply(state: dict[Slot, int], changed: dict[Slot, int | None]) -> None:
    """Bring changes of slots into a state; None empties a slot."""
    for slot, nid in changed.items():
        if nid is None:
            state.pop(slot, None)
        else:
            state[slot] = nid
