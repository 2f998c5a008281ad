"""The image, built as its owner would build it and run as hardened as its examples run it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.podman import BASE, Podman, require_podman

pytestmark = [pytest.mark.container, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
LARGEST = 200_000_000
"""Bytes on top of the base image."""
ANSWERS = """
server_name = "home.example"
[tls]
mode = "proxy"
trusted_proxies = ["10.0.0.0/8"]
[owner]
username = "alice"
password = "correct horse battery"
[federation]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""
HARDENED = (
    "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=128m",
    "--sysctl=net.ipv4.ip_unprivileged_port_start=0", "--volume=hearth-data:/data",
)  # fmt: skip


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """Podman with the image built in its store."""
    require_podman()
    podman = Podman()
    try:
        podman.import_base()
        podman.run(
            "build", "--pull=never", "--network=host", "--format=docker", *podman.secrets(), "--tag=hearth", str(ROOT)
        )
        yield podman
    finally:
        podman.close()


@pytest.fixture(scope="module")
def hearth(podman: Podman) -> "Hearth":
    """A server that was set up from a file, running in its container."""
    podman.run("run", "--rm", "--interactive", *HARDENED, "hearth", "setup", "--answers", "-", stdin=ANSWERS)
    server = Hearth(podman)
    server.start()
    return server


class Hearth:
    """The container and a client of it."""

    def __init__(self, podman: Podman) -> None:
        self.podman = podman
        self.token = ""
        podman.run("create", "--name=hearth", "--publish=127.0.0.1::80", *HARDENED, "hearth")

    def start(self) -> None:
        """Start the container and wait until it answers."""
        self.podman.run("start", "hearth")
        self.podman.wait_for("hearth", "an answer on /health", self._is_well)

    def stop(self) -> None:
        """Stop the container as an owner's shutdown does: it has 2 seconds before it would be killed."""
        self.podman.run("stop", "--time=2", "hearth")
        state = self.podman.inspect("container", "hearth")["State"]
        assert state["ExitCode"] == 0, self.podman.run("logs", "hearth")
        assert not state["OOMKilled"]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request over the published port; fails on any status but 200."""
        published = self.podman.output("port", "hearth", "80/tcp").splitlines()[0]
        request = urllib.request.Request(
            f"http://{published}{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            result: dict[str, Any] = json.loads(answer.read() or b"{}")
            return result

    def log_in(self, username: str, password: str) -> str:
        """Log in and give the access token."""
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": username},
            "password": password,
        }
        token: str = self.ask("POST", "/_matrix/client/v3/login", login)["access_token"]
        return token

    def order(self, *arguments: str) -> str:
        """Run one of the owner's commands inside the running container."""
        return self.podman.output("exec", "hearth", "hearth", *arguments)

    def _is_well(self) -> bool:
        try:
            self.ask("GET", "/health")
        except (OSError, urllib.error.URLError, ValueError):
            return False
        return True


def test_the_image_is_small(podman: Podman) -> None:
    size = podman.inspect("image", "hearth")["Size"] - podman.inspect("image", BASE)["Size"]
    print(f"{size / 1e6:.0f} MB on top of the base")
    assert size < LARGEST


def test_nothing_of_the_build_stays_in_the_image(podman: Podman) -> None:
    look = """
for program in pip pip3 gcc cc curl wget; do command -v $program && exit 1; done
ls /etc/pip.conf /run/secrets/ca.pem /src 2>/dev/null && exit 1
find / -xdev -name tests -path '*/site-packages/tests' | grep . && exit 1
[ "$(id -u)" = 1000 ] && [ "$(stat -c %U:%a /data)" = hearth:700 ]
"""
    podman.run("run", "--rm", "--entrypoint=sh", "hearth", "-c", look)


def test_the_image_says_what_it_offers(podman: Podman) -> None:
    image = podman.inspect("image", "hearth")
    config = image["Config"]
    assert set(config["ExposedPorts"]) == {"80/tcp", "443/tcp", "8448/tcp"}
    assert list(config["Volumes"]) == ["/data"]
    assert config["User"] not in ("", "0", "root")
    check = image.get("Healthcheck") or config.get("Healthcheck")  # where it is depends on podman's version
    assert check["Test"] == ["CMD", "hearth", "healthcheck"]
    version = podman.output("run", "--rm", "--read-only", "--cap-drop=all", "hearth", "version")
    assert version.startswith("hearth ")


def test_a_server_lives_in_it(hearth: Hearth) -> None:
    """Unattended set-up, a message, an order through the socket, the health check, and all of it after a restart."""
    hearth.token = hearth.log_in("alice", "correct horse battery")
    room = hearth.ask("POST", "/_matrix/client/v3/createRoom", {"name": "Kitchen"})["room_id"]
    message = {"msgtype": "m.text", "body": "Dinner is ready"}
    sent = hearth.ask("PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/1", message)["event_id"]

    added = hearth.order("user", "add", "bob")
    assert "@bob:home.example" in hearth.order("user", "list")
    hearth.podman.run("healthcheck", "run", "hearth")

    hearth.stop()
    hearth.start()
    assert hearth.ask("GET", f"/_matrix/client/v3/rooms/{room}/event/{sent}")["content"] == message
    token = hearth.token
    hearth.token = ""
    assert hearth.log_in("bob", added.splitlines()[1].removeprefix("Password: "))
    hearth.token = token
    hearth.stop()
