"""From an answers file to two people who talk over HTTPS, with a certificate from a real ACME server."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.support.hearth import PATIENCE, HearthProcess
from tests.support.nio_chat import Person, chat, find_again
from tests.support.pebble import Pebble

pytestmark = pytest.mark.apt
TRUSTED_IN_A_ROW = 24
"""While a certificate is replaced, every second connection still finds the old one; so many in a row do not."""

ANSWERS = """
server_name = "hearth.example"
public_host = "localhost:{https}"
[tls]
mode = "acme"
names = ["localhost"]
directory = "{directory}"
ca_file = "{ca_file}"
[owner]
username = "alice"
password = "correct horse battery"
[registration]
mode = "closed"
[federation]
enabled = true
[limits]
enabled = false
"""


def trusting(root: str) -> ssl.SSLContext:
    """A context that trusts one root and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root)
    return context


def wait_for_certificate(port: int, trust: ssl.SSLContext) -> None:
    """Until what a port shows is trusted, again and again: for a moment, some are still shown the one before."""
    deadline = time.monotonic() + PATIENCE * 2
    row = 0
    while row < TRUSTED_IN_A_ROW:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
                trust.wrap_socket(plain, server_hostname="localhost"),
            ):
                row += 1
        except (ssl.SSLError, OSError):
            assert time.monotonic() < deadline, "no trusted certificate was shown"
            row = 0
            time.sleep(0.2)


def test_answers_certificate_chat_restart(tmp_path: Path) -> None:
    """Unattended set-up, a certificate from Pebble on both TLS listeners, a chat, a kill, and no second order."""
    server = HearthProcess(tmp_path / "data", "", tls=True)
    with Pebble(tmp_path, http_port=server.http) as pebble:
        server.setup(ANSWERS.format(https=server.https, directory=pebble.directory, ca_file=pebble.ca_file))
        added = server.command("user", "add", "bob", "--ask-password", text="another long password\n")
        assert added.returncode == 0, added.stderr
        server.start()
        try:
            trust = trusting(pebble.root())
            wait_for_certificate(server.https, trust)
            wait_for_certificate(server.federation, trust)
            url = f"https://localhost:{server.https}"
            alice = Person("@alice:hearth.example", "correct horse battery")
            bob = Person("@bob:hearth.example", "another long password")
            room, words = asyncio.run(chat(url, alice, bob, trust))
            orders = pebble.orders()
            server.kill()
            server.start()
            wait_for_certificate(server.https, trust)
            asyncio.run(find_again(url, bob, room, words, trust))
            assert pebble.orders() == orders
        finally:
            server.end()
