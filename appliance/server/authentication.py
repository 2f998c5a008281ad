"""Who is asking: Litestar middleware that runs once a handler is chosen, and before anything of the body is read."""

from collections.abc import Sequence
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote_to_bytes

from litestar.types import ASGIApp, Receive, Scope, Send

from appliance.errors import MatrixError, too_large
from appliance.server.clients import address_block
from appliance.server.endpoints import Declaration
from appliance.server.errors_mapping import refusal
from appliance.server.limits import Limits
from appliance.server.pages import with_page_headers
from appliance.server.paths import SLASH, restore_slashes
from appliance.server.request import announced_length, read_body
from appliance.server.requester import Access, Limit, Requester

Headers = Sequence[tuple[bytes, bytes]]


class Session(Protocol):
    """A login on a device, as ``accounts`` knows it."""

    @property
    def session_id(self) -> int:
        """Its number, the same for all its access tokens."""

    @property
    def user_id(self) -> str:
        """Whose it is."""

    @property
    def device_id(self) -> str:
        """On which device."""

    @property
    def admin(self) -> bool:
        """Whether the user is an owner of this server."""

    @property
    def guest(self) -> bool:
        """Whether the user is a guest."""

    @property
    def locked(self) -> bool:
        """Whether the user may do nothing but log out."""

    @property
    def suspended(self) -> bool:
        """Whether the user may only read."""

    @property
    def expired(self) -> bool:
        """Whether the access token has to be refreshed."""


class Sessions(Protocol):
    """Who has which access token (``accounts``)."""

    def authenticate(self, token: str) -> Session | None:
        """The session of an access token, at once."""

    def seen(self, session_id: int, address: str) -> None:
        """Take note that a session was used from an address."""


class SignedRequests(Protocol):
    """Requests that other servers signed (``federation``)."""

    async def authenticate(self, method: str, target: bytes, body: bytes, headers: Headers) -> str:
        """The name of the server that signed a request.

        Args:
            method: as sent.
            target: raw path and query, as sent.
            body: as sent.
            headers: names in lower case; ``Authorization`` may be there several times.

        Raises:
            MatrixError: 401 ``M_UNAUTHORIZED`` where no signature is good, 403 ``M_FORBIDDEN`` for a server with which
                the owner does not want to talk.
        """


class NoSignedRequests:
    """While this server does not talk with others."""

    async def authenticate(self, method: str, target: bytes, body: bytes, headers: Headers) -> str:
        """Refuse everybody."""
        raise MatrixError("M_UNAUTHORIZED", "This server does not take requests from other servers yet.", 401)


class Authentication:
    """Finds the requester, or refuses.

    Args:
        sessions: access tokens.
        signed: signed requests.
        limits: rate limits.
    """

    def __init__(self, sessions: Sessions, signed: SignedRequests, limits: Limits) -> None:
        self._sessions = sessions
        self._signed = signed
        self._limits = limits

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Put the authentication in front of a handler (Litestar's ``middleware``)."""

        async def authenticated(scope: Scope, receive: Receive, send: Send) -> None:
            request = cast("dict[str, Any]", scope)
            declaration: Declaration | None = request["route_handler"].opt.get("declaration")
            if declaration is None:  # static files
                await app(scope, receive, with_page_headers(send))
                return
            if declaration.page:
                send = with_page_headers(send)
            if SLASH in request["path"]:
                request["path_params"] = restore_slashes(request["path_params"])
            try:
                request["requester"] = await self.admit(declaration, request, receive)
            except MatrixError as error:
                await refusal(error)(scope, receive, send)
                return
            if declaration.sometimes and request["query_string"]:
                request["query_string"] = without(request["query_string"], declaration.sometimes)
            await app(scope, receive, send)

        return authenticated

    async def admit(self, declaration: Declaration, scope: dict[str, Any], receive: Receive) -> Requester:
        """Who asks for an endpoint.

        Raises:
            MatrixError: where they may not.
        """
        address: str = scope["address"]
        access = declaration.access
        if access is Access.USER or access is Access.OPTIONAL:
            requester = self._user(declaration, scope, address)
        elif access is Access.SERVER:
            requester = Requester(address=address, server=await self._server(declaration, scope, receive))
        else:
            requester = Requester(address=address)
        if declaration.limit is not Limit.NONE:
            self._limits.take(declaration.limit, requester.user_id or requester.server or address_block(address))
        if (announced_length(scope["headers"]) or 0) > declaration.max_body:
            raise too_large(f"The body of this request may have at most {declaration.max_body} bytes.")
        return requester

    def _user(self, declaration: Declaration, scope: dict[str, Any], address: str) -> Requester:
        token = access_token(scope["headers"], scope["query_string"])
        if token is None:
            if declaration.access is Access.OPTIONAL:
                return Requester(address=address)
            raise MatrixError("M_MISSING_TOKEN", "This request needs an access token: log in first.", 401)
        session = self._sessions.authenticate(token)
        if session is None:
            raise MatrixError("M_UNKNOWN_TOKEN", "This access token is not known (any more): log in again.", 401)
        if session.expired:
            raise MatrixError("M_UNKNOWN_TOKEN", "This access token has expired: refresh it.", 401, soft_logout=True)
        _check(declaration, session)
        self._sessions.seen(session.session_id, address)
        return Requester(
            address=address,
            user_id=session.user_id,
            device_id=session.device_id,
            session=session.session_id,
            admin=session.admin,
            guest=session.guest,
        )

    async def _server(self, declaration: Declaration, scope: dict[str, Any], receive: Receive) -> str:
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            raise MatrixError("M_UNAUTHORIZED", "This request must be signed by the server that sends it.", 401)
        body = await read_body(cast("Scope", scope), receive, declaration.max_body)
        target: bytes = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        return await self._signed.authenticate(scope["method"], target, body, scope["headers"])


def access_token(headers: Headers, query: bytes) -> str | None:
    """The access token of a request: ``Authorization: Bearer``, or the query parameter that old clients still use."""
    for name, value in headers:
        if name == b"authorization":
            kind, _, token = value.partition(b" ")
            if kind.lower() == b"bearer":
                return token.strip().decode("latin-1") or None
    if b"access_token=" in query:
        for key, text in parse_qsl(query.decode("latin-1")):
            if key == "access_token":
                return text
    return None


def without(query: bytes, names: frozenset[bytes]) -> bytes:
    """A query without some parameters."""
    pieces = [piece for piece in query.split(b"&") if unquote_to_bytes(piece.partition(b"=")[0]) not in names]
    return b"&".join(pieces)


def _check(declaration: Declaration, session: Session) -> None:
    """Refuse users who may not do everything what they may not do."""
    if session.locked and not declaration.locked:
        raise MatrixError("M_USER_LOCKED", "This account has been locked by the server's owner.", 401, soft_logout=True)
    if session.suspended and not declaration.suspended:
        raise MatrixError("M_USER_SUSPENDED", "This account is suspended: it can read, but not write.", 403)
    if session.guest and not declaration.guests and declaration.access is not Access.OPTIONAL:
        raise MatrixError("M_GUEST_ACCESS_FORBIDDEN", "Guests cannot do this: make an account first.", 403)
