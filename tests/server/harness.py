"""A small server over real sockets: a few endpoints, fake sessions, free ports of the loopback."""

import asyncio
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from litestar import Controller, Router
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from appliance.errors import MatrixError, OwnerError, forbidden
from appliance.server.addresses import Addresses, Bind
from appliance.server.answers import Answer, answer
from appliance.server.application import build_application
from appliance.server.authentication import Headers, SignedRequests
from appliance.server.endpoints import bind, endpoint, page
from appliance.server.gate import Gate
from appliance.server.granian_server import Certificate
from appliance.server.limits import Limits
from appliance.server.listeners import Listeners
from appliance.server.loop import new_loop
from appliance.server.plan import Listener, Role, plan
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.server.waiting import LEFT, Ended, Waiting
from appliance.settings import Settings

R0 = "/_matrix/client/v3"
LOOPBACK = Bind("127.0.0.1", 0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a test on the loop that Hearth runs on."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(asyncio.wait_for(work, 60))


class Session(Struct, frozen=True, kw_only=True):
    session_id: int = 7
    user_id: str = "@alice:hearth.test"
    device_id: str = "DEVICE"
    admin: bool = False
    guest: bool = False
    locked: bool = False
    suspended: bool = False
    expired: bool = False


class Sessions:
    def __init__(self) -> None:
        self.known: dict[str, Session] = {
            "good": Session(),
            "guest": Session(guest=True),
            "locked": Session(locked=True),
            "suspended": Session(suspended=True),
            "expired": Session(expired=True),
        }
        self.seen_at: list[tuple[int, str]] = []

    def authenticate(self, token: str) -> Session | None:
        return self.known.get(token)

    def seen(self, session_id: int, address: str) -> None:
        self.seen_at.append((session_id, address))


class Signed:
    """Takes every request with `Authorization: X-Matrix name` and remembers what was to be signed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bytes]] = []

    async def authenticate(self, method: str, target: bytes, body: bytes, headers: Headers) -> str:
        self.asked.append((method, target, body))
        for name, value in headers:
            if name == b"authorization" and value.startswith(b"X-Matrix "):
                return value[9:].decode()
        raise MatrixError("M_UNAUTHORIZED", "no", 401)


class SetupState:
    is_finished = True

    @property
    def state(self) -> str:
        return "finished" if self.is_finished else "unclaimed"


class Rooms(Controller):
    """What a room has, as far as this test goes."""

    waiting: Waiting
    log: list[str]
    woken: asyncio.Event

    @endpoint(
        "PUT",
        R0 + "/rooms/{room_id:str}/state/{event_type:str}/{state_key:str}",
        R0 + "/rooms/{room_id:str}/state/{event_type:str}",
        R0 + "/rooms/{room_id:str}/state/{event_type:str}/",
        limit=Limit.SEND,
    )
    async def put_state(self, request: Asked, room_id: str, event_type: str, state_key: str = "") -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}"""
        content = await request.object()
        return answer({"room": room_id, "type": event_type, "key": state_key, "content": content})

    @endpoint("GET", R0 + "/rooms/{room_id:str}/state/{event_type:str}/{state_key:str}", guests=True)
    async def get_state(self, request: Asked, room_id: str, event_type: str, state_key: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}"""
        return answer({"key": state_key, "user": request.requester.user_id})

    @endpoint("GET", R0 + "/sync")
    async def sync(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/sync"""
        ended = await self.waiting.wait(request, self.woken, request.query_int("timeout", 30000) / 1000)
        self.log.append(ended.value)
        return LEFT if ended is Ended.LEFT else answer({"ended": ended.value})

    @endpoint("POST", R0 + "/wait")
    async def wait_with_body(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/wait"""
        body = await request.object()
        first = await self.waiting.wait(request, asyncio.Event(), 0.01)
        second = await self.waiting.wait(request, self.woken, 30)
        self.log.append(second.value)
        return LEFT if second is Ended.LEFT else answer({"body": body, "ended": [first.value, second.value]})

    @endpoint("POST", R0 + "/logout", locked=True, suspended=True)
    async def logout(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/logout"""
        return answer()


class Open(Controller):
    """Endpoints that anybody may ask."""

    @endpoint("GET", "/_matrix/client/versions", access=Access.OPTIONAL)
    async def versions(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/versions"""
        asks = request.requester
        return answer({"user": asks.user_id, "address": asks.address, "scheme": request.scope["scheme"]})

    @endpoint("POST", R0 + "/upload", access=Access.NOBODY, max_body=2 * 1024 * 1024)
    async def upload(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/upload"""
        return answer({"length": len(await request.body_bytes())})

    @endpoint("POST", R0 + "/login", access=Access.NOBODY, limit=Limit.LOGIN)
    async def login(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/login"""
        return answer()

    @endpoint("GET", R0 + "/fails/{how:str}", access=Access.NOBODY)
    async def fails(self, request: Asked, how: str) -> ASGIApp:
        """GET /_matrix/client/v3/fails/{how}"""
        if how == "forbidden":
            raise forbidden("You may not.")
        if how == "owner":
            raise OwnerError("The disk is full.")
        raise RuntimeError("secret")

    @endpoint("PUT", "/_matrix/federation/v1/send/{transaction:str}", access=Access.SERVER)
    async def federation_send(self, request: Asked, transaction: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send/{txnId}"""
        return answer({"origin": request.requester.server, "transaction": transaction})

    @endpoint("GET", "/_matrix/key/v2/server", access=Access.NOBODY)
    async def key(self, request: Asked) -> ASGIApp:
        """GET /_matrix/key/v2/server"""
        return answer({"server_name": "hearth.test"})

    @page("POST", "/setup")
    async def setup(self, request: Asked) -> ASGIApp:
        """POST /setup"""
        fields = await request.form_fields()
        return Answer(repr(fields).encode(), 200, b"text/html; charset=utf-8")

    @page("GET", "/", "/setup/{step:str}")
    async def page(self, request: Asked) -> ASGIApp:
        """GET /setup/{step}"""
        return Answer(b"<h1>Hearth</h1>", 200, b"text/html; charset=utf-8")


class Running:
    """A server and everything that a test turns the screws of."""

    def __init__(
        self,
        folder: Path,
        *,
        header_timeout: float = 30,
        signed: SignedRequests | None = None,
        more: Sequence[type[Controller] | Router] = (),
    ) -> None:
        self.settings = Settings(server_name="hearth.test", limits_enabled=False)
        self.sessions = Sessions()
        self.setup = SetupState()
        self.challenges: dict[str, str] = {}
        self.waiting = Waiting()
        self.woken = asyncio.Event()
        self.log: list[str] = []
        self.limits = Limits(self.settings)
        self.app = build_application(
            [bind(Rooms, waiting=self.waiting, log=self.log, woken=self.woken), bind(Open), *more],
            settings=self.settings,
            sessions=self.sessions,
            gate=Gate(self.settings, self.setup, self.challenges),
            limits=self.limits,
            signed=signed,
        )
        self.arrived: set[bytes] = set()
        self.listeners = Listeners(self._arrive, folder, header_timeout=header_timeout)

    async def apply(self, certificate: Certificate | None = None, *, have: bool = False) -> None:
        """Run what the plan for the settings says, on ports of the system's choice."""
        everywhere = Addresses(http=(LOOPBACK,), https=(LOOPBACK,), federation=(LOOPBACK,))
        await self.listeners.apply(
            plan(
                self.settings,
                setup_finished=self.setup.is_finished,
                have_certificate=have or certificate is not None,
                addresses=everywhere,
            ),
            certificate,
        )

    async def _arrive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take note of a request by its query, and go on."""
        self.arrived.add(scope["query_string"])
        await self.app(scope, receive, send)

    def listener(self, role: Role) -> Listener:
        return next(listener for listener in self.listeners.running if listener.role == role)

    def url(self, role: Role = "http") -> str:
        listener = self.listener(role)
        return f"http{'s' if listener.tls else ''}://{listener.bind}"


Test = Callable[[Running, httpx.AsyncClient], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    """A server on one plain listener that answers everything, and a client whose user is logged in."""
    running = Running(folder, **options)
    running.settings.tls_mode = "proxy"
    running.settings.tls_trusted_proxies = []
    await running.apply()
    try:
        async with httpx.AsyncClient(
            base_url=running.url(), headers={"Authorization": "Bearer good"}, timeout=20
        ) as client:
            yield running, client
    finally:
        running.waiting.stop()
        await running.listeners.stop(2)


async def speak(url: str, sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes as they are on a connection of their own and return all that comes back."""
    reader, writer = await connect(url, context)
    writer.write(sent)
    try:
        return await reader.read()
    finally:
        writer.close()


async def parse_json(url: str, sent: bytes, context: ssl.SSLContext | None = None) -> tuple[int, Any]:
    """Send bytes as they are; status and JSON of the answer."""
    head, _, body = (await speak(url, sent, context)).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def connect(url: str, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parsed = httpx.URL(url)
    return await asyncio.open_connection(parsed.host, parsed.port, ssl=context)


def raw(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    """A request whose path nobody tidies up, on a connection that ends with it."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: hearth.test\r\nAuthorization: Bearer good\r\nConnection: close\r\n"
        f"{length}{headers}\r\n"
    )
    return head.encode("latin-1") + body


def make_certificate(name: str = "hearth.test", *, pkcs1: bool = False) -> Certificate:
    """A self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shape = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1 else serialization.PrivateFormat.PKCS8
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, shape, serialization.NoEncryption()),
    )


def trusting_anybody(maximum: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context that takes every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if maximum is not None:
        context.maximum_version = maximum
    return context


async def served_name(url: str) -> str:
    """The name in the certificate that a listener shows."""
    _, writer = await connect(url, trusting_anybody())
    try:
        certificate = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))
    finally:
        writer.close()
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
