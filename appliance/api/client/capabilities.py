"""What clients may do here."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.protocol.versions import DEFAULT, VERSIONS
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

CAPABILITIES = {
    "m.room_versions": {"default": DEFAULT, "available": dict.fromkeys(VERSIONS, "stable")},
    "m.change_password": {"enabled": True},
    "m.set_displayname": {"enabled": True},
    "m.set_avatar_url": {"enabled": True},
    "m.profile_fields": {"enabled": True},
    "m.3pid_changes": {"enabled": False},
    "m.get_login_token": {"enabled": False},
}


class Capabilities(Controller):
    """The server's capabilities."""

    @endpoint("GET", "/_matrix/client/v3/capabilities")
    async def capabilities(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/capabilities

        The room versions, and what of an account its user may change.
        """
        return answer({"capabilities": CAPABILITIES})
