"""What ``hearth healthcheck`` does: ask a running server on this machine whether it is well.

Bare sockets, since a container runs this every half minute: an HTTP library would cost more than the question.
"""

import socket
from collections.abc import Iterator

from appliance.errors import OwnerError
from appliance.server.addresses import ANY, parse_address

PATH = "/health"
TIMEOUT = 4.0
"""Seconds for one listener: less than the five that the image gives the whole check."""


def check(http: str, https: str) -> str:
    """Ask ``/health`` over loopback, plain HTTP first, then HTTPS with whatever certificate it shows.

    Args:
        http: the addresses of the http listener, as ``serve`` takes them.
        https: the addresses of the https listener.

    Returns:
        The address that answered 200.

    Raises:
        OwnerError: where no listener did, saying what each one did instead.
    """
    found = []
    for scheme, addresses in (("http", http), ("https", https)):
        for host, port in loopback(addresses, f"--{scheme}"):
            try:
                status = _ask(host, port, secure=scheme == "https")
            except (OSError, ValueError) as error:
                found.append(f"{scheme} on {host} port {port}: {error}")
                continue
            if status == 200:
                return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
            found.append(f"{scheme} on {host} port {port} answered {status}")
    raise OwnerError(f"Hearth does not answer {PATH} ({'; '.join(found) or 'every listener is off'}).")


def loopback(addresses: str, option: str) -> Iterator[tuple[str, int]]:
    """Where listeners can be asked from this machine: an address that stands for all becomes the loopback address.

    Args:
        addresses: as ``appliance.server.addresses`` reads them.
        option: the option that they come from, for the sentence on a mistake.

    Yields:
        Host and port.
    """
    for bind in parse_address(addresses, option):
        # An IPv6 listener for all addresses takes IPv4 too.
        yield ("127.0.0.1" if bind.host in (ANY, "0.0.0.0") else bind.host), bind.port  # noqa: S104


def _ask(host: str, port: int, *, secure: bool) -> int:
    """The status of ``GET /health`` at one listener."""
    with socket.create_connection((host, port), timeout=TIMEOUT) as plain:
        connection = plain
        if secure:
            import ssl  # costs more than all the rest, and is often not needed

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # our own server, perhaps still with a certificate of its own
            connection = context.wrap_socket(plain)
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            words = answer.readline(1024).split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError("what answered there does not speak HTTP")
    return int(words[1])
