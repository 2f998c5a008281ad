"""Logging in with a password."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from appliance.accounts.accounts import Accounts
from appliance.accounts.bodies import as_struct
from appliance.accounts.identity import named_user
from appliance.accounts.sessions import Login, Sessions
from appliance.errors import MatrixError, missing_param
from appliance.protocol.identifiers import server_of
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.settings import Settings

MAX_LOGIN_BODY = 16 * 1024


class LoginAsked(Struct):
    """The body of POST /login, but for what names the user (see ``accounts.identity``)."""

    type: str
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool = False


class LoginAnswer(Struct):
    """What a client is told after logging in or registering."""

    user_id: str
    home_server: str
    access_token: str | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    expires_in_ms: int | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET


def login_answer(user_id: str, login: Login | None) -> ASGIApp:
    """The answer to a login or a registration; without a login it names the user alone."""
    told = LoginAnswer(user_id=user_id, home_server=server_of(user_id))
    if login is not None:
        told.access_token = login.access_token
        told.device_id = login.device_id
        told.expires_in_ms = UNSET if login.expires_in_ms is None else login.expires_in_ms
        told.refresh_token = login.refresh_token or UNSET
    return answer(told)


class LogIn(Controller):
    """Logging in."""

    accounts: Accounts
    sessions: Sessions
    settings: Settings

    @endpoint("GET", "/_matrix/client/v3/login", access=Access.NOBODY, limit=Limit.READ)
    async def flows(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/login

        The ways to log in.
        """
        return answer({"flows": [{"type": "m.login.password"}]})

    @endpoint("POST", "/_matrix/client/v3/login", access=Access.NOBODY, limit=Limit.LOGIN, max_body=MAX_LOGIN_BODY)
    async def log_in(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/login

        Begins a session for whoever has the right password. An unknown user is refused like a wrong password.
        """
        body = await request.object()
        asked = as_struct(body, LoginAsked)
        if asked.type != "m.login.password":
            raise MatrixError("M_UNKNOWN", "This server knows no such way to log in.", 400)
        user_id = named_user(body, self.settings.server_name)
        if user_id is None:
            raise missing_param("identifier is missing: who wants to log in?")
        if asked.password is None:
            raise missing_param("password is missing.")
        account = await self.accounts.admit(user_id, asked.password)
        login = await self.sessions.login(
            account.user_id, asked.device_id, asked.initial_device_display_name, refresh=asked.refresh_token
        )
        return login_answer(account.user_id, login)
