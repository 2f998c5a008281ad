"""A server over TLS that answers with whatever bytes a test wants, however slowly; and a client of ours to ask it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.federation.client import FederationClient
from appliance.federation.policy import Policy
from appliance.protocol.signing import SigningKey
from appliance.settings import Settings
from tests.tls.parts import Maker, pem

Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]
"""What the server does with a request, whose head it has read."""


class Us:
    """As whom the client asks."""

    server_name = "here.test"

    def __init__(self) -> None:
        self.key = SigningKey.generate()


class WireServer:
    """The server.

    Attributes:
        heads: the heads of the requests that came, each whole.
        connections: how many connections were made.
        deed: what it does.
    """

    def __init__(self, maker: Maker, folder: Path, *names: str) -> None:
        leaf, key = maker.leaf(names)
        file = folder / f"{names[0].replace(':', '-')}.pem"
        file.write_bytes(pem(leaf, maker.intermediate, key))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self.heads: list[bytes] = []
        self.connections = 0
        self.deed: Deed = says(b"{}")
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> "WireServer":
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return self

    def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await self.deed(reader, writer, self.heads[-1])
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def says(body: bytes, status: str = "200 OK", *lines: str) -> Deed:
    """Answer with a body and stay."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]).encode()
    return raw(head + body)


def raw(data: bytes, *, close: bool = False) -> Deed:
    """Answer with bytes, and stay or close."""

    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return deed


def endless(first: bytes, more: bytes, *, pause: float = 0) -> Deed:
    """Answer with bytes that never end."""

    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(first)
        while True:
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(pause)

    return deed


class Lab:
    """A client, what it believes in, and servers."""

    def __init__(self, folder: Path) -> None:
        self.maker = Maker(authority=True)
        root = folder / "root.pem"
        root.write_bytes(pem(self.maker.root))
        self.us = Us()
        self.folder = folder
        self.settings = Settings(
            server_name="here.test", federation_ca_file=str(root), federation_allow_private_addresses=True
        )
        self.client = FederationClient(self.settings, self.us, Policy(self.settings))  # type: ignore[arg-type]
        self.hosts: dict[str, list[str]] = {}
        self.client.resolver.addresses = self._addresses  # type: ignore[method-assign]
        self._servers: list[WireServer] = []

    async def server(self, *names: str) -> WireServer:
        """A server whose certificate is for these names, all of which lead to loopback."""
        for name in names:
            self.hosts[name] = ["127.0.0.1"]
        server = await WireServer(self.maker, self.folder, *names).start()
        self._servers.append(server)
        return server

    async def _addresses(self, host: str) -> list[str]:
        return self.hosts[host]

    def end(self) -> None:
        """End all."""
        self.client.close()
        for server in self._servers:
            server.stop()


@asynccontextmanager
async def lab(folder: Path) -> AsyncIterator[Lab]:
    """A lab that is ended."""
    found = Lab(folder)
    try:
        yield found
    finally:
        found.end()
