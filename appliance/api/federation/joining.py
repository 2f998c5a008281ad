"""Users of other servers who come into rooms (server-server API, "Joining Rooms")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.handshakes import Handshakes
from appliance.federation.templates import Templates
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class JoiningApi(Controller):
    """Joins."""

    templates: Templates
    handshakes: Handshakes

    @endpoint("GET", "/_matrix/federation/v1/make_join/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_join/{roomId}/{userId}

        Answers a template for a join.
        """
        versions = request.query_params.getall("ver", [])
        return answer(await self.templates.join(request.requester.server, room_id, user_id, versions))

    @endpoint("PUT", "/_matrix/federation/v2/send_join/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}

        Takes a join in, and answers the state before it.
        """
        return answer(await self._joined(request, room_id, event_id))

    @endpoint("PUT", "/_matrix/federation/v1/send_join/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_as_of_old(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}

        The same in the shape that older servers expect.
        """
        return answer(b"[200," + await self._joined(request, room_id, event_id) + b"]")

    async def _joined(self, request: Asked, room_id: str, event_id: str) -> bytes:
        return await self.handshakes.join(request.requester.server, room_id, event_id, await request.object())
