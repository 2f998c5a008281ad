"""All listeners together: made to agree with a plan, given new certificates, stopped.

Several Granian servers run in one event loop over one application and one memory.
"""

import asyncio
import errno
import logging
import resource
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from litestar.types import ASGIApp
from msgspec.structs import replace

from appliance.errors import OwnerError
from appliance.server.addresses import ANY, Bind
from appliance.server.granian_server import Certificate, GranianServer
from appliance.server.plan import Listener, Role

log = logging.getLogger("hearth.listeners")

MOST_FILES = 65536
MOST_CONNECTIONS = 8192
HEADER_TIMEOUT = 30.0
DRAIN_SECONDS = 10.0
"""For the requests on a listener that a new plan has no use for."""


class Listeners:
    """The listeners of this server.

    Args:
        app: the ASGI application; every request's scope has its ``listener``.
        folder: a folder that only we can read, where keys lie for a moment.
        header_timeout: seconds that a connection may take to send a request's head, and may idle between requests.
    """

    def __init__(self, app: ASGIApp, folder: Path, *, header_timeout: float = HEADER_TIMEOUT) -> None:
        self._app = app
        self._folder = folder
        self._header_timeout = header_timeout
        self._running: dict[tuple[Role, Bind], GranianServer] = {}
        self._certificate: Certificate | None = None
        self._change = asyncio.Lock()
        self._stopped = False
        for leftover in folder.glob(".tls-*"):  # a crash in the wrong moment may have left a key
            shutil.rmtree(leftover, ignore_errors=True)

    @property
    def running(self) -> tuple[Listener, ...]:
        """What runs, with the ports that are really bound."""
        return tuple(
            replace(server.listener, bind=Bind(server.listener.bind.host, server.port))
            for server in self._running.values()
        )

    async def apply(self, plan: Sequence[Listener], certificate: Certificate | None = None) -> None:
        """Make the running listeners those of a plan: stop, start, and tell the others what they answer now.

        Args:
            plan: what should run.
            certificate: what the TLS listeners speak with; without one, the last that was given.

        Raises:
            OwnerError: where an address cannot be bound or the certificate cannot be used; listeners that were
                started before stay.
        """
        async with self._change:
            if self._stopped:
                return
            if certificate is not None and certificate != self._certificate:
                await self._swap(certificate)
            wanted = {(listener.role, listener.bind): listener for listener in plan}
            gone = [
                door
                for door, server in self._running.items()
                if door not in wanted or wanted[door].tls != server.listener.tls
            ]
            await asyncio.gather(*(self._running.pop(door).stop(DRAIN_SECONDS) for door in gone))
            # The plain door opens last: whoever asks there whether all is well finds the others open.
            for door, listener in sorted(wanted.items(), key=lambda each: each[1].role == "http"):
                if door in self._running:
                    self._running[door].listener = listener
                else:
                    self._running[door] = await self._start(listener, len(wanted))

    async def replace_certificate(self, chain_pem: bytes, key_pem: bytes) -> None:
        """Give every TLS listener a new certificate without dropping a request.

        Raises:
            OwnerError: where key and certificate do not belong together; the old one stays.
        """
        async with self._change:
            if not self._stopped:
                await self._swap(Certificate(chain_pem, key_pem))

    async def stop(self, within: float) -> None:
        """Stop all of them together.

        Args:
            within: seconds for the requests that run; wake the waiting ones first.
        """
        self._stopped = True
        running, self._running = self._running, {}
        await asyncio.gather(*(server.stop(within) for server in running.values()))

    async def _swap(self, certificate: Certificate) -> None:
        speaking = [server for server in self._running.values() if server.listener.tls]
        await asyncio.gather(*(server.replace_certificate(certificate) for server in speaking))
        self._certificate = certificate

    async def _start(self, listener: Listener, count: int) -> GranianServer:
        if listener.tls and self._certificate is None:
            raise OwnerError(f"There is no certificate for {listener.bind}.")
        host, port = await asyncio.to_thread(_free_address, listener.bind)
        server = GranianServer(
            listener,
            self._app,
            host=host,
            port=port,
            certificate=self._certificate if listener.tls else None,
            folder=self._folder,
            most_connections=max(128, min(MOST_CONNECTIONS, (raise_file_limit() - 256) // count)),
            header_timeout=self._header_timeout,
        )
        await server.start()
        log.info("Listening on %s (%s, %s).", Bind(host, port), listener.role, "TLS" if listener.tls else "plain")
        return server


def raise_file_limit() -> int:
    """Let this process have as many open files (connections are files) as it may, within reason; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _free_address(bind: Bind) -> tuple[str, int]:
    """The IP address and port to bind, after a look whether they are free.

    Granian binds with SO_REUSEPORT: a second server on the port would not fail, but get half of the connections.

    Raises:
        OwnerError: with what is wrong with the address.
    """
    try:
        return _try_bind(bind.host, bind.port)
    except OSError as error:
        if bind.host == ANY and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            return _free_address(Bind("0.0.0.0", bind.port))  # noqa: S104  all addresses, on a machine without IPv6
        raise _refusal(bind, error) from error


def _try_bind(host: str, port: int) -> tuple[str, int]:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == ANY else 1)
        probe.bind(address)
        return str(address[0]), int(probe.getsockname()[1])


def _refusal(bind: Bind, error: OSError) -> OwnerError:
    if error.errno == errno.EADDRINUSE:
        return OwnerError(f"Port {bind.port} is in use by another program. Stop that one, or choose another address.")
    if error.errno == errno.EACCES:
        return OwnerError(
            f"Port {bind.port} may not be opened by this user: ports below 1024 need a permission"
            " (CAP_NET_BIND_SERVICE). Grant it, or choose a port from 1024 up."
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return OwnerError(f"{bind.host} is not an address of this machine.")
    return OwnerError(f"{bind} cannot be listened on: {error.strerror}.")
