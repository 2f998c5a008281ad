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


class Key(Protocol):
    """A key that signs."""

    @property
    def key_id(self) -> str:
        """Its id."""


class Keys(Protocol):
    """This server's signing keys."""

    @property
    def current(self) -> Key | None:
        """The key that signs; None before the set-up made one."""

    async def rotate(self) -> Key:
        """Sign with a new key from now on."""


class ServerCommands:
    """The owner's commands about other servers.

    Args:
        servers: the others.
        keys: what this server signs with.
        running: whether a server runs that could try them.
    """

    def __init__(self, servers: Servers, keys: Keys, *, running: bool) -> None:
        self._servers = servers
        self._keys = keys
        self._running = running

    def as_mapping(self) -> Mapping[str, Command]:
        """Every command by the name that the socket knows."""
        return {
            "federation_list": self.federation_list,
            "federation_retry": self.federation_retry,
            "federation_block": self.federation_block,
            "federation_allow": self.federation_allow,
            "federation_new_key": self.federation_new_key,
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

    async def federation_new_key(self) -> dict[str, Any]:
        """Sign with a new key: ``key``, its id. For a key that somebody else may have seen."""
        if self._keys.current is None:
            raise OwnerError("This Hearth is not set up yet, so it has no key that could be replaced.")
        return {"key": (await self._keys.rotate()).key_id}


def _glob(text: str) -> str:
    """A name with ``*`` and ``?`` in it, or without."""
    if not text or len(text) > 255 or not set(text) <= GLOB:
        raise OwnerError(f'"{text}" is no name of servers: write example.org, or *.example.org for all below it.')
    return text
