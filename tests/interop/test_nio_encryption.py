"""matrix-nio with libolm, another library than Element's, encrypts through a running Hearth."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import nio_olm
from tests.support.client import Client
from tests.support.hearth import HearthProcess

SCRIPT = Path(__file__).with_name("nio_olm_story.py")
PATIENCE = 240.0


@pytest.mark.apt
@pytest.mark.slow
def test_two_people_with_two_devices_each_encrypt(tmp_path: Path) -> None:
    """Messages both ways, verification by emojis, a device removed, and nothing lost over a kill."""
    program = nio_olm.require()
    server = HearthProcess(tmp_path / "data").start()
    for name in ("anna", "ben"):
        Client.register(server.url, name, "a long password")
    with (tmp_path / "errors").open("w") as errors:
        story = subprocess.Popen(
            [program, SCRIPT, server.url, tmp_path / "stores"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert story.stdin is not None
        assert story.stdout is not None
        said = []
        for line in story.stdout:
            said.append(line)
            if line == "kill\n":
                server.kill()
                server.start()
                story.stdin.write("\n")
                story.stdin.flush()
        assert story.wait(PATIENCE) == 0, (tmp_path / "errors").read_text()[-4000:]
        assert len(re.findall("^step: ", "".join(said), re.MULTILINE)) == SCRIPT.read_text().count("    step(")
    finally:
        story.kill()
        story.wait()
        server.end()
