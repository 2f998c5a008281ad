"""A real Synapse for tests: a process of its own on SQLite, in the small internet of ``tests.support.network``.

Synapse asks the machine's own DNS, so the Hearths that it shall find are named by address and port
(``Network.hearth_by_address``); a Hearth finds it by the network's DNS like any other server.
"""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support import synapse
from tests.support.hearth import PATIENCE, free_ports
from tests.support.network import Network

_OFTEN = {"per_second": 1_000_000, "burst_count": 1_000_000}


class SynapseProcess:
    """One Synapse; ends with the network.

    Args:
        network: where it is.
        name: its server name.
    """

    def __init__(self, network: Network, name: str = "synapse.test") -> None:
        self.name = name
        self.folder = network.folder / name.replace(".", "-")
        self.folder.mkdir()
        self.http, self.federation = free_ports(2)
        chain, key = network.certificate(name)
        self._config = self.folder / "homeserver.yaml"
        self._config.write_text(json.dumps(self._settings(chain, key)))
        self._log = (self.folder / "output.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        network.names.serve(name, self.federation)
        network.ends_with(self.end)

    @property
    def url(self) -> str:
        """The base address for clients."""
        return f"http://127.0.0.1:{self.http}"

    def start(self) -> "SynapseProcess":
        """Start it and wait until it answers."""
        program = synapse.require()
        line = [program, "-m", "synapse.app.homeserver", "-c", self._config, "--generate-keys"]
        subprocess.run(line, check=True, capture_output=True, timeout=PATIENCE)
        self._process = subprocess.Popen(line[:-1], stdout=self._log, stderr=self._log, cwd=self.folder)
        deadline = time.monotonic() + 2 * PATIENCE
        while not self._answers():
            assert self._process.poll() is None, f"Synapse ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"Synapse does not answer:\n{self.tail()}"
            time.sleep(0.2)
        return self

    def end(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        self._log.close()

    def tail(self) -> str:
        """The end of what it printed."""
        return (self.folder / "output.log").read_text(errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_matrix/client/versions", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def _settings(self, chain: Path, key: Path) -> dict[str, Any]:
        listener = {"bind_addresses": ["127.0.0.1"], "type": "http"}
        clients = {**listener, "port": self.http, "tls": False, "resources": [{"names": ["client"]}]}
        servers = {**listener, "port": self.federation, "tls": True, "resources": [{"names": ["federation"]}]}
        limits = ("message", "registration", "admin_redaction", "delayed_event_mgmt", "room_creation", "joins_per_room")
        return {
            "server_name": self.name,
            "listeners": [clients, servers],
            "tls_certificate_path": str(chain),
            "tls_private_key_path": str(key),
            "signing_key_path": str(self.folder / "signing.key"),
            "media_store_path": str(self.folder / "media"),
            "pid_file": str(self.folder / "homeserver.pid"),
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "report_stats": False,
            "macaroon_secret_key": "macaroon",
            "form_secret": "form",
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "bcrypt_rounds": 4,
            "allow_public_rooms_over_federation": True,
            "room_list_publication_rules": [{"action": "allow"}],
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "federation_verify_certificates": False,
            "ip_range_blacklist": [],
            "federation_ip_range_blacklist": [],
            # Who could not be reached is tried again soon.
            "federation": {"destination_min_retry_interval": "1s", "destination_max_retry_interval": "2s"},
            "url_preview_enabled": False,
            "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _OFTEN),
            "rc_joins": dict.fromkeys(("local", "remote"), _OFTEN),
            "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), _OFTEN),
            **{f"rc_{name}": _OFTEN for name in limits},
        }
