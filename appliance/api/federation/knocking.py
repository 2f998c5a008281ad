"""Users of other servers who knock (server-server API, "Knocking upon a room")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.handshakes import Handshakes
from appliance.federation.templates import Templates
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class KnockingHereApi(Controller):
    """Knocks."""

    templates: Templates
    handshakes: Handshakes

    @endpoint("GET", "/_matrix/federation/v1/make_knock/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_knock/{roomId}/{userId}

        Answers a template for a knock.
        """
        versions = request.query_params.getall("ver", [])
        return answer(await self.templates.knock(request.requester.server, room_id, user_id, versions))

    @endpoint("PUT", "/_matrix/federation/v1/send_knock/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}

        Takes a knock in, and answers what the room shows of itself.
        """
        server = request.requester.server
        return answer(await self.handshakes.knock(server, room_id, event_id, await request.object()))
