"""matrix-js-sdk with its Rust crypto, which Element Web runs, encrypts through a running Hearth."""

import random
import re
import time
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.hearth import HearthProcess

HERE = Path(__file__).parent
PATIENCE = 240.0
STEP_MS = "90000"
MOST_KILLS = 5


def whole(script: Path, output: str) -> bool:
    """Whether a script came to its end and left no step out."""
    steps = re.findall("^step: (.+)$", output, re.MULTILINE)
    return f"whole: {len(steps)}" in output and len(steps) == script.read_text().count("await step(")


@pytest.mark.apt
@pytest.mark.slow
def test_two_people_with_two_devices_each_encrypt(tmp_path: Path) -> None:
    """Messages both ways, verification of a device and of a person by emojis, a backup restored, a device removed."""
    modules, script = npm.require(), HERE / "js_encryption.mjs"
    server = HearthProcess(tmp_path / "data").start()
    story = npm.start(modules, script, tmp_path, server.url, STEP_MS)
    try:
        assert story.wait(PATIENCE) == 0, f"{story.output()[-4000:]}\n{server.tail()}"
        assert whole(script, story.output()), story.output()
    finally:
        story.end()
        server.end()


@pytest.mark.apt
@pytest.mark.slow
def test_no_key_is_lost_while_the_server_is_killed_again_and_again(tmp_path: Path) -> None:
    """Five hundred messages under keys that change every ten: every device reads all of them, and none twice."""
    modules, script = npm.require(), HERE / "js_killed.mjs"
    server = HearthProcess(tmp_path / "data").start()
    story = npm.start(modules, script, tmp_path, server.url, STEP_MS, "500")
    when, kills = random.Random(20), 0  # noqa: S311 - moments, not secrets
    ends = time.monotonic() + PATIENCE
    try:
        # By what was said and not by the clock, so that a fast machine is killed as often as a slow one.
        next_at = when.randrange(10, 100)
        while story.running() and time.monotonic() < ends and kills < MOST_KILLS and "told: all" not in story.output():
            time.sleep(when.uniform(0.05, 0.2))
            if max(map(int, re.findall(r"told: (\d+)", story.output())), default=0) >= next_at:
                server.kill()
                kills += 1
                server.start()
                next_at += when.randrange(40, 100)
        assert story.wait(PATIENCE) == 0, f"{story.output()[-4000:]}\n{server.tail()}"
        assert whole(script, story.output()), story.output()
        assert kills >= 3, kills
    finally:
        story.end()
        server.end()
