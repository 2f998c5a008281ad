"""The owner's commands about other servers, for the command line and the socket; results are plain JSON values."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from appliance.errors import OwnerError

GLOB = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]*?")
Command = Callable[..., Coroutine[Any, Any, Any]]


class Servers(Protocol):
    """Other servers, as far as the owner is concerned (``federation/overview.py``)."""

    def every(self) -> list[dict[str, Any]]:
        """Every server with which this one has had to do."""

    def retry(self, server: str = "") -> list[str]:
        """Try a server again now, or all that do not answer."""

    async def block(self, glob: str) -> None:
        """Talk no more with the servers of a glob."""

    async def allow(self, glob: str) -> None:
        """Talk with them."""


class ServerCommands:
    """The owner's commands about other servers.

    Args:
        servers: the others.
        running: whether a server runs that could try them.
    """

    def __init__(self, servers: Servers, *, running: bool) -> None:
        self._servers = servers
        self._running = running

    def as_mapping(self) -> Mapping[str, Command]:
        """Every command by the name that the socket knows."""
        return {
            "federation_list": self.federation_list,
            "federation_retry": self.federation_retry,
            "federation_block": self.federation_block,
            "federation_allow": self.federation_allow,
        }

    async def federation_list(self) -> list[dict[str, Any]]:
        """How it goes with every other server; see ``Overview.every``."""
        return self._servers.every()

    async def federation_retry(self, server: str = "") -> dict[str, Any]:
        """Try a server that does not answer again now, or all of them: ``servers``, those that are tried."""
        if not self._running:
            raise OwnerError("No Hearth is running here, so there is nobody to try: it tries all again when it starts.")
        found = self._servers.retry(server)
        if server and not found:
            raise OwnerError(f"{server} is not one that fails to answer. `hearth federation list` shows those that do.")
        return {"servers": found}

    async def federation_block(self, servers: str) -> dict[str, Any]:
        """Talk no more with servers: ``servers``, the glob."""
        await self._servers.block(_glob(servers))
        return {"servers": servers}

    async def federation_allow(self, servers: str) -> dict[str, Any]:
        """Talk with servers that were blocked: ``servers``, the glob."""
        await self._servers.allow(_glob(servers))
        return {"servers": servers}


def _glob(text: str) -> str:
    """A name with ``*`` and ``?`` in it, or without."""
    if not text or len(text) > 255 or not set(text) <= GLOB:
        raise OwnerError(f'"{text}" is no name of servers: write example.org, or *.example.org for all below it.')
    return text
