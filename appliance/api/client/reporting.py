"""Telling the owner of events, rooms and users (client-server API, module "Reporting content")."""

import orjson
from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.reports import Reports
from appliance.errors import invalid_param, not_found
from appliance.protocol.identifiers import is_user_id
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.room import Rooms
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit

V3 = "/_matrix/client/v3"


class Why(Struct):
    """The body of a report that has to say why, be it nothing."""

    reason: str


class PerhapsWhy(Struct):
    """The body of a report that may say why."""

    reason: str | None = None


class ReportingApi(Controller):
    """What users tell the owner."""

    reading: Reading
    reports: Reports
    rooms: Rooms

    @endpoint("POST", V3 + "/rooms/{room_id:str}/report/{event_id:str}", limit=Limit.SEND, suspended=True)
    async def event(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}

        Reports an event of a room that the asker is in.
        """
        said = await request.struct(PerhapsWhy)
        user_id = request.requester.user_id
        room = await self.rooms.find(room_id)
        if room is None or room.published.members.of(user_id) != "join":
            raise not_found("There is no such event, or you are not in its room.")
        event = await self.reading.event(user_id, room_id, event_id)
        text = orjson.loads(event.body)["content"].get("body")
        await self.reports.keep(
            user_id,
            said.reason or "",
            room_id=room_id,
            event_id=event_id,
            user_id=event.sender,
            excerpt=text if isinstance(text, str) else "",
        )
        return answer()

    @endpoint("POST", V3 + "/rooms/{room_id:str}/report", limit=Limit.SEND, suspended=True)
    async def room(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/report

        Reports a room.
        """
        said = await request.struct(Why)
        if await self.rooms.find(room_id) is None:
            raise not_found("This server does not know that room.")
        await self.reports.keep(request.requester.user_id, said.reason, room_id=room_id)
        return answer()

    @endpoint("POST", V3 + "/users/{user_id:str}/report", limit=Limit.SEND, suspended=True)
    async def user(self, request: Asked, user_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/users/{userId}/report

        Reports a user; the answer does not tell whether there is one.
        """
        said = await request.struct(Why)
        if not is_user_id(user_id):
            raise invalid_param("This is not the id of a user.")
        await self.reports.keep(request.requester.user_id, said.reason, user_id=user_id)
        return answer()
