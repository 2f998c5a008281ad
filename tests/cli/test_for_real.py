"""The owner's commands as processes, on a data folder by themselves and on a running server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.hearth import HearthProcess

pytestmark = pytest.mark.slow

ANSWERS = """
server_name = "home.example"
[tls]
mode = "proxy"
[owner]
username = "alice"
password = "correct horse battery"
[federation]
enabled = false
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""


@pytest.fixture
def unclaimed(tmp_path: Path) -> Iterator[HearthProcess]:
    """A server that is not set up and does not run yet."""
    server = HearthProcess(tmp_path / "data", answers="")
    yield server
    server.end()


def output(server: HearthProcess, *arguments: str, text: str = "") -> str:
    """What a command prints; it has to succeed."""
    done = server.command(*arguments, text=text)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(server: HearthProcess, *arguments: str, text: str = "") -> str:
    """The one sentence that a command fails with."""
    done = server.command(*arguments, text=text)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def password_in(printed: str) -> str:
    """The password that a command made up and printed."""
    return printed.splitlines()[1].removeprefix("Password: ")


def may_log_in(server: HearthProcess, username: str, password: str) -> bool:
    """Whether this is somebody's password."""
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": username}, "password": password}
    return Client(server.url).ask("POST", "/login", login).status_code == 200


def test_on_a_running_server(unclaimed: HearthProcess) -> None:
    """Claim code, set-up from a file, then accounts: all through the socket, while the server runs."""
    server = unclaimed.start()
    assert output(server, "claim-code").strip() == (server.folder / "claim-code").read_text().strip()
    assert "not set up yet" in refusal(server, "user", "list")
    assert "tls.mode" in refusal(server, "setup", "--answers", "-", text=ANSWERS.replace('"proxy"', '"magic"'))
    assert output(server, "setup", "--answers", "-", text=ANSWERS) == (
        "home.example is set up.\nIts owner is @alice:home.example.\n"
    )
    assert may_log_in(server, "alice", "correct horse battery")
    assert "already set up" in refusal(server, "setup", "--answers", "-", text=ANSWERS)
    assert "nothing to claim" in refusal(server, "claim-code")

    made_up = password_in(output(server, "user", "add", "bob"))
    assert may_log_in(server, "bob", made_up)
    output(server, "user", "reset-password", "bob", "--ask-password", text="one of my own\n")
    assert may_log_in(server, "bob", "one of my own")
    assert not may_log_in(server, "bob", made_up)
    assert output(server, "user", "list") == "@alice:home.example admin\n@bob:home.example\n"
    assert "already running" in refusal(server, "serve")
    output(server, "user", "lock", "bob")
    assert not may_log_in(server, "bob", "one of my own")
    output(server, "user", "lock", "bob", "--undo")
    assert may_log_in(server, "bob", "one of my own")
    output(server, "user", "deactivate", "bob", "--yes")
    assert not may_log_in(server, "bob", "one of my own")
    assert output(server, "user", "list") == "@alice:home.example admin\n@bob:home.example deactivated\n"


def test_on_a_folder_whose_server_does_not_run(unclaimed: HearthProcess) -> None:
    """Set-up before the first start, and accounts between two runs."""
    output(unclaimed, "setup", "--answers", "-", text=ANSWERS)
    made_up = password_in(output(unclaimed, "user", "add", "bob", "--admin"))
    assert output(unclaimed, "user", "list") == "@alice:home.example admin\n@bob:home.example admin\n"
    assert "nothing to claim" in refusal(unclaimed, "claim-code")
    assert may_log_in(unclaimed.start(), "bob", made_up)


def test_the_health_check(unclaimed: HearthProcess) -> None:
    """A server that does not run is not well; one that waits for its owner is."""
    check = [sys.executable, "-m", "appliance.cli", "healthcheck", "--http", f":{unclaimed.http}", "--https", "off"]
    before = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert before.returncode == 1
    assert "does not answer /health" in before.stderr
    unclaimed.start()
    assert subprocess.run(check, capture_output=True, text=True, timeout=60, check=True).stdout == "well\n"
