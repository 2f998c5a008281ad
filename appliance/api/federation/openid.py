"""Telling services who holds a token (server-server API, "OpenID")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.short_tokens import ShortTokens
from appliance.errors import MatrixError
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class UserInfoApi(Controller):
    """Who holds a token; asked by services, not by servers, so it needs no signature and no federation."""

    short_tokens: ShortTokens

    @endpoint("GET", "/_matrix/federation/v1/openid/userinfo", access=Access.NOBODY)
    async def userinfo(self, request: Asked) -> ASGIApp:
        """GET /_matrix/federation/v1/openid/userinfo

        The user who was given a token.
        """
        token = request.query_text("access_token")
        if not token:
            raise MatrixError("M_MISSING_TOKEN", "access_token is missing.", 401)
        return answer({"sub": self.short_tokens.openid_user(token)})
