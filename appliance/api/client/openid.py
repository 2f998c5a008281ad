"""Proving to other services who one is (client-server API, module "OpenID")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.short_tokens import ShortTokens
from appliance.errors import forbidden
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.settings import Settings


class OpenIdApi(Controller):
    """Tokens for other services."""

    short_tokens: ShortTokens
    settings: Settings

    @endpoint("POST", "/_matrix/client/v3/user/{user_id:str}/openid/request_token", guests=True)
    async def request_token(self, request: Asked, user_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/user/{userId}/openid/request_token

        A token that a service, such as that of a call, can ask this server about to learn who its holder is.
        """
        await request.object(empty=True)
        if user_id != request.requester.user_id:
            raise forbidden("You can only prove who you are yourself.")
        made = await self.short_tokens.for_openid(user_id)
        return answer(
            {
                "access_token": made.token,
                "token_type": "Bearer",
                "matrix_server_name": self.settings.server_name,
                "expires_in": made.expires_in_ms // 1000,
            }
        )
