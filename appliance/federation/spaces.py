"""Spaces for other servers (server-server API, "Spaces")."""

from typing import Any

from appliance.errors import not_found
from appliance.federation.access import RoomAccess
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Identity
from appliance.rooms.room import Rooms
from appliance.rooms.shown.facts import Facts, RoomFacts
from appliance.rooms.shown.spaces import Children

MOST_CHILDREN = 200


class SpacesForServers:
    """Says what a space holds.

    Args:
        rooms: the rooms in memory.
        access: which servers may take part in a room.
        facts: what rooms show of themselves.
        children: which rooms belong to a space.
        identity: which server this is.
    """

    def __init__(
        self, rooms: Rooms, access: RoomAccess, facts: RoomFacts, children: Children, identity: Identity
    ) -> None:
        self._rooms = rooms
        self._access = access
        self._facts = facts
        self._children = children
        self._identity = identity

    async def look(self, server: str, room_id: str, *, suggested_only: bool) -> dict[str, Any]:
        """A room and the rooms in it, as far as they are known here and users of a server may come to know them.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that is not known or that they may not come to know.
        """
        facts = self._facts.of(room_id)
        if facts is None or not await self._allows(server, facts):
            raise not_found("There is no such room, or it shows nothing of itself to your server.")
        listed = [one for one in self._children.of(facts) if one.suggested or not suggested_only][:MOST_CHILDREN]
        found: list[dict[str, Any]] = []
        inaccessible: list[str] = []
        for child in listed:
            inner = self._facts.of(child.room_id)
            if inner is None:
                continue
            if await self._allows(server, inner):
                found.append(inner.summary())
            elif await self._is_here(inner):
                inaccessible.append(child.room_id)
        return {
            "room": {**facts.summary(), "children_state": [one.told for one in listed]},
            "children": found,
            "inaccessible_children": inaccessible,
        }

    async def _is_here(self, facts: Facts) -> bool:
        room = await self._rooms.find(facts.room_id)
        return room is not None and self._access.is_in(room, self._identity.server_name)

    async def _allows(self, server: str, facts: Facts) -> bool:
        """Whether a user of a server may be told of a room; what it would be told must be true, too."""
        room = await self._rooms.find(facts.room_id)
        if room is None or not facts.federated or not self._access.is_in(room, self._identity.server_name):
            return False
        if facts.world_readable or facts.join_rule == "public" or facts.knockable:
            return True
        members = room.published.members
        if self._access.is_in(room, server) or any(server_of(one) == server for one in members.having("invite")):
            return True
        if facts.restricted:
            for room_id in facts.allowed_room_ids:
                other = await self._rooms.find(room_id)
                if other is not None and self._access.is_in(other, server):
                    return True
        return False
