"""What clients may do here."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.protocol.versions import VERSIONS
from appliance.rooms.acts.delayed import LONGEST_MS, MOST_OF_USER
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.settings import Settings

MODERATION = {"suspend": True, "lock": True}
"""What an owner of this server may do to its users."""


class Capabilities(Controller):
    """The server's capabilities."""

    settings: Settings

    @endpoint("GET", "/_matrix/client/v3/capabilities", guests=True)
    async def capabilities(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/capabilities

        The room versions, and what the asker may do here.
        """
        requester = request.requester
        user = {"enabled": not requester.guest}
        told: dict[str, Any] = {
            "m.room_versions": {
                "default": self.settings.rooms_default_version,
                "available": dict.fromkeys(VERSIONS, "stable"),
            },
            "m.change_password": user,
            "m.set_displayname": {"enabled": True},
            "m.set_avatar_url": user,
            "m.profile_fields": user,
            "uk.tcpip.msc4133.profile_fields": user,
            "m.3pid_changes": {"enabled": False},
            "m.get_login_token": {"enabled": self.settings.login_tokens and not requester.guest},
            "org.matrix.msc4140.delayed_events": {"max_delay_ms": LONGEST_MS, "max_scheduled": MOST_OF_USER},
            "m.forget_forced_upon_leave": {"enabled": False},
        }
        if requester.admin:
            told["m.account_moderation"] = MODERATION
        return answer({"capabilities": told})
