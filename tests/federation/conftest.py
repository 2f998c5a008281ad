"""Two real servers for the stories that need no more."""

from collections.abc import Iterator

import pytest

from tests.support.client import Client
from tests.support.hearth import HearthProcess
from tests.support.network import Network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The small internet."""
    with Network(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture(scope="session")
def one(network: Network) -> HearthProcess:
    """A server."""
    return network.hearth("one.test")


@pytest.fixture(scope="session")
def two(network: Network) -> HearthProcess:
    """Another server."""
    return network.hearth("two.test")


@pytest.fixture
def alice(one: HearthProcess) -> Client:
    """Somebody new on the one server."""
    return Client.register(one.url)


@pytest.fixture
def bob(two: HearthProcess) -> Client:
    """Somebody new on the other."""
    return Client.register(two.url)
