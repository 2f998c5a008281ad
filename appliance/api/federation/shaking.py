"""Users of other servers who come, knock and go (server-server API, "Joining Rooms", "Knocking upon a room", "Leaving
Rooms"): for each a template that their server fills in, and the event that it brings back.
"""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.handshakes import Handshakes
from appliance.federation.templates import Templates
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class ShakingApi(Controller):
    """Joins, knocks and leaves."""

    templates: Templates
    handshakes: Handshakes

    # Templates -------------------------------------------------------------------------------------------------------

    @endpoint("GET", "/_matrix/federation/v1/make_join/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make_join(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_join/{roomId}/{userId}

        Answers a template for a join.
        """
        return answer(await self.templates.join(request.requester.server, room_id, user_id, _versions(request)))

    @endpoint("GET", "/_matrix/federation/v1/make_knock/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make_knock(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_knock/{roomId}/{userId}

        Answers a template for a knock.
        """
        return answer(await self.templates.knock(request.requester.server, room_id, user_id, _versions(request)))

    @endpoint("GET", "/_matrix/federation/v1/make_leave/{room_id:str}/{user_id:str}", access=Access.SERVER)
    async def make_leave(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/make_leave/{roomId}/{userId}

        Answers a template for leaving, or for rejecting an invitation.
        """
        return answer(await self.templates.leave(request.requester.server, room_id, user_id))

    # What comes back -------------------------------------------------------------------------------------------------

    @endpoint("PUT", "/_matrix/federation/v2/send_join/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_join(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}

        Takes a join in, and answers the whole state before it, as it may also where ``omit_members`` is asked for.
        """
        return answer(await self._joined(request, room_id, event_id))

    @endpoint("PUT", "/_matrix/federation/v1/send_join/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_join_as_of_old(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}

        The same in the shape that older servers expect.
        """
        return answer(b"[200," + await self._joined(request, room_id, event_id) + b"]")

    @endpoint("PUT", "/_matrix/federation/v1/send_knock/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_knock(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}

        Takes a knock in, and answers what the room shows of itself.
        """
        server = request.requester.server
        return answer(await self.handshakes.knock(server, room_id, event_id, await request.object()))

    @endpoint("PUT", "/_matrix/federation/v2/send_leave/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_leave(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}

        Takes in that somebody leaves.
        """
        await self.handshakes.leave(request.requester.server, room_id, event_id, await request.object())
        return answer()

    @endpoint("PUT", "/_matrix/federation/v1/send_leave/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def send_leave_as_of_old(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}

        The same in the shape that older servers expect.
        """
        await self.handshakes.leave(request.requester.server, room_id, event_id, await request.object())
        return answer(b"[200,{}]")

    async def _joined(self, request: Asked, room_id: str, event_id: str) -> bytes:
        return await self.handshakes.join(request.requester.server, room_id, event_id, await request.object())


def _versions(request: Asked) -> list[str]:
    """The room versions that the other server knows."""
    found: list[str] = request.query_params.getall("ver", [])
    return found
