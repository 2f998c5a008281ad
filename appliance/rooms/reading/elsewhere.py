"""What other servers may be given of a room's history: judged by the state at each event, as for users.

A server may see what one of its users may see (server-server API, "Backfilling and retrieving missing events"; history
visibility). What it may not see it is given redacted, or not at all, as the endpoint says.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from appliance.protocol.identifiers import server_of
from appliance.rooms.reading.around import HISTORY_VISIBILITY
from appliance.rooms.reading.visibility import Visibility, allows
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER, Members
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import memberships as membership_rows
from appliance.storage.database import Database


class ServerSight:
    """Judges.

    Args:
        database: where memberships are.
        store: the events in memory.
        visibility: what the states around events say.
        erased: those whose messages are hidden from whoever was not in the room then.
    """

    def __init__(
        self, database: Database, store: EventStore, visibility: Visibility, erased: AbstractSet[str] = frozenset()
    ) -> None:
        self._database = database
        self._store = store
        self._visibility = visibility
        self._erased = erased
        self._present: tuple[Members, dict[str, bool]] | None = None

    def is_in(self, room: Room, server_name: str) -> bool:
        """Whether a user of a server is in a room, as it is published."""
        members = room.published.members
        if self._present is None or self._present[0] is not members:
            self._present = (members, {})
        known = self._present[1]
        if server_name not in known:
            known[server_name] = any(server_of(user_id) == server_name for user_id in members.having("join"))
        return known[server_name]

    async def seen_by(self, room: Room, server_name: str, nids: Sequence[int]) -> set[int]:
        """The numbers of those events of a room that a server may see.

        Args:
            room: the room.
            server_name: the server.
            nids: the numbers of the events, whatever became of them here; those of other rooms are left out.
        """
        found = await self._store.many_clients(nids)
        return {
            nid
            for nid, event in found.items()
            if event.room_nid == room.nid and await self._sees(room, server_name, event)
        }

    async def emptied_for(self, room: Room, server_name: str, nids: Collection[int]) -> set[int]:
        """The numbers of those events that a server may see in their redacted form alone: they are by somebody who has
        had themselves erased, and nobody of the server was in the room then (``POST /account/deactivate``, ``erase``).
        """
        if not self._erased:
            return set()
        found = await self._store.many_clients(nids)
        around, emptied = self._visibility.around, set[int]()
        for nid, event in found.items():
            if event.sender in self._erased:
                groups = around.groups(nid)
                then = () if groups is None else await around.of_server(room.nid, groups[0], server_name)
                if "join" not in then:
                    emptied.add(nid)
        return emptied

    async def _sees(self, room: Room, server_name: str, event: ClientEvent) -> bool:
        around = self._visibility.around
        groups = around.groups(event.nid)
        own = event.type == MEMBER and event.state_key is not None and server_of(event.state_key) == server_name
        if groups is None:
            rules = self._visibility.rules(event)
        else:
            changes = event.type == HISTORY_VISIBILITY and event.state_key == ""
            rules = {around.setting(group) for group in (groups if changes else groups[:1])}
        if allows(rules, frozenset(), own=own) or ("shared" in rules and self._stayed(room, server_name, event)):
            return True
        if groups is None:
            return False
        return allows(rules, await around.of_server(room.nid, groups[0], server_name), own=False)

    def _stayed(self, room: Room, server_name: str, event: ClientEvent) -> bool:
        """Whether a user of a server is in the room, or left it after an event, by the order of the history."""
        if self.is_in(room, server_name):
            return True
        return membership_rows.server_left(self._database, room.nid, server_name) > event.ordering
