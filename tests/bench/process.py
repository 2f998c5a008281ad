"""A server of the benchmark's own: started, timed, watched and ended."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 90.0
"""Seconds for a start or an end, on a machine that does other things too."""
ANSWERS = """
server_name = "bench.example"
[tls]
mode = "proxy"
[registration]
mode = "open"
[federation]
enabled = false
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""


def resident(process: str = "self") -> float:
    """The memory (RSS) of a process, by default of this one, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


class Process:
    """``hearth serve`` on loopback in plain HTTP.

    Args:
        data: its data folder.
    """

    def __init__(self, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.data = data
        self._log = data.parent / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def set_up(self) -> None:
        """Answer the wizard from a file, while the server does not run."""
        answers = self.data.parent / "answers.toml"
        answers.write_text(ANSWERS)
        subprocess.run(
            [sys.executable, "-m", "appliance.cli", "setup", "--data", self.data, "--answers", answers],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
        )

    def start(self, path: bytes, module: str = "appliance.cli") -> float:
        """Start it and ask until it answers 200.

        Args:
            path: what to ask for.
            module: what to run in place of the command line.

        Returns:
            Seconds from the start of the process to the end of the first answer.
        """
        begin = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "serve", "--data", self.data, "--https", "off",
                 "--federation", "off", "--http", f"127.0.0.1:{self.port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        request = b"GET " + path + b" HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"
        while time.perf_counter() - begin < PATIENCE:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as asked:
                asked.sendall(request)
                if asked.recv(64).split(b" ")[1:2] == [b"200"]:
                    return time.perf_counter() - begin
            if self._process.poll() is not None:
                break
            time.sleep(0.005)
        raise SystemExit(f"hearth serve did not answer:\n{self._log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it as an owner would; kill it where it does not end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it used so far, user and system, all threads."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident(self) -> float:
        """Its memory (RSS) in MiB."""
        assert self._process is not None
        return resident(str(self._process.pid))

    def _proc(self, name: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text()
