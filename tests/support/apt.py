"""Programs of others that some tests need: finding them, and installing them where that is ours to do.

``python -m tests.support.apt`` is called by ``just test``. As root on a Debian-like machine it installs what is
missing; elsewhere it says which tests are left out and why. With ``CI=true`` a program that is missing is a failure.

A test asks with ``require("pebble")``.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest


class Program(NamedTuple):
    """A program, the Debian package that brings it, and what cannot be tested without it."""

    package: str
    tests: str


PROGRAMS = {
    "chromium": Program("chromium", "the browser tests (tests/browser)"),
    "pebble": Program("pebble", "the certificate tests against an ACME server (tests/tls, tests/browser)"),
}
SYNAPSE = "synapse"
"""No Debian package, but asked for in the same way: see ``tests.support.synapse``."""
JS_SDK = "matrix-js-sdk"
"""Nor is this one: see ``tests.support.npm``."""
SCHEMATHESIS = "schemathesis"
"""Nor this one: see ``tests.support.schemathesis``."""
NIO_E2E = "nio-e2e"
"""Nor this one: see ``tests.support.nio_olm``."""
NEWER_SUITE = "forky"
"""The Debian suite whose Pebble knows renewal information, profiles and short-lived certificates."""


def in_ci() -> bool:
    """Whether a missing program has to fail instead of being skipped."""
    return os.environ.get("CI", "").lower() == "true"


def require(name: str) -> Path:
    """The path of a program of ``PROGRAMS``. Skips the test where it is missing; with CI=true fails it."""
    found = shutil.which(name)
    if found:
        return Path(found)
    reason = f"{name} is not installed (Debian package {PROGRAMS[name].package}): try `python -m tests.support.apt`"
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


def cache_folder() -> Path:
    """Where test programs that are not installed system-wide are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hearth-tests"


def newer_pebble() -> Path | None:
    """The Pebble of the newer suite (its ``pebble-challtestsrv`` beside it), if a run of this module fetched it."""
    program = cache_folder() / f"pebble-{NEWER_SUITE}" / "usr" / "bin" / "pebble"
    return program if program.is_file() else None


def require_newer_pebble() -> Path:
    """As ``newer_pebble``, skipping the test where there is none: not every machine can reach that suite."""
    program = newer_pebble()
    if program is None:
        pytest.skip(f"no Pebble from Debian's {NEWER_SUITE}: no tests of renewal information and profiles")
    return program


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def run(*command: str, folder: Path | None = None) -> bool:
    """Run a command quietly; its output is shown only when it fails. Gives whether it did not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=900,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return False
    if done.returncode:
        print(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}", file=sys.stderr)
    return done.returncode == 0


def ensure(*names: str) -> list[str]:
    """Install the missing ones of these programs, if that is possible here.

    Returns:
        The names that are still missing.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing and _may_install():
        packages = [PROGRAMS[name].package for name in missing]
        print(f"Installing {', '.join(packages)} ...", flush=True)
        run("apt-get", "update", "-q")
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        missing = [name for name in missing if shutil.which(name) is None]
    return missing


def ensure_newer_pebble() -> str:
    """Fetch the newer Pebble into the cache folder: the package is unpacked there, nothing is installed.

    Returns:
        Why that was not possible, or "".
    """
    if newer_pebble() is not None:
        return ""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "this is not a Debian-like machine"
    archive = _debian_archive()
    if archive is None:
        return "no Debian archive among the machine's package sources"
    work = cache_folder() / "apt"
    (work / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    sources = work / "sources.list"
    sources.write_text(f"deb {archive} {NEWER_SUITE} main\n")
    options = [f"-o{key}={value}" for key, value in (
        ("Dir::Etc::sourcelist", sources), ("Dir::Etc::sourceparts", "-"), ("Dir::State::lists", work / "lists"),
        ("Dir::Cache", work / "cache"), ("APT::Sandbox::User", ""), ("Acquire::Languages", "none"),
    )]  # fmt: skip
    print(f"Fetching Pebble from {NEWER_SUITE} ...", flush=True)
    fetched = run("apt-get", *options, "update", "-q") and run(
        "apt-get", *options, "download", "-q", "pebble", folder=work
    )
    packages = sorted(work.glob("pebble_*.deb"))
    target = cache_folder() / f"pebble-{NEWER_SUITE}"
    if not fetched or not packages or not run("dpkg-deb", "-x", str(packages[-1]), str(target)):
        return f"Debian's {NEWER_SUITE} could not be reached or has no Pebble"
    shutil.rmtree(work)
    return ""


def _debian_archive() -> str | None:
    """``[options] URI`` of the machine's own Debian archive, taken from its package sources."""
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        one_line = re.search(r"^deb\s+(\[[^\]]*\]\s+)?(\S+/debian/?)\s+\S+\s+.*\bmain\b", text, re.MULTILINE)
        if one_line:
            return f"{one_line[1] or ''}{one_line[2]}"
        uri = re.search(r"^URIs:\s*(\S+/debian/?)(\s|$)", text, re.MULTILINE)
        if uri:
            key = re.search(r"^Signed-By:\s*(/\S+)\s*$", text, re.MULTILINE)
            return f"[signed-by={key[1]}] {uri[1]}" if key else uri[1]
    return None


def main(arguments: Sequence[str]) -> int:
    """Install what is missing among the named programs (all without a name) and say what is left out.

    Returns:
        The exit status: 1 if something is missing and CI=true.
    """
    # Imported here, as these need this module themselves.
    from tests.support import nio_olm, npm, schemathesis, synapse

    makers = {
        SYNAPSE: (synapse.ensure, "tests of state resolution beside Synapse's", True),
        JS_SDK: (npm.ensure, "the sessions of matrix-js-sdk (tests/interop)", shutil.which("npm") is not None),
        SCHEMATHESIS: (schemathesis.ensure, "requests that schemathesis makes up (tests/fuzz)", True),
        # Not for every Python is there a libolm to be had: that fails nobody.
        NIO_E2E: (nio_olm.ensure, "encryption by matrix-nio (tests/interop)", False),
    }
    names = list(arguments) or [*PROGRAMS, *makers]
    missing = ensure(*(name for name in names if name not in makers))
    why = "installing failed, see above" if _may_install() else "installed only as root on a Debian-like system"
    for name in missing:
        print(f"LEFT OUT: {PROGRAMS[name].tests}: {name} is missing ({why}).", flush=True)
    if "pebble" in names and "pebble" not in missing:
        reason = ensure_newer_pebble()
        if reason:
            print(f"LEFT OUT: tests of renewal information and certificate profiles: {reason}.", flush=True)
    for name, (make, tests, needed) in makers.items():
        reason = make() if name in names else ""
        if reason:
            missing += [name] if needed else []
            print(f"LEFT OUT: {tests}: {reason}.", flush=True)
    return 1 if missing and in_ci() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
