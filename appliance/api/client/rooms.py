"""Making rooms, and which one is in (client-server API, "Rooms")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.rooms.acts.creation import Creation
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.presets import CreateRoom
from appliance.rooms.acts.upgrading import Upgrading
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit


class Upgrade(Struct):
    """To which version, and who else is a creator there."""

    new_version: str
    additional_creators: Any = None


class RoomsApi(Controller):
    """Rooms as a whole."""

    creation: Creation
    membership: Membership
    upgrading: Upgrading

    @endpoint("POST", "/_matrix/client/v3/createRoom", limit=Limit.JOIN)
    async def create(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/createRoom

        Makes a room with the asker in it.
        """
        wanted = await request.struct(CreateRoom)
        return answer({"room_id": await self.creation.create(request.requester.user_id, wanted)})

    @endpoint("POST", "/_matrix/client/v3/rooms/{room_id:str}/upgrade", limit=Limit.JOIN)
    async def upgrade(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/upgrade

        Replaces a room by one of another version.
        """
        wanted = await request.struct(Upgrade)
        replacement = await self.upgrading.upgrade(
            request.requester.user_id, room_id, wanted.new_version, wanted.additional_creators
        )
        return answer({"replacement_room": replacement})

    @endpoint("GET", "/_matrix/client/v3/joined_rooms", guests=True)
    async def joined_rooms(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/joined_rooms

        Lists the rooms that the asker is in.
        """
        return answer({"joined_rooms": self.membership.joined_rooms(request.requester.user_id)})
