"""One server for all stories of a worker: each story brings people and rooms of its own."""

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.contract import witness
from tests.support.hearth import HearthProcess


@pytest.fixture(scope="session")
def hearth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HearthProcess]:
    """A running server, open to everybody, without rate limits."""
    server = HearthProcess(tmp_path_factory.mktemp("story") / "data").start()
    yield server
    server.end()


SETTINGS = """
server_name = "furnished.example"
[tls]
mode = "proxy"
[registration]
mode = "open"
guests = true
shared_secret = "open sesame"
[calls]
turn_uris = ["turn:turn.example.org?transport=udp", "turns:turn.example.org"]
turn_secret = "north wind"
livekit = "https://calls.example.org"
[support]
email = "help@furnished.example"
page = "https://furnished.example/help"
[policy_server]
key = "6yhHGKhCiXTSEN2ksjV7kX/N6rBQZ3Xb+M7LlC6NS+s"
[federation]
enabled = false
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HearthProcess]:
    """Another one, whose owner has set whatever can be set."""
    server = HearthProcess(tmp_path_factory.mktemp("furnished") / "data", SETTINGS).start()
    yield server
    server.end()


@pytest.fixture(scope="package", autouse=True)
def contract() -> Iterator[None]:
    """Every answer in every story is held against the specification, where that is at hand; those elsewhere are not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "witness", witness())
        yield


@pytest.fixture
def alice(hearth: HearthProcess) -> Client:
    """A new user."""
    return Client.register(hearth.url)


@pytest.fixture
def bob(hearth: HearthProcess) -> Client:
    """Another new user."""
    return Client.register(hearth.url)


@pytest.fixture
def carol(hearth: HearthProcess) -> Client:
    """A third one."""
    return Client.register(hearth.url)
