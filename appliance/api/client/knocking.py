"""Knocking (client-server API, "Knocking on rooms")."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.api.client.membership import via
from appliance.errors import invalid_param
from appliance.protocol.identifiers import is_room_id
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.acts.knocking import Knocking
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit


class Words(Struct):
    """What somebody who knocks says."""

    reason: str | None = None


class KnockingApi(Controller):
    """Knocks."""

    aliases: Aliases
    knocking: Knocking

    @endpoint("POST", "/_matrix/client/v3/knock/{room:str}", limit=Limit.JOIN)
    async def knock(self, request: Asked, room: str) -> ASGIApp:
        """POST /_matrix/client/v3/knock/{roomIdOrAlias}

        Asks those in a room to let the asker in.
        """
        words = await request.struct(Words, empty=True)
        room_id, servers = await self.aliases.resolve(room)
        if not is_room_id(room_id):
            raise invalid_param(f"{room!r} is neither a room id nor an alias.")
        await self.knocking.knock(request.requester.user_id, room_id, words.reason, (*via(request), *servers))
        return answer({"room_id": room_id})
