"""The published rooms (client-server API, "Published room directory")."""

from typing import Any, Literal

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.federation.lookups import Lookups
from appliance.rooms.shown.directory import MOST, Directory, Wanted
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.settings import Settings
from appliance.storage.tokens import read_directory

LIST = "/_matrix/client/v3/publicRooms"
LISTED = "/_matrix/client/v3/directory/list/room/{room_id:str}"


class Published(Struct):
    """Whether a room shall be published."""

    visibility: Literal["public", "private"] = "public"


class Search(Struct):
    """What rooms must be like."""

    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class Query(Struct):
    """Which published rooms to list. There are no networks but Matrix, so nothing else is read."""

    limit: int | None = None
    since: str | None = None
    filter: Search | None = None


class PublicRoomsApi(Controller):
    """The directory of rooms."""

    directory: Directory
    lookups: Lookups
    settings: Settings

    @endpoint("GET", LIST, access=Access.NOBODY, limit=Limit.SEARCH)
    async def all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/publicRooms

        Lists the published rooms.
        """
        query = Query(request.query_int("limit", 0), request.query_text("since"))
        return await self._list(request, query)

    @endpoint("POST", LIST, guests=True, suspended=True, limit=Limit.SEARCH)
    async def some(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/publicRooms

        Lists the published rooms that a filter lets through.
        """
        return await self._list(request, await request.struct(Query, empty=True))

    @endpoint("GET", LISTED, access=Access.NOBODY)
    async def is_published(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/directory/list/room/{roomId}

        Says whether a room is published.
        """
        return answer({"visibility": "public" if self.directory.is_published(room_id) else "private"})

    @endpoint("PUT", LISTED, limit=Limit.SEND)
    async def publish(self, request: Asked, room_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/directory/list/room/{roomId}

        Publishes a room or takes it out of the directory.
        """
        wanted = await request.struct(Published, empty=True)
        requester = request.requester
        await self.directory.publish(requester.user_id, requester.admin, room_id, wanted.visibility == "public")
        return answer()

    async def _list(self, request: Asked, query: Query) -> ASGIApp:
        server = request.query_text("server")
        if server and server != self.settings.server_name:
            return answer(await self.lookups.public_rooms(server, _passed_on(query)))
        return answer(await self.directory.page(wanted_rooms(query)))


def _passed_on(query: Query) -> dict[str, Any]:
    """A query as another server is asked it."""
    wanted: dict[str, Any] = {"limit": max(1, min(query.limit or MOST, MOST))}
    if query.since:
        wanted["since"] = query.since
    if query.filter is not None:
        told = {"generic_search_term": query.filter.generic_search_term, "room_types": query.filter.room_types}
        wanted["filter"] = {name: value for name, value in told.items() if value is not None}
    return wanted


def wanted_rooms(query: Query, *, elsewhere: bool = False) -> Wanted:
    """Which rooms people of this server or of another one ask for; ``M_INVALID_PARAM`` for a bad token."""
    search = query.filter or Search()
    return Wanted(
        limit=max(1, min(query.limit or MOST, MOST)),
        since=read_directory(query.since) if query.since else None,
        term=search.generic_search_term or "",
        room_types=None if search.room_types is None else frozenset(search.room_types),
        elsewhere=elsewhere,
    )
