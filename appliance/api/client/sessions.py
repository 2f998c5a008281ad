"""Sessions: refreshing their tokens, ending them, and asking whose they are."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.sessions import Sessions
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit

MAX_REFRESH_BODY = 4 * 1024


class RefreshAsked(Struct):
    """The body of POST /refresh."""

    refresh_token: str


class SessionsApi(Controller):
    """What a client does with its session."""

    sessions: Sessions

    @endpoint("POST", "/_matrix/client/v3/refresh", access=Access.NOBODY, limit=Limit.READ, max_body=MAX_REFRESH_BODY)
    async def refresh(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/refresh

        Trades a refresh token for a new pair of tokens; the old one ends with the first use of either.
        """
        asked = await request.struct(RefreshAsked)
        login = await self.sessions.refresh(asked.refresh_token)
        return answer(
            {
                "access_token": login.access_token,
                "expires_in_ms": login.expires_in_ms,
                "refresh_token": login.refresh_token,
            }
        )

    @endpoint("POST", "/_matrix/client/v3/logout", locked=True, suspended=True)
    async def log_out(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/logout

        Ends the session and deletes its device.
        """
        await self.sessions.logout(request.requester.user_id, request.requester.device_id)
        return answer()

    @endpoint("POST", "/_matrix/client/v3/logout/all", locked=True, suspended=True)
    async def log_out_all(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/logout/all

        Ends every session of the user and deletes their devices.
        """
        await self.sessions.logout_all(request.requester.user_id)
        return answer()

    @endpoint("GET", "/_matrix/client/v3/account/whoami", guests=True)
    async def whoami(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/account/whoami

        The user and device behind the access token.
        """
        requester = request.requester
        return answer({"user_id": requester.user_id, "device_id": requester.device_id, "is_guest": requester.guest})
