"""The short way from a path to its handler."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.server.answers import answer
from appliance.server.application import build_litestar
from appliance.server.authentication import Authentication, NoSignedRequests
from appliance.server.endpoints import endpoint, page
from appliance.server.limits import Limits
from appliance.server.paths import SLASH
from appliance.server.request import Asked
from appliance.server.requester import Access
from appliance.server.shortcuts import Shortcuts
from appliance.settings import Settings


class Sample(Controller):
    """Endpoints of every kind."""

    @endpoint("GET", "/_matrix/a", access=Access.NOBODY)
    async def plain(self, request: Asked) -> ASGIApp:
        """GET /_matrix/a"""
        return answer()

    @endpoint("GET", "/_matrix/a/{one:str}/b", "/_matrix/old/{one:str}/b", access=Access.NOBODY)
    async def with_parameter(self, request: Asked, one: str) -> ASGIApp:
        """GET /_matrix/a/{one}/b"""
        return answer()

    @endpoint("PUT", "/_matrix/a/{one:str}/{two:str}", access=Access.NOBODY)
    async def with_two(self, request: Asked, one: str, two: str) -> ASGIApp:
        """PUT /_matrix/a/{one}/{two}"""
        return answer()

    @endpoint("GET", "/_matrix/s", "/_matrix/s/{key:str}", access=Access.NOBODY)
    async def sometimes(self, request: Asked, key: str = "") -> ASGIApp:
        """GET /_matrix/s/{key}"""
        return answer()

    @page("GET", "/page")
    async def seen(self, request: Asked) -> ASGIApp:
        """GET /page"""
        return answer()


class NoSessions:
    """Nobody is logged in."""

    def authenticate(self, token: str) -> None:
        """Nobody."""

    def seen(self, session_id: int, address: str) -> None:
        """Nothing."""


def test_what_is_found_and_what_is_left_to_litestar() -> None:
    """Endpoints that ask for the request and text in their path are found; anything else is not."""
    authentication = Authentication(NoSessions(), NoSignedRequests(), Limits(Settings()))
    shortcuts = Shortcuts(build_litestar([Sample], authentication), authentication)

    def find(method: str, path: str) -> tuple[str, dict[str, str]] | None:
        found = shortcuts.find(method, path)
        return None if found is None else (found[0].handler.handler_name, found[1])

    assert find("GET", "/_matrix/a") == ("plain", {})
    assert find("GET", "/_matrix/a/x/b") == find("GET", "/_matrix/old/x/b") == ("with_parameter", {"one": "x"})
    assert find("PUT", "/_matrix/a/x/y") == ("with_two", {"one": "x", "two": "y"})
    assert find("PUT", f"/_matrix/a/x{SLASH}y/z") == ("with_two", {"one": "x/y", "two": "z"})
    for method, path in (
        ("PUT", "/_matrix/a"),
        ("GET", "/_matrix/a/"),
        ("GET", "/_matrix/a//b"),
        ("GET", "/_matrix/a/x/c"),
        ("GET", "/_matrix/a/x/b/c"),
        ("GET", "/_matrix/s"),
        ("GET", "/_matrix/s/x"),
        ("GET", "/page"),
        ("GET", "/"),
        ("GET", ""),
    ):
        assert find(method, path) is None, path


def test_nothing_is_loaded_that_is_not_used() -> None:
    """Litestar looks for libraries and loads what it has for them; that is a good part of the time of a start."""
    litestar = build_litestar([Sample], Authentication(NoSessions(), NoSignedRequests(), Limits(Settings())))
    found = [type(plugin).__module__ for plugin in litestar.plugins]
    assert found
    assert not [module for module in found if "pydantic" in module or "attrs" in module]
