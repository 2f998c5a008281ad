"""matrix-rust-sdk, the library of Element X, lives a session with a running Hearth.

The library takes ten minutes and more to build, so it is run by hand, where Rust is on the machine: ``just element-x``.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import apt
from tests.support.client import Client
from tests.support.hearth import HearthProcess

SOURCE = Path(__file__).with_name("rust_session")
ASKED = "RUST_SESSION"
PATIENCE = 600.0
PASSWORD = "correct horse battery"


@pytest.mark.slow
def test_two_people_live_a_session_in_element_x(tmp_path: Path) -> None:
    """Sliding sync, timelines, encryption with recovery, verification in a room and of a device, spaces, notifications;
    each of the two looks at what the library made of what the server told."""
    if not os.environ.get(ASKED):
        pytest.skip(f"it takes long to build: `just element-x` runs it (it sets {ASKED})")
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo on this machine")
    target = apt.cache_folder() / "rust-session"
    # A lock file would name where the packages come from, and so stays outside like all that is built.
    shutil.copytree(SOURCE, target, dirs_exist_ok=True)
    subprocess.run(["cargo", "build", "--quiet"], cwd=target, check=True)
    server = HearthProcess(tmp_path / "data").start()
    try:
        for name in ("alice", "bob"):
            Client.register(server.url, name, PASSWORD)
        ran = subprocess.run(
            [target / "target" / "debug" / "rust-session", server.url, tmp_path, PASSWORD],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-4000:]}\n{server.tail()}"
        steps = re.findall("^step: (.+)$", ran.stdout, re.MULTILINE)
        assert len(steps) == (SOURCE / "src" / "main.rs").read_text().count('    step("')
        assert steps[-1] == "whole"
    finally:
        server.end()
