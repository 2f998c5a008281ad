"""One listener: a Granian server embedded in our event loop, and how its certificate is replaced.

Everything that depends on how Granian is built is in this file and in ``handover.py``: ``build_ssl_context``,
``respawn_interval``, the list of workers and what a worker is made of are not a documented interface, which is why its
version is pinned and a test rotates certificates under load.
"""

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import AsyncWorker, Server
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from appliance.errors import OwnerError
from appliance.server.handover import work
from appliance.server.plan import Listener

log = logging.getLogger("hearth.listeners")

BACKLOG = 4096
FIRST_STEP_SECONDS = 0.02
"""A worker binds in its first step on the loop, two steps after its server is started."""
SWAP_SECONDS = 0.2
"""How long the old and the new certificate's workers overlap: time for what knocks at the old one to be let in."""
_QUIET = {"incremental": True, "loggers": {"_granian": {}}, "handlers": {}, "formatters": {}}
"""Granian would set up logging of its own; this only sets the level of its logger."""


class Certificate(Struct, frozen=True):
    """What TLS is spoken with.

    Args:
        chain_pem: the certificate and its intermediates, PEM.
        key_pem: the private key, PEM; kinds other than PKCS#8 are converted.
    """

    chain_pem: bytes
    key_pem: bytes


class GranianServer:
    """A running listener.

    Args:
        listener: what it is; may be replaced while it runs, so that it answers more or less (same address, same TLS).
        app: the ASGI application.
        host: the IP address to bind, which must be free.
        port: its port.
        certificate: needed where the listener speaks TLS.
        folder: where the key may lie for a moment: Granian takes it only from a file.
        most_connections: beyond this many, new ones wait.
        header_timeout: seconds that a connection may take to send a request's head, and may idle between requests.
    """

    def __init__(
        self,
        listener: Listener,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        certificate: Certificate | None,
        folder: Path,
        most_connections: int,
        header_timeout: float,
    ) -> None:
        self.listener = listener
        self.host = host
        self.port = port
        self._app = app
        self._folder = folder
        self._most_connections = most_connections
        self._header_timeout = header_timeout
        self._certificate = certificate
        self._swap = asyncio.Lock()
        self._keys: tempfile.TemporaryDirectory[str] | None = None
        self._stopping = False
        self._server = self._build()
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; connections are accepted when this returns.

        Raises:
            OwnerError: where Granian does not come up.
        """
        if self._certificate is not None:
            before = self._keys
            self._use(self._certificate)
            _remove(before)
        spawn = AsyncWorker.wrap_target(work)  # type: ignore[no-untyped-call]
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(spawn))
        await asyncio.sleep(FIRST_STEP_SECONDS)
        if self._serving.done():
            raise OwnerError(f"Listening on {self.listener.bind} failed.") from self._serving.exception()
        self._serving.add_done_callback(self._on_ended)

    async def replace_certificate(self, certificate: Certificate) -> None:
        """Speak with another certificate from now on.

        A second worker is started beside the first, on the same loop; connections of the first are answered to the
        end. Returns when new connections get the new certificate, while the old worker may still be finishing.

        Raises:
            OwnerError: where key and certificate do not belong together; the old one stays.
        """
        async with self._swap:
            before = self._keys
            try:
                self._use(certificate)
            except ssl.SSLError as error:
                raise OwnerError(f"This certificate and key cannot be used: {error.reason or error}.") from error
            self._certificate = certificate
            self._server.respawn_interval = SWAP_SECONDS
            old = self._server.wrks[0]
            self._server.reload()  # type: ignore[no-untyped-call]
            while not old.interrupt_by_parent and not self._ended:  # noqa: ASYNC110  Granian has no event for it
                await asyncio.sleep(SWAP_SECONDS / 10)
            _remove(before)

    async def stop(self, within: float) -> None:
        """Stop accepting, let the requests that run be answered, and end.

        Args:
            within: seconds; what still runs then goes on as long as the event loop does.
        """
        self._stopping = True
        if self._serving is None or self._ended:
            _remove(self._keys)
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({self._serving}, timeout=within)
        _remove(self._keys)
        if not self._ended:
            log.warning("Some requests on %s did not end in time and are not waited for.", self.listener.bind)

    @property
    def _ended(self) -> bool:
        return self._serving is not None and self._serving.done()

    def _target(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        scope["listener"] = self.listener  # type: ignore[typeddict-unknown-key]
        return cast("Coroutine[Any, Any, None]", self._app(scope, receive, send))

    def _build(self) -> Server:
        return Server(
            self._target,
            address=self.host,
            port=self.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=self._most_connections,
            http1_settings=HTTP1Settings(header_read_timeout=max(1, int(self._header_timeout * 1000))),
            log_level=LogLevels.error,
            log_dictconfig=_QUIET,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    def _use(self, certificate: Certificate) -> None:
        """Have workers that start from now on speak with a certificate.

        Granian takes files, and a worker opens them in a thread of its own at a time that nobody is told of: they stay,
        for us alone to read, as long as the certificate is in use.

        Raises:
            OwnerError: where the private key cannot be read.
            ssl.SSLError: where key and certificate do not belong together; the files before stay in use.
        """
        made = tempfile.TemporaryDirectory(prefix=".tls-", dir=self._folder)
        chain, key = Path(made.name) / "chain.pem", Path(made.name) / "key.pem"
        try:
            for path, pem in ((chain, certificate.chain_pem), (key, pkcs8(certificate.key_pem))):
                path.touch(0o600)
                path.write_bytes(pem)
            self._server.build_ssl_context(chain, key, None, SSLProtocols.tls12, None, [], False)
        except BaseException:
            _remove(made)
            raise
        self._keys = made

    def _on_ended(self, _: "asyncio.Task[None]") -> None:
        """A worker that ends by itself ends its server; a listener that is wanted comes back."""
        if self._stopping:
            return
        log.error("The listener on %s ended unexpectedly and is started again.", self.listener.bind)
        self._server = self._build()
        self._restart = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        while not self._stopping:
            try:
                await self.start()
            except (OwnerError, OSError, ssl.SSLError) as error:
                log.error("The listener on %s cannot be started: %s", self.listener.bind, error)
                await asyncio.sleep(1)
            else:
                return


def _remove(folder: "tempfile.TemporaryDirectory[str] | None") -> None:
    if folder is not None:
        folder.cleanup()


def pkcs8(key_pem: bytes) -> bytes:
    """A private key in the one form that Granian takes.

    Raises:
        OwnerError: where it is no private key, or one with a password.
    """
    if b"-----BEGIN PRIVATE KEY-----" in key_pem:
        return key_pem
    from cryptography.hazmat.primitives import serialization  # needed seldom, and costs memory

    try:
        key = serialization.load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as error:
        raise OwnerError("This private key cannot be read. It must be a PEM file without a password.") from error
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
