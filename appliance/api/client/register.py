"""Making an account for oneself."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.accounts import Accounts
from appliance.accounts.interactive import is_poll
from appliance.accounts.registration import Registration
from appliance.api.client.login import login_answer
from appliance.errors import missing_param
from appliance.server.answers import answer
from appliance.server.clients import address_block
from appliance.server.endpoints import endpoint
from appliance.server.limits import Limits
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit

MAX_REGISTER_BODY = 16 * 1024


class Register(Controller):
    """Registration."""

    accounts: Accounts
    limits: Limits
    registration: Registration

    @endpoint(
        "POST",
        "/_matrix/client/v3/register",
        access=Access.NOBODY,
        limit=Limit.WRITE,
        max_body=MAX_REGISTER_BODY,
    )
    async def register(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/register

        Makes an account and logs in to it, after the interactive authentication that the owner asks of newcomers.
        Guests are let in without any, where the owner takes them. Whether somebody has got through by now may be asked
        as often as anything else: Element does so every two seconds while people look for their token.
        """
        block = address_block(request.requester.address)
        if request.query_choice("kind", ("user", "guest"), "user") == "guest":
            body = await request.object(empty=True)
            self.registration.check_guests()
            self.limits.take(Limit.REGISTER, block)
            return login_answer(*await self.registration.register_guest(body))
        body = await request.object()
        if not is_poll(body):
            self.limits.take(Limit.REGISTER, block)
        user_id, login = await self.registration.register("POST /register", body)
        return login_answer(user_id, login)

    @endpoint("GET", "/_matrix/client/v3/register/available", access=Access.NOBODY, limit=Limit.READ)
    async def available(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/register/available

        Whether a username can be had.
        """
        username = request.query_text("username")
        if username is None:
            raise missing_param("username is missing.")
        self.accounts.claimable(username)
        return answer({"available": True})

    @endpoint(
        "GET",
        "/_matrix/client/v1/register/m.login.registration_token/validity",
        access=Access.NOBODY,
        limit=Limit.REGISTER,
    )
    async def token_validity(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v1/register/m.login.registration_token/validity

        Whether a registration token can be used now.
        """
        token = request.query_text("token")
        if token is None:
            raise missing_param("token is missing.")
        return answer({"valid": self.registration.token_valid(token)})
