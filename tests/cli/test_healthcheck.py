"""``hearth healthcheck`` against listeners that answer in various ways."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import OwnerError
from appliance.healthcheck import check, loopback
from appliance.tls.making import self_signed

Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts HTTP servers on loopback that answer ``/health`` with a status, and gives their ports."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def begin(status: int, certificate: Path | None = None) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/health" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    made = self_signed(["home.example"], int(time.time() * 1000))
    path = tmp_path / "both.pem"
    path.write_text(made.key_pem + made.chain_pem)
    return path


def test_plain_http(start: Start) -> None:
    port = start(200)
    assert check(f":{port}", "off") == f"http://127.0.0.1:{port}"


def test_https_with_any_certificate_where_http_only_redirects(start: Start, certificate: Path) -> None:
    plain, secure = start(308), start(200, certificate)
    assert check(f"127.0.0.1:{plain}", f":{secure}") == f"https://127.0.0.1:{secure}"


def test_the_first_address_that_is_well_counts(start: Start, closed_port: int) -> None:
    port = start(200)
    assert check(f"127.0.0.1:{closed_port},127.0.0.1:{port}", "off").endswith(f":{port}")


def test_it_says_what_each_listener_did(start: Start, closed_port: int) -> None:
    ill = start(503)
    with pytest.raises(
        OwnerError, match=rf"port {ill} answered 503; https on 127\.0\.0\.1 port {closed_port}: .*efused"
    ):
        check(f":{ill}", f":{closed_port}")


def test_off_everywhere() -> None:
    with pytest.raises(OwnerError, match="every listener is off"):
        check("off", "off")


def test_what_is_no_http_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")
                connection.recv(1024)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        with pytest.raises(OwnerError, match="does not speak HTTP"):
            check(f"127.0.0.1:{server.getsockname()[1]}", "off")
        thread.join(10)


def test_where_it_asks() -> None:
    addresses = ":80,0.0.0.0:81,[::]:82,[::1]:83,192.0.2.1:84"
    assert list(loopback(addresses, "--http")) == [
        ("127.0.0.1", 80),
        ("127.0.0.1", 81),
        ("127.0.0.1", 82),
        ("::1", 83),
        ("192.0.2.1", 84),
    ]
    with pytest.raises(OwnerError, match=r"--http: .*8080x"):
        list(loopback(":8080x", "--http"))
