"""A real ACME server for tests: Pebble, with a DNS server in which every name is 127.0.0.1.

    with Pebble(tmp_path, http_port=8080) as pebble:
        ...  # tls.directory = pebble.directory, tls.ca_file = pebble.ca_file; the certificates' root: pebble.root()

``http_port`` is where Pebble looks for the answers of HTTP-01 challenges, so the port that Hearth's http listener
has. Three in ten good nonces are rejected, as Pebble's authors advise; every port is a free one; the two processes
started are the only ones that are ended. One instance serves one folder; several may run at once.
"""

import contextlib
import datetime
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import apt

PEM = serialization.Encoding.PEM
STARTS_WITHIN = 20.0
"""Seconds that Pebble is given to answer its first request."""


class Pebble:
    """One Pebble and its DNS server.

    Args:
        folder: an existing folder for its files; a new one is made in it.
        http_port: the port at which Hearth answers challenges.
        program: the pebble to run, ``pebble-challtestsrv`` beside it; by default Debian's (the test is skipped if
            there is none). ``apt.require_newer_pebble()`` gives one that knows profiles and renewal information.
        validity: seconds that its certificates live.
        profiles: name → seconds of validity; only the newer Pebble knows them, and it must be given some.
        nonce_rejects: how many good nonces in a hundred are rejected.
        authz_reuse: how many valid authorisations in a hundred are used again for a new order.
        external_account: whether an account needs a binding that Hearth cannot give.
        blocked: a domain for which, and for all below it, certificates are refused as a policy.
    """

    def __init__(
        self,
        folder: Path,
        *,
        http_port: int,
        program: Path | None = None,
        validity: int = 90 * 86400,
        profiles: Mapping[str, int] | None = None,
        nonce_rejects: int = 30,
        authz_reuse: int = 50,
        external_account: bool = False,
        blocked: str = "",
    ) -> None:
        self.program = program or apt.require("pebble")
        self._resolver = self.program.with_name("pebble-challtestsrv")
        usage = subprocess.run([self._resolver, "-h"], capture_output=True, text=True, timeout=20, check=False).stderr
        self.newer = "-dnsserver" in usage
        """Whether this is a Pebble with profiles and renewal information."""
        self.folder = folder / f"pebble-{os.urandom(4).hex()}"
        self.folder.mkdir()
        self.ca_file = self.folder / "ca.pem"
        """The root that signs Pebble's own HTTPS certificate: what ``tls.ca_file`` is for."""
        self.log_file = self.folder / "pebble.log"
        self.directory = ""
        """The address of the ACME directory, once started."""
        self._management = self._dns_management = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(nonce_rejects),
            "PEBBLE_AUTHZREUSE": str(authz_reuse),
        }
        self._config: dict[str, Any] = {
            "httpPort": http_port,
            "tlsPort": 1,
            "certificate": str(self.folder / "server.pem"),
            "privateKey": str(self.folder / "server.key"),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external_account,
            "externalAccountMACKeys": {"kid": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"},
            "domainBlocklist": [blocked] if blocked else [],
            "retryAfter": {"authz": 1, "order": 1},
        }
        if self.newer:
            named = profiles or {"tlsserver": validity}
            self._config["profiles"] = {
                name: {"description": f"{name}, for tests", "validityPeriod": life} for name, life in named.items()
            }
        else:
            self._config["certificateValidityPeriod"] = validity
        _write_certificates(self.folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both processes and wait until the directory answers. Accounts and orders of an earlier start are gone.

        Raises:
            RuntimeError: where it does not, with the end of its log.
        """
        for _ in range(5):
            self._spawn()
            if self._answers():
                return
            self.stop()  # most likely another process took one of the ports that were free a moment ago
        raise RuntimeError(f"Pebble does not start:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        """End the processes that ``start`` began. Idempotent."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def root(self) -> str:
        """The root of the certificates that this start issues, as PEM; new at each start."""
        return self._ask(f"{self._management}/roots/0").decode()

    def log(self) -> str:
        """What Pebble has said since the first start."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def orders(self) -> int:
        """How many orders have been accepted since the first start."""
        return len(re.findall(r"Added order \S+ to the db", self.log()))

    def validations(self) -> int:
        """How many times Pebble has looked for the answer of a challenge since the first start."""
        return self.log().count("Attempting to validate w/ HTTP")

    def dns(self, command: str, **body: Any) -> None:
        """Change the DNS by a command of pebble-challtestsrv: ``add-a``, ``set-servfail``, ``set-default-ipv4``, …"""
        self._ask(f"{self._dns_management}/{command}", json.dumps(body).encode())

    def set_renewal_window(self, chain_pem: str, start: datetime.datetime, end: datetime.datetime) -> None:
        """Make the renewal information of a certificate name this window. Only the newer Pebble can."""
        window = {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}}
        body = {"Certificate": chain_pem, "ARIResponse": json.dumps(window)}
        self._ask(f"{self._management}/set-renewal-info/", json.dumps(body).encode())

    def _spawn(self) -> None:
        acme, management, dns, dns_management = free_ports(4)
        self.directory = f"https://127.0.0.1:{acme}/dir"
        self._management = f"https://127.0.0.1:{management}"
        self._dns_management = f"http://127.0.0.1:{dns_management}"
        config = self.folder / "pebble.json"
        addresses = {"listenAddress": f"127.0.0.1:{acme}", "managementListenAddress": f"127.0.0.1:{management}"}
        config.write_text(json.dumps({"pebble": {**self._config, **addresses}}))
        resolver = [str(self._resolver), "-defaultIPv6", ""]
        resolver += ["-dnsserver" if self.newer else "-dns01", f"127.0.0.1:{dns}"]
        for unused in ("-http01", "-https01", "-tlsalpn01", *(("-doh",) if self.newer else ())):
            resolver += [unused, ""]
        resolver += ["-management", f"127.0.0.1:{dns_management}"]
        server = [str(self.program), "-strict", "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}"]
        for command, log in ((resolver, self.folder / "dns.log"), (server, self.log_file)):
            with log.open("ab") as output:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=self._environment,
                        start_new_session=True,
                    )
                )

    def _answers(self) -> bool:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes):
            with contextlib.suppress(OSError):
                self._ask(self.directory)
                self.dns("clear-a", host="ready.invalid")
                return True
            time.sleep(0.05)
        return False

    def _ask(self, url: str, body: bytes | None = None) -> bytes:
        secure = url.startswith("https")
        context = ssl.create_default_context(cafile=self.ca_file) if secure else None
        handlers = [urllib.request.ProxyHandler({})]
        opener = urllib.request.build_opener(*handlers, *([urllib.request.HTTPSHandler(context=context)] * secure))
        with opener.open(url, data=body, timeout=10) as answer:
            content: bytes = answer.read()
        return content


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that were free, for TCP and for UDP, a moment ago."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                ports.append(tcp.getsockname()[1])
        return ports


def _write_certificates(folder: Path) -> None:
    """A root and the certificate of Pebble's own HTTPS: ``ca.pem``, ``server.pem``, ``server.key``."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pebble's own root, for one test")])

    def begin(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    root = (
        begin(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    leaf = (
        begin(x509.Name([]), key.public_key())
        .add_extension(names, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(PEM))
    (folder / "server.pem").write_bytes(leaf.public_bytes(PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
