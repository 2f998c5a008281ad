"""The outermost ASGI application: what holds for every request, whatever it asks for and whether or not it is routed.

In this order: who is at the other end, the path (``%2F`` as data), ``OPTIONS``, the listener's gate, a body that is
announced too large, Litestar. Around it: CORS, ``HEAD``, one line in the log, and an answer for what was not foreseen.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar.types import ASGIApp, Receive, Scope, Send

from appliance.errors import MatrixError, too_large, unrecognized
from appliance.server.answers import Answer
from appliance.server.clients import ClientAddresses
from appliance.server.errors_mapping import as_matrix_error, refusal
from appliance.server.gate import Gate
from appliance.server.log import LineHandler
from appliance.server.paths import BadPathError, SlashedPaths, present, route_path
from appliance.server.plan import Listener
from appliance.server.request import announced_length
from appliance.server.waiting import end_watch

log = logging.getLogger("hearth.request")

MATRIX = ("/_matrix/", "/.well-known/matrix/")
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization"),
)
"""What browsers want to see; client-server API, section "Web browser clients"."""
_LOGGED_PATH = 500


Shortcut = Callable[[Scope, Receive, Send], Awaitable[ASGIApp | None]]
"""Gives the answer to a request, or None where it is Litestar's; raises what Litestar would have mapped."""


class Outer:
    """The application that the listeners run.

    Args:
        app: Litestar.
        gate: what is let through.
        clients: finds client addresses.
        max_body: the most bytes that any endpoint takes; more is refused before it is routed.
        slashed: the paths that may end with a slash.
        shortcut: answers what need not go through Litestar.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        clients: ClientAddresses,
        max_body: int,
        slashed: SlashedPaths,
        shortcut: Shortcut,
    ) -> None:
        self._app = app
        self._shortcut = shortcut
        self._gate = gate
        self._clients = clients
        self._max_body = max_body
        self._slashed = slashed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = cast("dict[str, Any]", scope)
        if request["type"] != "http":
            return
        started = request["started"] = time.perf_counter()
        request_id = request["request_id"] = f"{random.getrandbits(32):08x}"
        method: str = request["method"]
        sent = Sent(send, cors=request["path"].startswith(MATRIX), head=method == "HEAD")
        try:
            response: ASGIApp | None = self._prepare(request, sent)
            response = response or await self._shortcut(scope, receive, sent) or self._app
            await response(scope, receive, sent)
        except asyncio.CancelledError:
            log.warning("A request is cut off because the server ends.", extra={"fields": {"request": request_id}})
        except Exception as error:
            if sent.status:
                log.error("A request failed after its answer had begun.", exc_info=error)
                raise
            await refusal(as_matrix_error(error, request_id))(scope, receive, sent)
        finally:
            end_watch(request)
            _log_line(request, method, sent, time.perf_counter() - started)

    def _prepare(self, scope: dict[str, Any], sent: "Sent") -> Answer | None:
        """Put the scope in order; the answer, if this request ends here."""
        headers = scope["headers"]
        peer = scope["client"]
        address, scheme = self._clients.find(peer[0] if peer else "", headers)
        scope["address"] = address
        scope["client"] = (address, int(peer[1]) if peer else 0)
        if scheme is not None:
            scope["scheme"] = scheme
        raw_path: bytes = scope["raw_path"]
        try:
            path = route_path(scope["path"], raw_path)
        except BadPathError:
            return refusal(MatrixError("M_UNRECOGNIZED", "This is not a path that a server could know.", 400))
        scope["path"] = path = present(path)
        sent.cors = matrix = path.startswith(MATRIX)
        if scope["method"] == "OPTIONS":
            return Answer(b"", 204)
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        listener: Listener = scope["listener"]
        query: bytes = scope["query_string"]
        stopped = self._gate.stop(listener, path, raw_path + b"?" + query if query else raw_path)
        if stopped is not None:
            return stopped
        if matrix and self._slashed.is_misspelt(path):
            return refusal(unrecognized())
        if (announced_length(headers) or 0) > self._max_body:
            return refusal(too_large(f"A request may have at most {self._max_body} bytes."))
        return None


class Sent:
    """A ``send`` that adds what every answer has and remembers what the log says.

    Args:
        send: the server's.
        cors: whether CORS headers are added.
        head: whether the body is held back.
    """

    __slots__ = ("_head", "_send", "cors", "length", "status")

    def __init__(self, send: Send, *, cors: bool, head: bool) -> None:
        self._send = send
        self._head = head
        self.cors = cors
        self.status = 0
        self.length = 0

    async def __call__(self, message: Any) -> None:
        """Send one ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.cors:
                message = {**message, "headers": [*message.get("headers", ()), *CORS]}
        elif message["type"] == "http.response.body":
            self.length += len(message.get("body", b""))
            if self._head:
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": b"", "more_body": False}
        elif self._head:
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


def _log_line(scope: dict[str, Any], method: str, sent: Sent, seconds: float) -> None:
    """One line for one request: never the query, a token, or what was said."""
    level = logging.DEBUG if scope["path"] == "/health" else logging.INFO
    if not log.isEnabledFor(level):
        return
    requester = scope.get("requester")
    who = "" if requester is None else requester.user_id or requester.server
    kind = "user" if requester is not None and requester.user_id else "server"
    said = (
        method,
        scope["raw_path"],
        sent.status,
        seconds,
        sent.length,
        scope["request_id"],
        scope.get("address", ""),
        who,
        kind,
    )
    handlers = logging.root.handlers
    if level == logging.INFO and len(handlers) == 1 and isinstance(handlers[0], LineHandler):
        handlers[0].info("request", "request", _fields, *said)
    else:
        log.log(level, "request", extra={"fields": _fields(*said)})


def _fields(
    method: str, path: bytes, status: int, seconds: float, length: int, number: str, address: str, who: str, kind: str
) -> dict[str, Any]:
    """What the log says of a request; ``who`` asked is a user or a server, if that is known."""
    fields = {
        "method": method,
        "path": path[:_LOGGED_PATH].decode("ascii", "backslashreplace"),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "bytes": length,
        "request": number,
        "address": address,
    }
    if who:
        fields[kind] = who
    return fields
