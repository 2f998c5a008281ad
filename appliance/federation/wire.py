"""HTTP/1.1 to other servers: one connection, one request at a time, everything that comes back bounded.

h11 knows the protocol, asyncio the sockets and TLS. No redirect is followed here, nothing is decompressed, and what is
sent is sent byte for byte: other servers check a signature of it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import h11
from msgspec import Struct

from appliance.federation.addresses import is_address, is_public
from appliance.federation.discovery import SERVICES, Route
from appliance.federation.failures import Unreachable
from appliance.federation.resolver import Resolver
from appliance.settings import Settings

CONNECT_SECONDS = 5.0
"""For one address: TCP and TLS."""
MOST_TRIES = 8
"""Addresses of one server that are tried in turn."""
MAX_HEAD = 64 * 1024
"""Bytes of the status line and headers of an answer."""
UNKNOWN_ISSUERS = frozenset({2, 7, 18, 19, 20, 21})
"""OpenSSL's numbers for certificates whose root is not known, or another of the same name."""
_PIECE = 64 * 1024

Headers = Sequence[tuple[bytes, bytes]]


class Reply(Struct, frozen=True):
    """The beginning of an answer.

    Args:
        status: the HTTP status.
        headers: names in lower case; of doubles the last.
    """

    status: int
    headers: dict[str, str]


class Broken(Exception):  # noqa: N818 - says what the connection is
    """A connection ended or was no HTTP.

    Args:
        sentence: what happened, for a person.
        unheard: whether nothing at all had come back, so that on a connection that was used before the request may be
            sent again: the other side closed it before it heard.
    """

    def __init__(self, sentence: str, *, unheard: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.unheard = unheard


class Connection:
    """One connection to one server.

    Args:
        reader: what comes.
        writer: what goes.
    """

    __slots__ = ("_h11", "_heard", "_reader", "_writer", "idle_since")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._heard = False
        self.idle_since = 0.0

    async def begin(self, method: str, target: bytes, headers: Headers, body: bytes) -> Reply:
        """Send a request and hear the beginning of its answer.

        Raises:
            Broken: where the connection ended, or what came is no HTTP.
        """
        self._heard = False
        try:
            data = self._h11.send(h11.Request(method=method, target=target, headers=list(headers))) or b""
            if body:
                data += self._h11.send(h11.Data(data=body)) or b""
            data += self._h11.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise Broken(f"The request cannot be sent: {error}.") from error
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            pass  # it may have answered before it closed
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                found = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                return Reply(event.status_code, found)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body of the answer as it comes; raises ``Broken`` where it ends too early."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    def renew(self) -> bool:
        """Be ready for another request after an answer was heard to its end; whether that is possible."""
        try:
            self._h11.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return self.is_open and not self._h11.trailing_data[0]

    @property
    def is_open(self) -> bool:
        """Whether the other side has not closed it, as far as is known."""
        return not self._writer.is_closing() and not self._reader.at_eof()

    def close(self) -> None:
        """End it at once."""
        self._writer.transport.abort()

    async def _next(self) -> Any:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                if not self._heard:
                    raise Broken("It closed the connection before it answered.", unheard=True) from error
                raise Broken(f"What it answered is no good HTTP: {error}.") from error
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise Broken("It closed the connection in the middle of an answer.")
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self._reader.read(_PIECE)
            except OSError as error:  # ssl.SSLError too
                raise Broken(f"The connection broke: {error}.", unheard=not self._heard) from error
            self._heard = self._heard or bool(data)
            self._h11.receive_data(data)


class Doors:
    """Opens connections, to addresses that are allowed only, and to whoever has the right certificate.

    Args:
        settings: whether private addresses are allowed, and an extra root to trust.
        resolver: the addresses of hosts.
    """

    def __init__(self, settings: Settings, resolver: Resolver) -> None:
        self._settings = settings
        self._resolver = resolver
        self._context: tuple[str, ssl.SSLContext] | None = None
        self._has_all = False

    async def open(self, route: Route) -> Connection:
        """A new connection to a server.

        Raises:
            Unreachable: where none of its addresses answers as it should; the sentence is about the last one. Next time
                it is asked anew where the server is.
        """
        problem: Unreachable | None = None
        tries = 0
        for host, port in route.doors:
            try:
                addresses = [host] if is_address(host) else await self._resolver.addresses(host)
            except Unreachable as error:
                problem = error
                continue
            for address in addresses:
                if tries == MOST_TRIES:
                    break
                tries += 1
                try:
                    return await self._open(address, port, route.tls_name)
                except Unreachable as error:
                    problem = error
        self._resolver.forget(SERVICES, route.tls_name, [host for host, _ in route.doors])
        raise problem or Unreachable("It has no address.")

    async def _open(self, address: str, port: int, tls_name: str, *, whole: bool = False) -> Connection:
        # The very address that is connected to: nothing is looked up between here and the socket.
        if not self._settings.federation_allow_private_addresses and not is_public(address):
            raise Unreachable(f"It is at {address}, which is no public address, and this server may not call those.")
        place = f"{address} port {port}"
        context = await self._trust(whole=whole or self._has_all)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=tls_name, limit=2 * _PIECE
                )
        except TimeoutError as error:
            raise Unreachable(f"Nothing answers at {place}.") from error
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in UNKNOWN_ISSUERS and not self._has_all:
                # Not every system keeps all its roots in the folder.
                return await self._open(address, port, tls_name, whole=True)
            raise Unreachable(f"Its certificate is not good for {tls_name}: {error.verify_message}.") from error
        except ssl.SSLError as error:
            raise Unreachable(f"There is no TLS to be had at {place}: {error.reason or error}.") from error
        except (OSError, OverflowError, ValueError) as error:
            raise Unreachable(f"There is no connection to be had to {place}: {_why(error)}.") from error
        return Connection(reader, writer)

    async def _trust(self, *, whole: bool = False) -> ssl.SSLContext:
        """What is trusted: the system's roots and that of the settings.

        Args:
            whole: whether the system's roots are all read, and not only those looked up of which it keeps a folder.
        """
        file = self._settings.federation_ca_file
        if self._context is None or self._context[0] != file or (whole and not self._has_all):
            self._has_all = whole
            context = await asyncio.to_thread(ssl.create_default_context) if whole else _folder_of_roots()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if file:
                try:
                    context.load_verify_locations(file)
                except (OSError, ssl.SSLError) as error:
                    raise Unreachable(f"The root certificate {file} cannot be read: {error}.", local=True) from error
            self._context = (file, context)
        return self._context[1]


def _folder_of_roots() -> ssl.SSLContext:
    """A context that trusts those of the system's roots that lie in its folder by the hashes of their names.

    Of them OpenSSL reads the one that it needs. Reading all takes it some 50 ms and more than a megabyte.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    folder = ssl.get_default_verify_paths().capath
    if folder is not None:
        context.load_verify_locations(capath=folder)
    return context


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
