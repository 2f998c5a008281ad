"""The published rooms for other servers (server-server API, "Published Room Directory")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.public_rooms import Query, wanted_rooms
from appliance.rooms.shown.directory import Directory
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access

LIST = "/_matrix/federation/v1/publicRooms"


class PublicRoomsForServersApi(Controller):
    """The directory of rooms."""

    directory: Directory

    @endpoint("GET", LIST, access=Access.SERVER)
    async def all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/federation/v1/publicRooms

        Lists the published rooms.
        """
        query = Query(request.query_int("limit", 0), request.query_text("since"))
        return answer(await self.directory.page(wanted_rooms(query, elsewhere=True)))

    @endpoint("POST", LIST, access=Access.SERVER)
    async def some(self, request: Asked) -> ASGIApp:
        """POST /_matrix/federation/v1/publicRooms

        Lists the published rooms that a filter lets through.
        """
        query = await request.struct(Query, empty=True)
        return answer(await self.directory.page(wanted_rooms(query, elsewhere=True)))
