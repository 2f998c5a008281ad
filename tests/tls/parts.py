"""What the tests of certificates are put together from."""

import asyncio
import datetime
import http.server
import ipaddress
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.tls.certificate import Certificate, is_address
from appliance.tls.challenges import PATH, Challenges
from appliance.tls.issuance import REHEARSALS, Issuance
from appliance.tls.ladder import DAY
from appliance.tls.orders import Authority, Course, Order, OrderError, Window
from appliance.tls.store import Certificates

PEM = serialization.Encoding.PEM


class Clock:
    """A clock that stands still until it is set. Milliseconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


class FakeAuthority:
    """Carries out orders as it is told, and remembers them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.orders: list[Order] = []
        self.asked: list[str] = []
        """The certificates whose renewal information was asked for."""
        self.life = 90 * DAY
        self.outcomes: list[OrderError | Exception] = []
        """What becomes of the next orders; when it is used up, they succeed."""
        self.window: Window | OrderError | None = None
        self.hold = threading.Event()
        """Cleared: orders wait until it is set."""
        self.hold.set()

    def obtain(self, order: Order, course: Course) -> Certificate:
        self.orders.append(order)
        course.tell("The certificate authority answers.", "Preparing an account there.")
        if not order.account_uri:
            course.registered(f"{order.directory}/account/{len(self.orders)}")
        assert self.hold.wait(30)
        if course.stopped.is_set():
            raise OrderError("stopped")
        if self.outcomes:
            raise self.outcomes.pop(0)
        return certificate(order.names, self.clock.now, self.life, order.directory, number=len(self.orders))

    def renewal_window(self, directory: str, ca_file: str, chain_pem: str) -> Window | None:
        self.asked.append(chain_pem)
        if isinstance(self.window, OrderError):
            raise self.window
        return self.window


def certificate(
    names: tuple[str, ...], begin: int, life: int, directory: str = "https://acme.example/dir", number: int = 0
) -> Certificate:
    """A certificate that only looks like one."""
    return Certificate(
        chain_pem=f"-----BEGIN CERTIFICATE-----\n{number}\n-----END CERTIFICATE-----\n",
        key_pem="key",
        names=names,
        not_before=begin,
        not_after=begin + life,
        source="acme",
        directory=directory,
    )


class House:
    """The services of one server, as the composition root puts them together."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], int],
        authority: Authority | None,
        rehearsals: Mapping[str, str] = REHEARSALS,
    ) -> None:
        self.database = database
        self.settings = settings
        self.shown: list[Certificate] = []
        self.challenges = Challenges()
        self.certificates = Certificates(database, settings, clock=clock)
        self.certificates.on_change.append(self.shown.append)
        self.issuance = Issuance(
            database,
            settings,
            self.certificates,
            self.challenges,
            authority=authority,
            rehearsals=rehearsals,
            clock=clock,
            chance=lambda: 0.5,
        )

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Look until the condition holds; fails after a while."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.issuance.progress
            await asyncio.sleep(0.01)


class ChallengeServer:
    """The http listener of a server, as far as an authority cares."""

    def __init__(self) -> None:
        self.challenges: Challenges | None = None
        """Whose answers are given; without any, everything is 404."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token = self.path.removeprefix(PATH)
                answer = outer.challenges.get(token) if outer.challenges else None
                self.send_response(200 if answer else 404)
                self.end_headers()
                self.wfile.write((answer or "").encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Maker:
    """Makes real certificates: a root, an intermediate, and leaves as asked.

    Args:
        authority: whether root and intermediate say that they are authorities, so that a chain can be checked.
    """

    def __init__(self, *, authority: bool = False) -> None:
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.key = ec.generate_private_key(ec.SECP256R1())
        marks: list[x509.ExtensionType] = [x509.BasicConstraints(ca=True, path_length=None)] if authority else []
        self.root = self._sign("A root", self.root_key, "A root", self.root_key, extensions=marks)
        self.intermediate = self._sign("An intermediate", self.key, "A root", self.root_key, extensions=marks)

    def leaf(
        self,
        names: tuple[str, ...] = ("matrix.example.org",),
        *,
        begin: datetime.datetime | None = None,
        days: int = 60,
        issuer_url: str = "",
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate for these names and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        general: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names
        ]
        extensions: list[x509.ExtensionType] = [x509.SubjectAlternativeName(general)] if names else []
        if issuer_url:
            access = x509.oid.AuthorityInformationAccessOID.CA_ISSUERS
            extensions.append(
                x509.AuthorityInformationAccess(
                    [x509.AccessDescription(access, x509.UniformResourceIdentifier(issuer_url))]
                )
            )
        return self._sign("A leaf", key, "An intermediate", self.key, begin, days, extensions), key

    def _sign(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: str,
        issuer_key: ec.EllipticCurvePrivateKey,
        begin: datetime.datetime | None = None,
        days: int = 60,
        extensions: list[x509.ExtensionType] | None = None,
    ) -> x509.Certificate:
        begin = begin or datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=days))
        )
        for extension in extensions or []:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())


def pem(*parts: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """Certificates and keys as one PEM text."""
    return b"".join(
        part.public_bytes(PEM)
        if isinstance(part, x509.Certificate)
        else part.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for part in parts
    )
