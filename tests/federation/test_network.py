"""Two real servers that find each other."""

import httpx

from tests.support.hearth import HearthProcess
from tests.support.network import Network


def test_two_servers_learn_each_others_keys(network: Network, one: HearthProcess, two: HearthProcess) -> None:
    own = httpx.get(f"{two.url}/_matrix/key/v2/server").json()
    ((key_id, key),) = own["verify_keys"].items()
    (told,) = httpx.get(f"{one.url}/_matrix/key/v2/query/two.test").json()["server_keys"]
    assert told["server_name"] == "two.test"
    assert told["verify_keys"] == {key_id: key}
    assert set(told["signatures"]) == {"one.test", "two.test"}
    assert ("SRV", "_matrix-fed._tcp.two.test") in network.names.asked
