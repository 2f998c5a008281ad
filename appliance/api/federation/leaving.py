"""Users of other servers who leave rooms, or reject invitations (server-server API, "Leaving Rooms")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.handshakes import Handshakes
from appliance.federation.templates import Templates
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class LeavingApi(Controller):
    """Leaves."""

    templates: Templates
    handshakes: Handshakes

    @endpoint("GET", "/_matrix/federation/v1/make_leave/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_leave/{roomId}/{userId}

        Answers a template for leaving.
        """
        return answer(await self.templates.leave(request.requester.server, room_id, user_id))

    @endpoint("PUT", "/_matrix/federation/v2/send_leave/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}

        Takes in that somebody leaves.
        """
        await self.handshakes.leave(request.requester.server, room_id, event_id, await request.object())
        return answer()

    @endpoint("PUT", "/_matrix/federation/v1/send_leave/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_as_of_old(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}

        The same in the shape that older servers expect.
        """
        await self.handshakes.leave(request.requester.server, room_id, event_id, await request.object())
        return answer(b"[200,{}]")
