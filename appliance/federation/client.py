"""Asking other servers: signed requests with JSON in both directions, and files by HTTPS.

Everything that comes back is bounded in size and time. h11 and TLS are loaded by ``prepare``, or else at the first
request, so that a server that talks with nobody does not pay for them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urljoin, urlsplit

from msgspec import Struct

from appliance.federation.discovery import Discovery, Page, Route
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.keys import ServerIdentity
from appliance.federation.policy import Policy
from appliance.federation.resolver import Resolver
from appliance.protocol import canonical
from appliance.protocol.x_matrix import authorization
from appliance.settings import Settings, host_of
from appliance.version import VERSION

if TYPE_CHECKING:
    from appliance.federation.pools import Pools
    from appliance.federation.wire import Reply

__all__ = ["FederationClient", "Json", "Refused", "Unreachable", "path_of"]

Json = dict[str, Any]
Query = Mapping[str, str | int | Sequence[str] | None]

TIMEOUT = 30.0
"""Seconds for a whole request, discovery and body included, unless said otherwise."""
MAX_BYTES = 10 * 1024 * 1024
"""Bytes of an answer, unless said otherwise."""
MAX_DEPTH = 100
"""Levels of JSON in an answer, unless said otherwise."""
MAX_REFUSAL = 64 * 1024
"""Bytes of an answer that is a refusal."""
MAX_SENTENCE = 300
"""Characters of another server's own words that are kept."""
REDIRECTS = 5
"""That are followed for a well-known file."""
FILE_SECONDS = 10.0
"""For a well-known file, with all its redirects."""
_AGENT = f"Hearth/{VERSION}".encode()


class Watch(Protocol):
    """Whoever wants to know how requests go (``standing.py``)."""

    def before(self, destination: str) -> None:
        """Called before a request; raises ``Unreachable`` where it is not to be sent now."""
        ...

    def after(self, destination: str, failure: str, rest_ms: int = 0) -> None:
        """Called after one, with what went wrong in plain words, or "" where the server answered; ``rest_ms`` is how
        long it asks to be left alone, if it does.
        """
        ...


class _Ask(Struct, frozen=True):
    """A request as it is sent."""

    method: str
    target: str
    body: bytes
    authorization: str


class FederationClient:
    """Asks other servers.

    Args:
        settings: how to reach others.
        identity: who signs.
        policy: whom to ask.

    Attributes:
        watch: who wants to know how requests go.
    """

    def __init__(self, settings: Settings, identity: ServerIdentity, policy: Policy) -> None:
        self._settings = settings
        self._identity = identity
        self._policy = policy
        self.resolver = Resolver(settings)
        self.discovery = Discovery(self.resolver, self.fetch)
        self.watch: Watch | None = None
        self._pools: Pools | None = None
        self._loading: asyncio.Future[None] | None = None

    async def request(
        self,
        destination: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: Json | bytes | None = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - of the whole, as callers mean it
        max_bytes: int = MAX_BYTES,
        signed: bool = True,
        urgent: bool = False,
        deep: bool = False,
    ) -> Json:
        """Ask a server something and give the JSON object that it answers.

        Args:
            destination: the server's name.
            method: the HTTP method.
            path: made by ``path_of``.
            query: parameters; None leaves one out, a list sends it several times.
            content: the body: an object, or bytes that are canonical JSON already.
            timeout: seconds for everything.
            max_bytes: the most that the answer may have.
            signed: whether the request is signed.
            urgent: whether to ask although the server is being left alone after failures.
            deep: whether the answer may be nested as deep as can be, as events in it are bounded one by one.

        Raises:
            Unreachable: where no good answer came; the sentence says why.
            Refused: where the answer was no.
        """
        ask = self._ask(destination, method, path, query, content, signed)
        with self._watched(destination, urgent, watched=signed):
            try:
                async with asyncio.timeout(timeout):
                    return await self._asked(destination, ask, max_bytes, canonical.DEEPEST if deep else MAX_DEPTH)
            except TimeoutError as error:
                raise Unreachable(f"It did not answer within {timeout:g} seconds.") from error

    @asynccontextmanager
    async def stream(
        self,
        destination: str,
        path: str,
        *,
        query: Query | None = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109
    ) -> AsyncIterator[tuple[Mapping[str, str], AsyncIterator[bytes]]]:
        """Ask a server for what is not JSON; inside, the headers are there and the body can be read piece by piece.

        Whoever reads counts the bytes and minds the time.

        Args:
            destination: the server's name.
            path: made by ``path_of``.
            query: parameters.
            timeout: seconds until the answer begins.

        Raises:
            Unreachable: where no good answer came, also while the body is read.
            Refused: where the answer was no.
        """
        ask = self._ask(destination, "GET", path, query, None, True)
        with self._watched(destination, False):
            try:
                async with asyncio.timeout(timeout) as limit:
                    route = await self._found(destination)
                    async with self._exchange(route, ask) as (reply, pieces):
                        if reply.status != 200:
                            raise _refusal(reply, await _whole(pieces, MAX_REFUSAL))
                        limit.reschedule(None)
                        yield reply.headers, pieces
            except TimeoutError as error:
                raise Unreachable(f"It did not answer within {timeout:g} seconds.") from error

    async def fetch(self, host: str, path: str, *, max_bytes: int) -> Page:
        """A file by HTTPS, without a signature, redirects followed: a well-known file.

        Raises:
            Unreachable: where no answer came.
        """
        url = f"https://{host}{path}"
        try:
            async with asyncio.timeout(FILE_SECONDS):
                for _ in range(REDIRECTS + 1):
                    page = await self._get(url, max_bytes)
                    location = page.headers.get("location", "")
                    if page.status not in (301, 302, 303, 307, 308) or not location:
                        return page
                    url = _redirected(url, location)
        except TimeoutError as error:
            raise Unreachable(f"{host} did not answer within {FILE_SECONDS:g} seconds.") from error
        raise Unreachable(f"{host} redirects again and again.")

    def prepare(self) -> None:
        """Have at hand what asks others, so that the first who wants to join a room need not wait for it."""
        self.resolver.prepare()
        self._loading = asyncio.ensure_future(asyncio.to_thread(_load))

    def close(self) -> None:
        """Let go of the connections."""
        if self._pools is not None:
            self._pools.close()

    # Steps -------------------------------------------------------------------------------------------------------

    def _ask(
        self, destination: str, method: str, path: str, query: Query | None, content: Json | bytes | None, signed: bool
    ) -> _Ask:
        target = path + _query(query)
        body = content if isinstance(content, bytes) else None if content is None else canonical.encode(content)
        line = ""
        if signed:
            here = self._identity.server_name
            line = authorization(method, target, here, destination, body, self._identity.key)
        return _Ask(method, target, body or b"", line)

    @contextmanager
    def _watched(self, destination: str, urgent: bool, *, watched: bool = True) -> Iterator[None]:
        """See that a server may be asked, and tell the watch how it went.

        Of what is asked without a signature (keys) it is told nothing: anybody can make us ask servers that there are
        not for their keys.
        """
        self._policy.may_ask(destination)
        watch = self.watch if watched else None
        if watch is None:
            yield
            return
        if not urgent:
            watch.before(destination)
        try:
            yield
        except Unreachable as error:
            if not error.local:
                watch.after(destination, error.sentence)
            raise
        except Refused as error:
            words = f"It answered {error.status}: {error.error}" if error.is_fault else ""
            watch.after(destination, words, int((error.retry_after or 0) * 1000))
            raise
        else:
            watch.after(destination, "")

    async def _asked(self, destination: str, ask: _Ask, max_bytes: int, max_depth: int) -> Json:
        route = await self._found(destination)
        async with self._exchange(route, ask) as (reply, pieces):
            good = 200 <= reply.status < 300
            body = await _whole(pieces, max_bytes if good else MAX_REFUSAL)
        if not good:
            raise _refusal(reply, body)
        try:
            answer = canonical.decode(body, max_depth=max_depth)
        except ValueError as error:
            raise Unreachable("What it answered is no good JSON.") from error
        if isinstance(answer, list) and len(answer) == 2 and answer[0] == 200 and isinstance(answer[1], dict):
            return answer[1]  # the old form of version 1 of send_join and the like
        if not isinstance(answer, dict):
            raise Unreachable("What it answered is JSON, but not an object.")
        return answer

    async def _found(self, destination: str) -> Route:
        return await self.discovery.find(destination)

    def _exchange(self, route: Route, ask: _Ask) -> AbstractAsyncContextManager[tuple["Reply", AsyncIterator[bytes]]]:
        headers = [(b"host", route.host_header.encode()), (b"user-agent", _AGENT), (b"accept", b"application/json")]
        if ask.authorization:
            headers.append((b"authorization", ask.authorization.encode("latin-1")))
        if ask.method in ("PUT", "POST"):
            headers.append((b"content-length", str(len(ask.body)).encode()))
            headers.append((b"content-type", b"application/json"))
        return self._explained(route, ask, headers)

    @asynccontextmanager
    async def _explained(
        self, route: Route, ask: _Ask, headers: Sequence[tuple[bytes, bytes]]
    ) -> AsyncIterator[tuple["Reply", AsyncIterator[bytes]]]:
        from appliance.federation.wire import Broken

        try:
            async with self._pool().exchange(route, ask.method, ask.target.encode(), headers, ask.body) as found:
                yield found
        except Broken as error:
            raise Unreachable(error.sentence) from error

    async def _get(self, url: str, max_bytes: int) -> Page:
        parts = urlsplit(url)
        try:
            host, port = host_of(parts.netloc), parts.port or 443
        except ValueError as error:
            raise Unreachable(f"{url[:MAX_SENTENCE]} is no good address.") from error
        route = Route(parts.netloc, host, ((host, port),))
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
        async with self._exchange(route, _Ask("GET", target, b"", "")) as (reply, pieces):
            return Page(reply.status, reply.headers, await _whole(pieces, max_bytes))

    def _pool(self) -> "Pools":
        if self._pools is None:
            from appliance.federation.pools import Pools
            from appliance.federation.wire import Doors

            self._pools = Pools(Doors(self._settings, self.resolver))
        return self._pools


def _load() -> None:
    import appliance.federation.pools
    import appliance.federation.wire  # noqa: F401


def path_of(*segments: str) -> str:
    """A path below ``/_matrix/``, each segment encoded: ``path_of("federation", "v1", "event", event_id)``."""
    return "/_matrix/" + "/".join(quote(segment, safe="") for segment in segments)


def _query(query: Query | None) -> str:
    if not query:
        return ""
    pairs = [
        (name, one)
        for name, value in query.items()
        for one in ([] if value is None else [value] if isinstance(value, str | int) else value)
    ]
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads: to HTTPS and nowhere else."""
    try:
        led = urlsplit(urljoin(url, location))
    except ValueError:
        led = urlsplit("")
    if led.scheme != "https" or not led.netloc or "@" in led.netloc or not led.netloc.isascii():
        raise Unreachable("It redirects to what is no HTTPS.")
    return led.geturl()


async def _whole(pieces: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """The whole body of an answer, within a limit."""
    found: list[bytes] = []
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise Unreachable(f"Its answer has more than the {max_bytes} bytes that this may have.")
        found.append(piece)
    return b"".join(found)


def _refusal(reply: "Reply", body: bytes) -> Refused:
    try:
        content = canonical.decode(body, max_depth=MAX_DEPTH)
    except ValueError:
        content = None
    fields = content if isinstance(content, dict) else {}
    errcode, error = fields.get("errcode"), fields.get("error")
    retry = reply.headers.get("retry-after", "")
    wait = float(retry) if retry.isascii() and retry.isdigit() and len(retry) < 9 else None
    milliseconds = fields.get("retry_after_ms")
    if wait is None and isinstance(milliseconds, int) and 0 <= milliseconds < 10**12:
        wait = milliseconds / 1000
    return Refused(
        reply.status,
        errcode[:MAX_SENTENCE] if isinstance(errcode, str) and errcode else "M_UNKNOWN",
        error[:MAX_SENTENCE] if isinstance(error, str) and error else "It gave no reason.",
        wait,
    )
