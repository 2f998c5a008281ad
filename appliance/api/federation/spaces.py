"""Spaces for other servers (server-server API, "Spaces")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.spaces import SpacesForServers
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class SpacesForServersApi(Controller):
    """Spaces."""

    spaces: SpacesForServers

    @endpoint("GET", "/_matrix/federation/v1/hierarchy/{room_id:str}", access=Access.SERVER)
    async def hierarchy(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/hierarchy/{roomId}

        Answers a room and the rooms in it.
        """
        suggested_only = request.query_flag("suggested_only")
        return answer(await self.spaces.look(request.requester.server, room_id, suggested_only=suggested_only))
