"""A real `hearth serve` for tests: a process with a data folder and free ports of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

PATIENCE = 90.0
"""Seconds for a start or an end, on a machine that does other things too."""

ANSWERS = """
server_name = "{name}"
[tls]
mode = "proxy"
[registration]
mode = "open"
[federation]
enabled = false
[presence]
enabled = false
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""


class HearthProcess:
    """One server.

    Args:
        folder: its data folder, kept over restarts.
        answers: an answers file for the set-up; empty leaves the server unclaimed.
        tls: whether the listeners for HTTPS and for federation run too.
        federates: whether that for federation runs, and the one for HTTPS does not.
        environment: more environment variables.
    """

    def __init__(
        self,
        folder: Path,
        answers: str = ANSWERS.format(name="hearth.example"),
        *,
        tls: bool = False,
        federates: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.http, self.https, self.federation = free_ports(3)
        self._tls, self._federates = tls, tls or federates
        self._environment = {**os.environ, **(environment or {})}
        # Where bytecode is not kept, every start compiles all of Hearth: more than half of its time.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder.parent / f"{folder.name}.log"
        if answers:
            self.setup(answers)

    @property
    def url(self) -> str:
        """The base address of the plain listener."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of the command line's commands on this server's data."""
        line = [sys.executable, "-m", "appliance.cli", *arguments, "--data", str(self.folder)]
        return subprocess.run(
            line, input=text, capture_output=True, text=True, timeout=60, env=self._environment, check=False
        )

    def setup(self, answers: str) -> None:
        """Answer the wizard from a file."""
        done = self.command("setup", "--answers", "-", text=answers)
        assert done.returncode == 0, done.stderr

    def start(self) -> "HearthProcess":
        """Start it and wait until it answers."""
        off = "off"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "appliance.cli", "serve", "--data", str(self.folder)),
                    *("--http", f"127.0.0.1:{self.http}"),
                    *("--https", f"127.0.0.1:{self.https}" if self._tls else off),
                    *("--federation", f"127.0.0.1:{self.federation}" if self._federates else off),
                ],
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, f"the server ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the server does not answer:\n{self.tail()}"
            time.sleep(0.05)
        return self

    def stop(self, number: int = signal.SIGTERM) -> float:
        """End it, and say how many seconds that took."""
        assert self._process is not None
        begin = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        self._process.wait(PATIENCE)
        self._process = None
        return time.monotonic() - begin

    def kill(self) -> None:
        """End it without any warning."""
        self.stop(signal.SIGKILL)

    def end(self) -> None:
        """Stop it if it runs; for the end of a test."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on at the moment."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found
