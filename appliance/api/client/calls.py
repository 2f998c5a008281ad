"""What clients need for calls: a TURN server (module "Voice over IP") and the services of MatrixRTC (MSC4143)."""

import base64
import hashlib
import hmac

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.clock import wall_clock
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.settings import Settings

TURN_SECONDS = 24 * 3600
"""How long the credentials for the TURN server are good."""


class CallsApi(Controller):
    """Calls."""

    settings: Settings

    @endpoint("GET", "/_matrix/client/v3/voip/turnServer", guests=True)
    async def turn_server(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/voip/turnServer

        Credentials for the TURN server, made as its shared secret says; an empty object where there is none.
        """
        if not self.settings.calls_turn_uris or not self.settings.calls_turn_secret:
            return answer()
        username = f"{wall_clock() // 1000 + TURN_SECONDS}:{request.requester.user_id}"
        digest = hmac.new(self.settings.calls_turn_secret.encode(), username.encode(), hashlib.sha1).digest()
        return answer(
            {
                "username": username,
                "password": base64.b64encode(digest).decode(),
                "uris": self.settings.calls_turn_uris,
                "ttl": TURN_SECONDS,
            }
        )

    @endpoint("GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports", guests=True)
    async def transports(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports

        The services over which calls of MatrixRTC go; an empty list where there is none.
        """
        return answer({"rtc_transports": transports(self.settings)})


def transports(settings: Settings) -> list[dict[str, str]]:
    """The services over which calls of MatrixRTC go."""
    if not settings.calls_livekit:
        return []
    return [{"type": "livekit", "livekit_service_url": settings.calls_livekit}]
