"""Where a server is (server-server API, "Resolving server names"): by its name to hosts and ports, and to the name that
its certificate must be for.
"""

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson
from msgspec import Struct

from appliance.federation.addresses import is_address
from appliance.federation.failures import Unreachable
from appliance.federation.memory import Clock, Once
from appliance.federation.resolver import Resolver
from appliance.protocol.identifiers import is_server_name
from appliance.settings import host_of
from appliance.storage.lru import Lru

PORT = 8448
SERVICES = ("_matrix-fed._tcp", "_matrix._tcp")
"""The registered one, then the deprecated one."""
HOUR = 3600.0
DEFAULT, LONGEST, SHORTEST = 24 * HOUR, 48 * HOUR, 300.0
"""Seconds for which a good well-known is kept: without cache headers, at most, at least."""
FIRST_ERROR, LONGEST_ERROR = 120.0, HOUR
"""Seconds for which a bad one is: at first, and after doublings."""
MAX_WELL_KNOWN = 50 * 1024
"""Bytes of a well-known file, which holds one name."""
KEPT = 4096
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,10})", re.IGNORECASE)


class Route(Struct, frozen=True):
    """How to reach a server.

    Args:
        host_header: what the header ``Host`` says.
        tls_name: the name or address that the certificate must be for; v6 without brackets.
        doors: hosts (names, or addresses without brackets) and ports, in the order in which to try them.
    """

    host_header: str
    tls_name: str
    doors: tuple[tuple[str, int], ...]


class Page(Struct, frozen=True):
    """The answer to a request for a well-known file, redirects followed.

    Args:
        status: the HTTP status.
        headers: names in lower case.
        body: the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Gets a file by HTTPS."""

    def __call__(self, host: str, path: str, *, max_bytes: int) -> Awaitable[Page]:
        """The answer at ``https://host/path``; raises ``Unreachable``."""
        ...


class _Known(Struct):
    """What a host's well-known said when it was last asked.

    Args:
        server: the name that it delegates to; "" for none.
        until: the time at which to ask again.
        good_until: up to when the name may be used although asking again fails.
        failures: failures in a row.
    """

    server: str
    until: float
    good_until: float
    failures: int = 0


class Discovery:
    """Finds servers.

    Args:
        resolver: for SRV records.
        fetch: for well-known files.
        clock: the time in seconds.
        spread: a factor on the time for which something is kept, so that not all ends at once.
    """

    def __init__(
        self,
        resolver: Resolver,
        fetch: Fetch,
        clock: Clock = time.monotonic,
        spread: Callable[[], float] = lambda: random.uniform(0.9, 1.0),  # noqa: S311
    ) -> None:
        self._resolver = resolver
        self._fetch = fetch
        self._clock = clock
        self._spread = spread
        self._known: Lru[str, _Known] = Lru(KEPT)
        self._asking: Once[str, str] = Once()

    async def find(self, server_name: str) -> Route:
        """The way to a server.

        Raises:
            Unreachable: for what is no server name.
        """
        if not is_server_name(server_name):
            raise Unreachable("This is not the name of a server.", local=True)
        host, port = split(server_name)
        if port is not None and not 0 < port < 65536:
            raise Unreachable(f"{server_name} names a port that there is not.", local=True)
        if is_address(host) or port is not None:
            return _straight(server_name, host, port)
        delegated = await self.delegated(host)
        if not delegated:
            return await self._by_services(host, host)
        host, port = split(delegated)
        if is_address(host) or port is not None:
            return _straight(delegated, host, port)
        return await self._by_services(host, delegated)

    async def delegated(self, host: str) -> str:
        """The server name in a host's well-known file; "" where there is no good one."""
        host = host.lower()
        known = self._known.get(host)
        if known is not None and known.until > self._clock():
            return known.server
        return await self._asking.do(host, lambda: self._ask(host))

    def doubt(self, server_name: str) -> None:
        """Forget what could not be found out about a server while it was away: it is back, perhaps at another place."""
        if not is_server_name(server_name):
            return
        host = split(server_name)[0].lower()
        known = self._known.get(host)
        if known is not None and known.failures:
            known.until = self._clock()
        for name in {host, host if known is None or not known.server else split(known.server)[0].lower()}:
            self._resolver.doubt(SERVICES, name)

    async def _by_services(self, host: str, header: str) -> Route:
        for kind in SERVICES:
            found = await self._resolver.services(kind, host)
            if found:
                return Route(header, host, tuple((service.host, service.port) for service in found))
        return Route(header, host, ((host, PORT),))

    async def _ask(self, host: str) -> str:
        now, known = self._clock(), self._known.get(host)
        try:
            page = await self._fetch(host, "/.well-known/matrix/server", max_bytes=MAX_WELL_KNOWN)
            server = _server(page)
        except Unreachable:
            page, server = None, ""
        if page is not None and server:
            seconds = max(SHORTEST, min(LONGEST, _lifetime(page.headers))) * self._spread()
            self._known.put(host, _Known(server, now + seconds, now + LONGEST))
            return server
        failures = 0 if known is None else known.failures
        seconds = min(LONGEST_ERROR, FIRST_ERROR * 2.0 ** min(failures, 10)) * self._spread()
        # A host that was good and cannot be asked at the moment is believed a while longer; one that has withdrawn
        # its file is not.
        if page is None and known is not None and known.good_until > now:
            self._known.put(host, _Known(known.server, now + seconds, known.good_until, failures + 1))
            return known.server
        self._known.put(host, _Known("", now + seconds, now, failures + 1))
        return ""


def split(server_name: str) -> tuple[str, int | None]:
    """The host of a server name, v6 without brackets, and its port if it names one."""
    host = host_of(server_name)
    rest = server_name[len(host) + 2 :] if server_name.startswith("[") else server_name[len(host) :]
    return host, int(rest[1:]) if rest.startswith(":") else None


def _straight(header: str, host: str, port: int | None) -> Route:
    return Route(header, host, ((host, PORT if port is None else port),))


def _server(page: Page) -> str:
    """The name in a well-known file; "" where the file is not good."""
    if page.status != 200:
        return ""
    try:
        content = orjson.loads(page.body)
    except orjson.JSONDecodeError:
        return ""
    server = content.get("m.server") if isinstance(content, dict) else None
    if not isinstance(server, str) or not is_server_name(server):
        return ""
    port = split(server)[1]
    return server if port is None or 0 < port < 65536 else ""


def _lifetime(headers: Mapping[str, str]) -> float:
    """The seconds for which an answer may be kept, by its ``Cache-Control``."""
    control = headers.get("cache-control", "")
    if re.search(r"\bno-(?:store|cache)\b", control, re.IGNORECASE):
        return 0.0
    found = _MAX_AGE.search(control)
    return float(found[1]) if found else DEFAULT
