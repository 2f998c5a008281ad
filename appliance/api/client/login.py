"""Logging in, with a password or with a token that another device of the user had made."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from appliance.accounts.accounts import Account, Accounts
from appliance.accounts.bodies import as_struct
from appliance.accounts.identity import named_user
from appliance.accounts.interactive import PASSWORD, Interactive
from appliance.accounts.sessions import Login, Sessions, check_device
from appliance.accounts.short_tokens import ShortTokens
from appliance.errors import MatrixError, missing_param, unrecognized
from appliance.protocol.identifiers import server_of
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.limits import Limits
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.settings import Settings

TOKEN = "m.login.token"  # noqa: S105
MAX_LOGIN_BODY = 16 * 1024


class LoginAsked(Struct):
    """The body of POST /login, but for what names the user (see ``accounts.identity``)."""

    type: str
    password: str | None = None
    token: str | None = None
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
    interactive: Interactive
    limits: Limits
    sessions: Sessions
    settings: Settings
    short_tokens: ShortTokens

    @endpoint("GET", "/_matrix/client/v3/login", access=Access.NOBODY, limit=Limit.READ)
    async def flows(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/login

        The ways to log in.
        """
        flows: list[dict[str, Any]] = [{"type": PASSWORD}]
        if self.settings.login_tokens:
            flows.append({"type": TOKEN, "get_login_token": True})
        return answer({"flows": flows})

    @endpoint("POST", "/_matrix/client/v3/login", access=Access.NOBODY, limit=Limit.LOGIN, max_body=MAX_LOGIN_BODY)
    async def log_in(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/login

        Begins a session for whoever has the right password, or a good token. An unknown user is refused like a wrong
        password.
        """
        body = await request.object()
        asked = as_struct(body, LoginAsked)
        if asked.type == PASSWORD:
            account = await self._by_password(body, asked)
        elif asked.type == TOKEN and self.settings.login_tokens:
            if asked.token is None:
                raise missing_param("token is missing.")
            check_device(asked.device_id or "", asked.initial_device_display_name)
            account = self.accounts.admit_known(await self.short_tokens.use_for_login(asked.token))
        else:
            raise MatrixError("M_UNKNOWN", "This server knows no such way to log in.", 400)
        login = await self.sessions.login(
            account.user_id, asked.device_id, asked.initial_device_display_name, refresh=asked.refresh_token
        )
        return login_answer(account.user_id, login)

    async def _by_password(self, body: dict[str, Any], asked: LoginAsked) -> Account:
        user_id = named_user(body, self.settings.server_name)
        if user_id is None:
            raise missing_param("identifier is missing: who wants to log in?")
        if asked.password is None:
            raise missing_param("password is missing.")
        self.limits.check_failures(user_id)
        try:
            return await self.accounts.admit(user_id, asked.password)
        except MatrixError as error:
            if error.errcode == "M_FORBIDDEN":
                self.limits.count_failure(user_id)
            raise

    @endpoint(
        "POST",
        "/_matrix/client/v1/login/get_token",
        "/_matrix/client/unstable/org.matrix.msc3882/login/token",
        limit=Limit.LOGIN,
        max_body=MAX_LOGIN_BODY,
    )
    async def get_token(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v1/login/get_token

        A token with which another device can log in once, within two minutes, for whoever proves anew who they are.
        """
        if not self.settings.login_tokens:
            raise unrecognized()
        user_id = request.requester.user_id
        await self.interactive.prove(
            endpoint="POST /login/get_token",
            asker=user_id,
            flows=((PASSWORD,),),
            body=await request.object(empty=True),
        )
        made = await self.short_tokens.for_login(user_id)
        return answer({"login_token": made.token, "expires_in_ms": made.expires_in_ms})
