"""Asking other servers for their users' keys (server-server API, "End-to-End Encryption", "Device Management")."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from appliance.encryption.remote import Declined
from appliance.encryption.remote import Unreachable as NotAsked
from appliance.federation.client import FederationClient, path_of
from appliance.federation.failures import Refused, Unreachable
from appliance.protocol.identifiers import server_of

log = logging.getLogger("hearth.federation.devices")

MAX_BYTES = 4 * 1024 * 1024
DEVICES_SECONDS = 30.0
CHASE_SECONDS = 300.0
"""How often lists of devices are asked for that could not be had."""


class RemoteKeys:
    """Asks for keys.

    Args:
        client: sends the questions.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def query(self, server: str, users: Mapping[str, list[str]], timeout_ms: int) -> dict[str, Any]:
        """What ``/user/keys/query`` answers; raises the ``Unreachable`` of ``encryption``."""
        path = path_of("federation", "v1", "user", "keys", "query")
        return await self._ask(server, "POST", path, {"device_keys": users}, timeout_ms / 1000)

    async def claim(self, server: str, users: Mapping[str, Mapping[str, str]], timeout_ms: int) -> dict[str, Any]:
        """The keys that ``/user/keys/claim`` answers; raises the same."""
        path = path_of("federation", "v1", "user", "keys", "claim")
        answer = await self._ask(server, "POST", path, {"one_time_keys": users}, timeout_ms / 1000)
        keys = answer.get("one_time_keys")
        return keys if isinstance(keys, dict) else {}

    async def devices(self, user_id: str) -> dict[str, Any]:
        """What ``/user/devices`` answers; raises the same."""
        path = path_of("federation", "v1", "user", "devices", user_id)
        return await self._ask(server_of(user_id), "GET", path, None, DEVICES_SECONDS)

    async def _ask(self, server: str, method: str, path: str, content: Any, seconds: float) -> dict[str, Any]:
        try:
            return await self._client.request(
                server, method, path, content=content, timeout=max(0.1, seconds), max_bytes=MAX_BYTES
            )
        except Unreachable as error:
            raise NotAsked(error.sentence) from error
        except Refused as error:
            kind = NotAsked if error.is_fault else Declined
            raise kind(f"It answered {error.status}: {error.error}") from error


class Chasing:
    """Asks again for lists of devices that could not be had: now and then, and when a server is back.

    Args:
        chase: asks for some of them; how many are right now.
    """

    def __init__(self, chase: Callable[[], Awaitable[int]]) -> None:
        self._chase = chase
        self._task: asyncio.Task[None] | None = None
        self._again = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._work(), name="lists of devices")

    def look(self) -> None:
        """Some may be to be had now."""
        self._again.set()

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                while await self._chase():
                    pass
            except Exception:
                log.exception("Lists of devices could not be asked for.")
            try:
                async with asyncio.timeout(CHASE_SECONDS):
                    await self._again.wait()
            except TimeoutError:
                continue
            self._again.clear()
