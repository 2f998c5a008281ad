"""matrix-js-sdk, the library of Element Web, lives a session with a running Hearth."""

import re
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.hearth import HearthProcess

SCRIPT = Path(__file__).with_name("js_session.mjs")
PATIENCE = 180.0


@pytest.mark.apt
def test_two_people_live_a_session(tmp_path: Path) -> None:
    """Log in, sync, a space with rooms, thread, edit, reaction, redaction, search, receipts, history, leave, forget."""
    modules = npm.require()
    server = HearthProcess(tmp_path / "data").start()
    session = npm.start(modules, SCRIPT, tmp_path, server.url)
    try:
        assert session.wait(PATIENCE) == 0, f"{session.output()[-4000:]}\n{server.tail()}"
        steps = re.findall("^step: (.+)$", session.output(), re.MULTILINE)
        assert f"whole: {len(steps)}" in session.output()
        assert len(steps) == SCRIPT.read_text().count("await step(")
    finally:
        session.end()
        server.end()
