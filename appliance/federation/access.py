"""Which servers may ask about a room: those that are in it and that it does not keep out."""

from collections import Counter
from collections.abc import Collection

from appliance.errors import MatrixError, forbidden, not_found
from appliance.protocol.identifiers import server_of
from appliance.protocol.server_acl import ServerAcl
from appliance.rooms.graph.appending import Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import Members, Snapshot
from appliance.storage.lru import Lru

SERVER_ACL = "m.room.server_acl"
ROOMS_KEPT = 500


class RoomAccess:
    """Lets servers in, or refuses them.

    Args:
        rooms: the rooms in memory.
        identity: which server this is.
    """

    def __init__(self, rooms: Rooms, identity: Identity) -> None:
        self._rooms = rooms
        self._identity = identity
        self._acls: Lru[int, tuple[ServerAcl, dict[str, bool]]] = Lru(ROOMS_KEPT)
        self._servers: Lru[int, tuple[Members, Counter[str]]] = Lru(ROOMS_KEPT)

    async def open_room(self, server: str, room_id: str) -> Room:
        """A room that somebody here is in, and that does not keep a server out.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that nobody here is in, ``M_FORBIDDEN``.
        """
        room = await self._known(server, room_id)
        if not self.is_in(room, self._identity.server_name):
            raise _not_in_it()
        return room

    async def shared_room(self, server: str, room_id: str) -> Room:
        """A room that a server is in, as far as is known here, and that does not keep it out.

        Perhaps nobody here is in it any more. What this server said last, that it leaves above all, may stand on what
        others were away for: they can ask nobody else for that. What is known here of the room ends with that leaving,
        and whoever was in it then may know it.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        room = await self._known(server, room_id)
        if not self.is_in(room, server):
            raise forbidden("Your server is not in this room.")
        return room

    async def _known(self, server: str, room_id: str) -> Room:
        room = await self._rooms.find(room_id)
        if room is None:
            raise _not_in_it()
        if not self.is_allowed(room, server):
            raise forbidden("This room's access control list keeps your server out.")
        return room

    def is_allowed(self, room: Room, server: str) -> bool:
        """Whether a room's access control list lets a server take part."""
        nid = room.published.state.get((SERVER_ACL, ""))
        if nid is None:
            return True
        kept = self._acls.get(nid)
        if kept is None:
            kept = ServerAcl(room.store.event(nid).content), {}
            self._acls.put(nid, kept)
        acl, known = kept
        if server not in known:
            if len(known) > ROOMS_KEPT:
                known.clear()
            known[server] = acl.allows(server)
        return known[server]

    def is_in(self, room: Room, server: str) -> bool:
        """Whether somebody of a server is in a room."""
        return server in self.servers(room)

    def servers(self, room: Room, snapshot: Snapshot | None = None) -> Collection[str]:
        """The servers of those who are in a room, the one with the most of them first."""
        members = (snapshot or room.published).members
        kept = self._servers.get(room.nid)
        if kept is None or kept[0] is not members:
            counted = Counter(server_of(user_id) for user_id in members.having("join"))
            kept = members, Counter(dict(counted.most_common()))
            self._servers.put(room.nid, kept)
        return kept[1].keys()


def _not_in_it() -> MatrixError:
    return not_found("This server is not in that room.")
