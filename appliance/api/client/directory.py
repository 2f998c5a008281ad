"""The names of rooms (client-server API, "Room aliases")."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.rooms.acts.aliases import Aliases
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit

ALIAS = "/_matrix/client/v3/directory/room/{alias:str}"


class Target(Struct):
    """Where an alias shall lead."""

    room_id: str


class DirectoryApi(Controller):
    """Aliases."""

    aliases: Aliases

    @endpoint("GET", ALIAS, access=Access.NOBODY)
    async def find(self, request: Asked, alias: str) -> ASGIApp:
        """GET /_matrix/client/v3/directory/room/{roomAlias}

        Answers the room behind an alias.
        """
        room_id, servers = await self.aliases.find(alias)
        return answer({"room_id": room_id, "servers": servers})

    @endpoint("PUT", ALIAS, limit=Limit.SEND)
    async def give(self, request: Asked, alias: str) -> ASGIApp:
        """PUT /_matrix/client/v3/directory/room/{roomAlias}

        Gives a room an alias.
        """
        target = await request.struct(Target)
        await self.aliases.give(request.requester.user_id, request.requester.admin, alias, target.room_id)
        return answer()

    @endpoint("DELETE", ALIAS, limit=Limit.SEND)
    async def remove(self, request: Asked, alias: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/directory/room/{roomAlias}

        Removes an alias.
        """
        await self.aliases.remove(request.requester.user_id, request.requester.admin, alias)
        return answer()

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id:str}/aliases", guests=True)
    async def of_room(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/aliases

        Lists the local aliases of a room.
        """
        return answer({"aliases": await self.aliases.of_room(request.requester.user_id, room_id)})
