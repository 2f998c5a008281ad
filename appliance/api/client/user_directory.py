"""Finding people (client-server API, module "User directory")."""

from typing import Annotated

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from appliance.rooms.shown.people import PeopleDirectory
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit

MOST = 50


class WhoIs(Struct):
    """The body of a search for people."""

    search_term: Annotated[str, Meta(max_length=500)]
    limit: Annotated[int, Meta(ge=0)] = 10


class UserDirectoryApi(Controller):
    """Finds people."""

    people: PeopleDirectory

    @endpoint("POST", "/_matrix/client/v3/user_directory/search", limit=Limit.READ, suspended=True)
    async def search(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/user_directory/search

        Finds people by their names or ids.
        """
        wanted = await request.struct(WhoIs)
        found, limited = await self.people.search(
            request.requester.user_id, wanted.search_term, min(wanted.limit, MOST)
        )
        results = []
        for person in found:
            told = {"display_name": person.display_name, "avatar_url": person.avatar_url}
            results.append({"user_id": person.user_id, **{name: value for name, value in told.items() if value}})
        return answer({"results": results, "limited": limited})
