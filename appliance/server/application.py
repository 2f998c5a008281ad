"""The Litestar application: controllers, who may ask them, what becomes of errors; and the outer wrapper around it."""

import gc
import warnings
from collections.abc import Sequence
from typing import Any

from litestar import Controller, Litestar, Router
from litestar.exceptions import LitestarDeprecationWarning
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from appliance.server.authentication import Authentication, NoSignedRequests, Sessions, SignedRequests
from appliance.server.clients import ClientAddresses
from appliance.server.endpoints import MAX_BODY, Declaration, declaration_of
from appliance.server.errors_mapping import answer_exception
from appliance.server.gate import Gate
from appliance.server.limits import Limits
from appliance.server.outer import Outer
from appliance.server.paths import SlashedPaths
from appliance.server.request import Asked
from appliance.server.shortcuts import Shortcuts
from appliance.settings import Settings

STATIC = "/static"


def build_application(
    controllers: Sequence[type[Controller] | Router],
    *,
    settings: Settings,
    sessions: Sessions,
    gate: Gate,
    limits: Limits,
    signed: SignedRequests | None = None,
) -> Outer:
    """Everything between the listeners and the services.

    Args:
        controllers: bound controllers (``endpoints.bind``), and routers for static files under ``/static``.
        settings: for the trusted proxies.
        sessions: access tokens.
        gate: what is let through before anything is routed.
        limits: rate limits.
        signed: signed requests of other servers; without it they are refused.

    Raises:
        TypeError: where a route has no declaration.
    """
    authentication = Authentication(sessions, signed or NoSignedRequests(), limits)
    litestar = build_litestar(controllers, authentication)
    declared = declarations(litestar)
    largest = max((declaration.max_body for declaration in declared), default=MAX_BODY)
    slashed = SlashedPaths(path for declaration in declared for path in declaration.paths)
    return Outer(
        litestar,
        gate=gate,
        clients=ClientAddresses(settings),
        max_body=largest,
        slashed=slashed,
        shortcut=Shortcuts(litestar, authentication),
    )


class _Bare(Litestar):
    """Litestar without the plugins that it loads by itself where their libraries are installed: Piccolo brings
    pydantic, which nothing here uses, and loading that takes a sixth of the start and several megabytes.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class _Everything(Router):
    """All routes. Litestar copies what is registered, all that hangs on it included; this is registered once."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Everything":
        """The same."""
        return self


def build_litestar(controllers: Sequence[type[Controller] | Router], authentication: Authentication) -> Litestar:
    """Litestar with nothing that we do not use.

    Raises:
        TypeError: where a route has no declaration.
    """
    # Litestar goes through all routes again for each thing that is registered with it, so it is given one.
    everything = _Everything("/", route_handlers=list[ControllerRouterHandler](controllers))
    collecting = gc.isenabled()
    gc.disable()  # registering makes a great many objects, all of which stay: looking for garbage takes a third longer
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LitestarDeprecationWarning)  # on path parameters without `FromPath`
            litestar = _Bare(
                [everything],
                debug=False,
                openapi_config=None,
                logging_config=None,
                request_class=Asked,
                request_max_body_size=None,  # each endpoint declares its own
                middleware=[authentication.middleware],
                exception_handlers={Exception: answer_exception},
            )
    finally:
        if collecting:
            gc.enable()
    declarations(litestar)
    return litestar


def declarations(litestar: Litestar) -> list[Declaration]:
    """What all endpoints and pages declare, each once, in the order of their paths.

    Raises:
        TypeError: where a route outside ``/static`` has no declaration.
    """
    found: dict[Declaration, None] = {}
    for route in sorted(litestar.routes, key=lambda route: route.path):
        if route.path.startswith(STATIC):
            continue
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else []
        declared = [handler for handler in handlers if not _is_options(handler)]
        if not declared or any("declaration" not in handler.opt for handler in declared):
            raise TypeError(f"{route.path} has no declaration: use endpoint() or page().")
        found.update(dict.fromkeys(map(declaration_of, declared)))
    return list(found)


def _is_options(handler: HTTPRouteHandler) -> bool:
    """Whether Litestar added this one by itself; the outer wrapper answers before it is reached."""
    return set(handler.http_methods) == {"OPTIONS"}
