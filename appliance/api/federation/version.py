"""Which software this is, for other servers (server-server API, "Server discovery")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access
from appliance.version import VERSION


class VersionApi(Controller):
    """The software and its version."""

    @endpoint("GET", "/_matrix/federation/v1/version", access=Access.NOBODY)
    async def version(self, request: Asked) -> ASGIApp:
        """GET /_matrix/federation/v1/version

        Answers the name and the version of this server's software.
        """
        return answer({"server": {"name": "Hearth", "version": VERSION}})
