"""Two real servers that find each other."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.network import Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Network(tmp_path_factory.mktemp("network")) as network:
        yield network


def test_two_servers_learn_each_others_keys(network: Network) -> None:
    one, two = network.hearth("one.test"), network.hearth("two.test")
    own = httpx.get(f"{two.url}/_matrix/key/v2/server").json()
    ((key_id, key),) = own["verify_keys"].items()
    (told,) = httpx.get(f"{one.url}/_matrix/key/v2/query/two.test").json()["server_keys"]
    assert told["server_name"] == "two.test"
    assert told["verify_keys"] == {key_id: key}
    assert set(told["signatures"]) == {"one.test", "two.test"}
    assert ("SRV", "_matrix-fed._tcp.two.test") in network.names.asked
