"""Presence: who is online (client-server API, module "Presence")."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import forbidden
from appliance.rooms.signs.presence import Presence
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_STATUS = "/_matrix/client/v3/presence/{user_id:str}/status"


class Saying(Struct):
    """The body of PUT /presence/{userId}/status."""

    presence: str
    status_msg: str | None = None


class PresenceApi(Controller):
    """Who is online."""

    presence: Presence

    @endpoint("GET", _STATUS)
    async def get(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/presence/{userId}/status

        What a user is, for those who share a room with them.
        """
        return answer(self.presence.of(request.requester.user_id, user_id))

    @endpoint("PUT", _STATUS, suspended=True)
    async def put(self, request: Asked, user_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/presence/{userId}/status

        Says what one is oneself, with a message or without.
        """
        saying = await request.struct(Saying)
        requester = request.requester
        if requester.user_id != user_id:
            raise forbidden("You can only say what you are yourself.")
        self.presence.put(user_id, requester.device_id, saying.presence, saying.status_msg)
        return answer()
