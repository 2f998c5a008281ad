"""How an endpoint is declared: one decorator that says its paths, who may ask, and what restricted users may do.

A controller is Litestar's own. Its needs are annotated class attributes that ``bind`` fills in when the application is
put together, so that a controller says what it needs and sees nothing else:

    class Whoami(Controller):
        accounts: Accounts

        @endpoint("GET", "/_matrix/client/v3/account/whoami", guests=True)
        async def whoami(self, request: Asked) -> ASGIApp:
            '''GET /_matrix/client/v3/account/whoami

            Answers the user, device and guest status behind an access token.
            '''

Every path is spelled with Litestar's typed parameters (``{room_id:str}``). A percent-encoded slash in a parameter
arrives decoded.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, Literal

from litestar import Controller
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from appliance.server.requester import Access, Limit

Method = Literal["GET", "POST", "PUT", "DELETE", "HEAD"]
MAX_BODY = 1024 * 1024
"""Bytes of a request's body unless the declaration says otherwise; an event's limit is far below."""
_PARAMETER = re.compile(rb"{([A-Za-z_]+):")


class Declaration(Struct, frozen=True, kw_only=True):
    """What an endpoint declares; read by the authentication, the limits and the outer wrapper.

    Args:
        method: the HTTP method.
        paths: every path, stable ones first, with Litestar's typed parameters.
        access: who may ask.
        guests: whether guests may ask.
        locked: whether a locked user may still ask (logout).
        suspended: whether a suspended user may ask (reading; never writing).
        limit: the bucket of the rate limits.
        max_body: the most bytes that the body may have.
        page: whether it is a page for a browser rather than an endpoint for a program.
        sometimes: parameters that some of the paths have and others have not; Litestar would look for one that the
            path does not have in the query.
    """

    method: Method
    paths: tuple[str, ...]
    access: Access
    guests: bool
    locked: bool
    suspended: bool
    limit: Limit
    max_body: int
    page: bool = False
    sometimes: frozenset[bytes] = frozenset()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Declaration":
        """The same: Litestar copies handlers again and again, and nothing in here ever changes."""
        return self


def endpoint(
    method: Method,
    *paths: str,
    access: Access = Access.USER,
    guests: bool = False,
    locked: bool = False,
    suspended: bool | None = None,
    limit: Limit | None = None,
    max_body: int = MAX_BODY,
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Make a controller's method the handler of an endpoint.

    Args:
        method: the HTTP method.
        paths: every path that leads here, stable ones first, unstable ones after.
        access: who may ask; a user with an access token unless said otherwise.
        guests: whether guest users may ask.
        locked: whether a locked user may ask.
        suspended: whether a suspended user may ask; by default what only reads.
        limit: the bucket of the rate limits; by default that of reading or of writing, and none for other servers.
        max_body: the most bytes that the body may have.

    Raises:
        ValueError: where the docstring does not begin with the method and one of the paths' endpoint.
    """
    if limit is None:
        limit = Limit.NONE if access is Access.SERVER else Limit.READ if method == "GET" else Limit.WRITE
    declaration = Declaration(
        method=method,
        paths=paths,
        access=access,
        guests=guests,
        locked=locked,
        suspended=method == "GET" if suspended is None else suspended,
        limit=limit,
        max_body=max_body,
        sometimes=_sometimes(paths),
    )
    return _handler(declaration)


def page(
    method: Method,
    *paths: str,
    limit: Limit = Limit.NONE,
    max_body: int = 64 * 1024,
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Make a controller's method the handler of a page for a browser.

    Pages know their visitor by a cookie of their own. The answer gets the headers of ``pages.PAGE_HEADERS`` unless the
    handler sets them itself, and no CORS headers.

    Args:
        method: the HTTP method.
        paths: every path that leads here.
        limit: the bucket of the rate limits, by address.
        max_body: the most bytes that a form may have.

    Raises:
        ValueError: where the docstring does not begin with the method and one of the paths.
    """
    return _handler(
        Declaration(
            method=method,
            paths=paths,
            access=Access.NOBODY,
            guests=True,
            locked=True,
            suspended=True,
            limit=limit,
            max_body=max_body,
            page=True,
            sometimes=_sometimes(paths),
        )
    )


def _sometimes(paths: tuple[str, ...]) -> frozenset[bytes]:
    each = [frozenset(_PARAMETER.findall(path.encode())) for path in paths]
    return frozenset[bytes]().union(*each) - each[0].intersection(*each)


def _handler(declaration: Declaration) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    def decorate(function: Callable[..., Any]) -> HTTPRouteHandler:
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        if not first_line.startswith(f"{declaration.method} /"):
            raise ValueError(f"{function.__qualname__}: the docstring begins with the method and the path.")
        return HTTPRouteHandler(
            path=list(declaration.paths),
            http_method=declaration.method,
            status_code=200,
            opt={"declaration": declaration},
        )(function)

    return decorate


def bind(controller: type[Controller], **needs: Any) -> type[Controller]:
    """Give a controller what its annotated class attributes ask for.

    Args:
        controller: a Litestar controller class.
        needs: a value for every annotated attribute that has none.

    Returns:
        A subclass of its own for this application, so that two applications in one process do not share services.

    Raises:
        TypeError: where a need is missing, or something was given that the controller does not ask for.
    """
    wanted = {
        name
        for base in controller.__mro__
        if base not in Controller.__mro__
        for name in inspect.get_annotations(base)
        if not hasattr(controller, name)
    }
    if wanted != set(needs):
        raise TypeError(f"{controller.__name__} needs {sorted(wanted)}, was given {sorted(needs)}.")
    return type(controller.__name__, (controller,), {"__module__": controller.__module__, **needs})


def declaration_of(handler: HTTPRouteHandler) -> Declaration:
    """The declaration of a registered handler; KeyError where somebody registered one without ``endpoint``."""
    declaration: Declaration = handler.opt["declaration"]
    return declaration
