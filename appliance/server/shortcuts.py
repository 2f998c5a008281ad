"""The shortest way from a path to its handler, for endpoints that ask for nothing but the request and their path.

That is nearly all of Matrix. Litestar makes the controllers and the handlers, and answers whatever is not found here:
pages, static files, wrong paths and wrong methods. What it does for each request besides costs as much as a sync that
has nothing to tell.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from appliance.server.authentication import Authentication
from appliance.server.endpoints import Declaration, declaration_of
from appliance.server.paths import SLASH
from appliance.server.request import Asked

_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PARAMETER = re.compile(r"\{(\w+):str\}")


class Shortcut(Struct, frozen=True):
    """A handler, its controller's method, what it declares, and the names of its path's parameters in their order."""

    handler: HTTPRouteHandler
    call: Callable[..., Awaitable[ASGIApp]]
    declaration: Declaration
    names: tuple[str, ...]


class _Node:
    """A place in the tree of path segments."""

    __slots__ = ("any", "ends", "named")

    def __init__(self) -> None:
        self.named: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.ends: dict[str, Shortcut] = {}


class Shortcuts:
    """Finds handlers by their paths.

    Args:
        litestar: with everything registered.
        authentication: says who asks.
    """

    def __init__(self, litestar: Litestar, authentication: Authentication) -> None:
        self._authentication = authentication
        self._root = _Node()
        for handler, path in _handlers(litestar):
            declaration = handler.opt.get("declaration")
            if declaration is not None and _is_plain(handler, declaration, path):
                self._add(path, Shortcut(handler, handler.fn, declaration, tuple(_PARAMETER.findall(path))))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> ASGIApp | None:
        """The answer to a request; None where it is for Litestar to give one.

        Raises:
            MatrixError: what authentication and handler raise.
        """
        request = cast("dict[str, Any]", scope)
        found = self.find(request["method"], request["path"])
        if found is None or not all(_is_host(value) for name, value in request["headers"] if name == b"host"):
            return None
        shortcut, parameters = found
        request["route_handler"] = shortcut.handler
        request["path_params"] = parameters
        request["requester"] = await self._authentication.admit(shortcut.declaration, request, receive)
        return await shortcut.call(request=Asked(scope, receive, send), **parameters)

    def find(self, method: str, path: str) -> tuple[Shortcut, dict[str, str]] | None:
        """The handler of a path and its parameters; None where it is for Litestar to say.

        Args:
            method: the HTTP method.
            path: as ``route_path`` makes it.
        """
        node = self._root
        values: list[str] = []
        for segment in path[1:].split("/"):
            next_node = node.named.get(segment)
            if next_node is None:
                if node.any is None or not segment:
                    return None
                next_node = node.any
                values.append(segment)
            node = next_node
        found = node.ends.get(method)
        if found is None or len(values) != len(found.names):
            return None
        if SLASH in path:
            values = [value.replace(SLASH, "/") for value in values]
        return found, dict(zip(found.names, values, strict=True))

    def _add(self, path: str, shortcut: Shortcut) -> None:
        node = self._root
        for segment in path[1:].split("/"):
            if _PARAMETER.fullmatch(segment):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.named.setdefault(segment, _Node())
        node.ends[shortcut.declaration.method] = shortcut


@functools.lru_cache(64)
def _is_host(value: bytes) -> bool:
    """Whether a ``Host`` header has the form of one beyond doubt; others Litestar looks at."""
    return _HOST.fullmatch(value) is not None


def _handlers(litestar: Litestar) -> Iterable[tuple[HTTPRouteHandler, str]]:
    for route in litestar.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if "declaration" in handler.opt:
                    for path in declaration_of(handler).paths:
                        if route.path_format == re.sub(r"\{(\w+):\w+\}", r"{\1}", path).rstrip("/"):
                            yield handler, path


def _is_plain(handler: HTTPRouteHandler, declaration: Declaration, path: str) -> bool:
    """Whether a handler asks for the request and for text in its path, and gives an ASGI application."""
    if declaration.page or declaration.sometimes or not path.startswith("/_matrix/"):
        return False
    signature = inspect.signature(handler.fn)
    names = set(_PARAMETER.findall(path))
    plain = "{" not in _PARAMETER.sub("", path)
    return plain and signature.return_annotation is ASGIApp and set(signature.parameters) == {"request", *names}
