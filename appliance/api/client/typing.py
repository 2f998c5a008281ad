"""Who is typing (client-server API, module "Typing notifications")."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import forbidden
from appliance.rooms.signs.typing import LONGEST_MS, Typing
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked


class Said(Struct):
    """Whether somebody types, and for how many milliseconds they count as typing without saying so again."""

    typing: bool
    timeout: int | None = None


class TypingApi(Controller):
    """That the asker is typing."""

    typing: Typing

    @endpoint("PUT", "/_matrix/client/v3/rooms/{room_id:str}/typing/{user_id:str}", guests=True)
    async def set(self, request: Asked, room_id: str, user_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}

        Tells the others in a room that the asker types, or types no more.
        """
        if request.requester.user_id != user_id:
            raise forbidden("You cannot say of another user whether they type.")
        said = await request.struct(Said)
        timeout = LONGEST_MS if said.timeout is None else said.timeout
        await self.typing.say(user_id, room_id, timeout if said.typing else None)
        return answer()
