"""matrix-js-sdk on Node, in a folder of its own outside the project, to let a client that others keep live with Hearth.

``python -m tests.support.apt`` installs it once into the cache folder by the machine's npm, with a Node that is new
enough for it; nothing of it comes into the project. A test asks with ``require()`` and starts a script with ``start``:

    story = start(require(), Path(__file__).with_name("story.mjs"), tmp_path, server.url)
    assert story.wait(60) == 0, story.output()
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import apt

PACKAGES = ("matrix-js-sdk@43.0.0", "node@24.21.0")
"""What is installed, pinned; the second is the Node that runs it, since Debian's are too old for the first."""


class Script:
    """A running script.

    Args:
        process: Node.
        log: where all that it says goes.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def wait(self, seconds: float) -> int:
        """Wait for its end.

        Args:
            seconds: after which it is killed.

        Returns:
            its exit code, negative where it had to be killed.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def output(self) -> str:
        """What it has said until now, on both of its outputs."""
        return self._log.read_text(errors="replace")

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Send it a line on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Kill it if it runs; for the end of a test."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def start(modules: Path, script: Path, folder: Path, *arguments: str) -> Script:
    """Start a script on Node.

    Args:
        modules: what ``require`` gave.
        script: the script, an ``.mjs``; it may import what is installed by name, and ``.mjs`` files beside it.
        folder: a folder of the test's own, in which the script works.
        arguments: handed to it.
    """
    work = folder / script.stem
    work.mkdir()
    # Node looks for packages beside the file that asks for them, so the script goes where it can find them.
    for beside in script.parent.glob("*.mjs"):
        shutil.copy(beside, work)
    (work / "node_modules").symlink_to(modules)
    log = work / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [modules / ".bin" / "node", work / script.name, *arguments],
            cwd=work,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("NODE_")},
        )
    return Script(process, log)


def modules() -> Path | None:
    """The folder of installed packages, if a run of ``tests.support.apt`` made it."""
    folder = _folder()
    return folder / "node_modules" if (folder / "whole").is_file() else None


def ensure() -> str:
    """Install the packages, unless they are there.

    Returns:
        Why that was not possible, or "".
    """
    if modules() is not None:
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm on this machine"
    folder = _folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n')
    print(f"Installing {' and '.join(PACKAGES)} into a folder of their own ...", flush=True)
    made = apt.run(npm, "install", "--no-audit", "--no-fund", *PACKAGES, folder=folder)
    if not made or not apt.run(str(folder / "node_modules" / ".bin" / "node"), "--version"):
        return f"{' and '.join(PACKAGES)} could not be installed, see above"
    (folder / "whole").touch()
    return ""


def require() -> Path:
    """As ``modules``. Skips the test where there is nothing; with CI=true fails it, unless the machine has no npm."""
    found = modules()
    if found is None:
        reason = f"{PACKAGES[0]} is not installed: try `python -m tests.support.apt matrix-js-sdk`"
        if apt.in_ci() and shutil.which("npm") is not None:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _folder() -> Path:
    return apt.cache_folder() / "-".join(package.replace("@", "-") for package in PACKAGES)
