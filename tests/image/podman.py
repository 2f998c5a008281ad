"""Podman with a store and a configuration of its own, and the base image made here: no image can be pulled in tests.

The base is Debian's own bootstrap of the release that the Containerfile asks for, imported under that name. It comes
from the package archive that this machine uses, so nothing else has to be reachable.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.apt import _debian_archive, in_ci

BASE = "docker.io/library/debian:trixie-slim"
PROGRAMS = ("podman", "buildah", "runc", "mmdebstrap")
CONTAINERS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/net"
"""
STORAGE = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/run"
"""


def require_podman() -> None:
    """Skip the test where containers cannot be built and run; with CI=true fail it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    reason = ""
    if os.geteuid() != 0:
        reason = "building and running the image is tested as root only"
    elif missing:
        reason = f"the image is not tested: {', '.join(missing)} missing (Debian packages of the same names)"
    elif _debian_archive() is None:
        reason = "the image is not tested: no Debian archive among the machine's package sources"
    if reason:
        if in_ci():
            pytest.fail(reason)
        pytest.skip(reason)


class Podman:
    """Podman with everything of its own in one short-lived folder (its paths may have few characters)."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hearth-"))
        for name in ("tmp", "net", "root", "run"):
            (self.folder / name).mkdir()
        for name, text in (("containers.conf", CONTAINERS), ("storage.conf", STORAGE)):
            (self.folder / name).write_text(text.format(folder=self.folder))
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def run(self, *arguments: str, stdin: str = "", check: bool = True, timeout: float = 300) -> tuple[int, str, str]:
        """Run podman with these arguments.

        Returns:
            Exit code, standard output, standard error.
        """
        done = subprocess.run(
            ["podman", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
        return done.returncode, done.stdout, done.stderr

    def output(self, *arguments: str) -> str:
        """What podman prints, without the line's end."""
        return self.run(*arguments)[1].strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What podman knows of an image, a container or a volume."""
        found: list[dict[str, Any]] = json.loads(self.output(kind, "inspect", name))
        return found[0]

    def import_base(self) -> None:
        """Bootstrap Debian and import it under the name that the Containerfile asks for."""
        archive = self.folder / "base.tar"
        release = BASE.rpartition(":")[2].removesuffix("-slim")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", release, archive, f"deb {_debian_archive()} {release} main"],
            check=True,
            timeout=300,
        )
        path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.run("import", "--quiet", "-c", 'CMD ["bash"]', "-c", path, str(archive), BASE)
        archive.unlink()

    def secrets(self) -> list[str]:
        """Arguments that hand this machine's way to the package index to a build, leaving nothing in the image.

        Where pip is told of an index, a certificate bundle or the like, a build needs the same.
        """
        listed = subprocess.run(
            [shutil.which("python3") or "python3", "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
        wanted = {key.rpartition(".")[2]: value.strip("'\"") for key, value in settings.items()}
        lines = [f"{key} = {wanted[key]}" for key in ("index-url", "extra-index-url", "trusted-host") if key in wanted]
        arguments = []
        bundle = wanted.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
        if bundle and Path(bundle).is_file():
            lines.append("cert = /run/secrets/ca.pem")
            arguments += ["--secret", f"id=ca.pem,src={bundle}"]
        if lines:
            configuration = self.folder / "pip.conf"
            configuration.write_text("\n".join(["[global]", *lines, ""]))
            arguments += ["--secret", f"id=pip.conf,src={configuration}"]
        return arguments

    def wait_for(self, container: str, what: str, done: Any, seconds: float = 60) -> Any:
        """Ask again and again until ``done()`` gives something; else fail with the container's log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = done()
            if value:
                return value
            time.sleep(0.1)
        _, output, errors = self.run("logs", container, check=False)
        raise AssertionError(f"{what} did not happen within {seconds} s:\n{output[-4000:]}{errors[-4000:]}")

    def close(self) -> None:
        """End its containers and remove its store."""
        self.run("rm", "--force", "--all", "--time", "0", check=False)
        self.run("volume", "rm", "--force", "--all", check=False)
        self.run("rmi", "--force", "--all", check=False)
        for mounted in ("root/overlay", "root"):
            subprocess.run(["umount", self.folder / mounted], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
