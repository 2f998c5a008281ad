"""The request as handlers see it: who asks, the body once and checked, the query's parameters with clear errors."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.datastructures import MultiDict, State
from litestar.types import Receive, Scope

from appliance.errors import MatrixError, bad_json, invalid_param, missing_param, not_json, too_large
from appliance.protocol import canonical
from appliance.server.endpoints import Declaration
from appliance.server.query import read_query
from appliance.server.requester import Requester

T = TypeVar("T")
MAX_DEPTH = 100
"""Levels of nesting in a body, mostly: far more than any event needs, far less than what ends a recursion."""

PIECE_SECONDS = 60.0
"""How long the next piece of a body may take; Granian would wait for ever."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body of a request, read once and kept in its scope.

    Stops at the announced length: the server sends an empty piece after it whose arrival costs a thread switch.

    Args:
        scope: the request's.
        receive: the request's.
        limit: the most bytes that it may have.

    Raises:
        MatrixError: ``M_TOO_LARGE`` beyond the limit; 408 ``M_UNKNOWN`` where nothing more comes for a minute.
    """
    kept = cast("bytes | None", scope.get("hearth_body"))
    announced = announced_length(scope["headers"]) if kept is None else len(kept)
    if announced is not None and announced > limit:
        raise too_large(f"The body of this request may have at most {limit} bytes.")
    if kept is not None:
        return kept
    try:
        body = await _receive_body(receive, announced, limit) if announced != 0 else b""
    except TimeoutError as error:
        raise MatrixError("M_UNKNOWN", "The rest of this request did not come.", 408) from error
    scope["hearth_body"] = body  # type: ignore[typeddict-unknown-key]
    return body


async def _receive_body(receive: Receive, announced: int | None, limit: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    async with asyncio.timeout(PIECE_SECONDS) as patience:
        while announced is None or length < announced:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MatrixError("M_UNKNOWN", "The client went away before its request was complete.", 400)
            piece = cast("bytes", message.get("body", b""))
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise too_large(f"The body of this request may have at most {limit} bytes.")
            if not message.get("more_body"):
                break
            patience.reschedule(asyncio.get_running_loop().time() + PIECE_SECONDS)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def announced_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """What ``Content-Length`` says; 0 for a request that has no body, None for one that comes in pieces."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return 0


class Asked(Request[None, None, State]):
    """A request to one of Hearth's endpoints."""

    _query: dict[str, str] | None = None
    """The parameters of the query, of each the first value."""

    @property
    def requester(self) -> Requester:
        """Who asks; set by the authentication before the handler runs."""
        return cast("Requester", self.scope["requester"])  # type: ignore[typeddict-item]

    @property
    def query_params(self) -> MultiDict[Any]:
        """All parameters of the query, of each all values."""
        return MultiDict(read_query(self.scope["query_string"]))

    async def body_bytes(self) -> bytes:
        """The body, read once.

        Stops at the announced length: the server sends an empty piece after it whose arrival costs a thread switch.

        Raises:
            MatrixError: ``M_TOO_LARGE`` beyond the limit that the endpoint declares.
        """
        declaration: Declaration = self.scope["route_handler"].opt["declaration"]
        return await read_body(self.scope, self.receive, declaration.max_body)

    async def object(self, *, empty: bool = False, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
        """The body as a JSON object.

        Args:
            empty: whether a request without a body counts as ``{}``.
            max_depth: how deep it may be nested.

        Raises:
            MatrixError: ``M_NOT_JSON`` for what is not JSON, too deep, or holds NaN or a lone surrogate; ``M_BAD_JSON``
                for JSON that is not an object; ``M_TOO_LARGE``.
        """
        body = await self.body_bytes()
        if not body and empty:
            return {}
        try:
            value = canonical.decode(body, max_depth=max_depth)
        except ValueError as error:
            raise not_json() from error
        if not isinstance(value, dict):
            raise bad_json("The body of the request must be a JSON object.")
        return value

    async def struct(self, kind: type[T], *, empty: bool = False) -> T:
        """The body as a msgspec Struct; unknown fields are ignored.

        Raises:
            MatrixError: as ``object``, and ``M_BAD_JSON`` naming the field that is missing or of the wrong type.
        """
        value = await self.object(empty=empty)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            if "missing required field" in str(error):
                raise missing_param(f"{error}.") from error
            raise bad_json(f"{error}.") from error

    async def form_fields(self) -> dict[str, str]:
        """The fields of a form that a browser sent (``application/x-www-form-urlencoded``); of doubles the last.

        Raises:
            MatrixError: ``M_TOO_LARGE``, or ``M_UNKNOWN`` for what is no form.
        """
        try:
            text = (await self.body_bytes()).decode("ascii")
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict"))
        except ValueError as error:
            raise MatrixError("M_UNKNOWN", "This form cannot be read.", 400) from error

    def query_text(self, name: str, default: str | None = None) -> str | None:
        """One parameter of the query, or the default where it is absent."""
        known = self._query
        if known is None:
            known = self._query = dict(reversed(read_query(self.scope["query_string"])))
        value = known.get(name)
        return default if value is None else value

    def query_int(self, name: str, default: int, *, lowest: int = 0, highest: int = 2**53 - 1) -> int:
        """One whole number of the query, cut to the range; ``M_INVALID_PARAM`` where it is none."""
        value = self.query_text(name)
        if value is None or value == "":
            return default
        try:
            number = int(value)
        except ValueError as error:
            raise invalid_param(f"{name} must be a whole number.") from error
        return max(lowest, min(highest, number))

    def query_flag(self, name: str) -> bool:
        """Whether a parameter of the query says ``true``."""
        return self.query_text(name) == "true"

    def query_choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of several words; ``M_MISSING_PARAM`` without a default, ``M_INVALID_PARAM`` for any other word."""
        value = self.query_text(name, default)
        if value is None:
            raise missing_param(f"{name} is missing: one of {', '.join(choices)}.")
        if value not in choices:
            raise invalid_param(f"{name} must be one of {', '.join(choices)}.")
        return value
