"""Filters that clients keep here."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.filters import MAX_FILTER_BYTES, Filters
from appliance.errors import forbidden
from appliance.protocol import canonical
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked


class FiltersApi(Controller):
    """Filters."""

    filters: Filters

    @endpoint("POST", "/_matrix/client/v3/user/{user_id:str}/filter", suspended=True, max_body=2 * MAX_FILTER_BYTES)
    async def keep(self, request: Asked, user_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/user/{userId}/filter

        Keeps a filter and answers its id.
        """
        _check_own(request, user_id)
        return answer({"filter_id": await self.filters.keep(user_id, await request.object())})

    @endpoint("GET", "/_matrix/client/v3/user/{user_id:str}/filter/{filter_id:str}")
    async def get(self, request: Asked, user_id: str, filter_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/user/{userId}/filter/{filterId}

        A filter as it was kept.
        """
        _check_own(request, user_id)
        return answer(canonical.encode(self.filters.get(user_id, filter_id)))


def _check_own(request: Asked, user_id: str) -> None:
    if request.requester.user_id != user_id:
        raise forbidden("These are another user's filters.")
