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


@pytest.fixture(scope="session", autouse=True)
def contract() -> Iterator[None]:
    """Every answer in every story is held against the specification, where that is at hand."""
    Client.witness = witness()
    yield
    Client.witness = None


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
