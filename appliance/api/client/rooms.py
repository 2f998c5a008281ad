"""Making rooms, and which one is in (client-server API, "Rooms")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.rooms.creation import Creation
from appliance.rooms.membership import Membership
from appliance.rooms.presets import CreateRoom
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit


class RoomsApi(Controller):
    """Rooms as a whole."""

    creation: Creation
    membership: Membership

    @endpoint("POST", "/_matrix/client/v3/createRoom", limit=Limit.JOIN)
    async def create(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/createRoom

        Makes a room with the asker in it.
        """
        wanted = await request.struct(CreateRoom)
        return answer({"room_id": await self.creation.create(request.requester.user_id, wanted)})

    @endpoint("GET", "/_matrix/client/v3/joined_rooms", guests=True)
    async def joined_rooms(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/joined_rooms

        Lists the rooms that the asker is in.
        """
        return answer({"joined_rooms": self.membership.joined_rooms(request.requester.user_id)})
