"""This server's keys, for other servers (server-server API, "Server Authentication")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.federation.keys import PublishedKeys
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class KeysApi(Controller):
    """Published keys."""

    published: PublishedKeys

    @endpoint("GET", "/_matrix/key/v2/server", access=Access.NOBODY)
    async def server_keys(self, request: Asked) -> ASGIApp:
        """GET /_matrix/key/v2/server

        Answers the keys that this server signs with and has signed with, signed.
        """
        return answer(self.published.document())
