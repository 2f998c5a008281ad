"""Element Web's encryption between a person of a Hearth and one of a Synapse."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_js_encryption import HERE, PATIENCE, STEP_MS, whole
from tests.support import npm, synapse
from tests.support.hearth import HearthProcess
from tests.support.network import Network
from tests.support.synapse_server import SynapseProcess

pytestmark = [pytest.mark.apt, pytest.mark.slow]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[HearthProcess, SynapseProcess]]:
    npm.require()
    synapse.require()
    with Network(tmp_path) as network:
        yield network.hearth_by_address(), SynapseProcess(network).start()


@pytest.mark.parametrize("first", [0, 1], ids=["of hearth", "of synapse"])
def test_they_encrypt_across_servers(servers: tuple[HearthProcess, SynapseProcess], tmp_path: Path, first: int) -> None:
    """Messages both ways, verification of a device and of a person by emojis, a backup restored, a device removed: one
    of the two is at home on the other server (server-server API, "End-to-End Encryption", "Send-to-device messaging").
    """
    script = HERE / "js_encryption.mjs"
    urls = [server.url for server in servers]
    story = npm.start(npm.require(), script, tmp_path, urls[first], STEP_MS, f"ben={urls[1 - first]}")
    try:
        assert story.wait(PATIENCE) == 0, f"{story.output()[-4000:]}\n{servers[0].tail()}"
        assert whole(script, story.output()), story.output()
    finally:
        story.end()
