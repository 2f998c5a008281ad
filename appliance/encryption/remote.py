"""What encryption needs of the way to other servers: whoever goes that way gives it, app/ hands it in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from appliance.protocol.identifiers import server_of

T = TypeVar("T")
Failures = dict[str, dict[str, Any]]
"""Servers that could not be asked, with what is told of it."""
MOST_SERVERS_AT_ONCE = 50


class Unreachable(Exception):  # noqa: N818 - a fact
    """Another server could not be asked, or answered with nonsense. The message says why."""


class Declined(Unreachable):
    """Another server was reached and does not say what it was asked."""


class RemoteKeys(Protocol):
    """Asks other servers for keys (server-server API, "End-to-End Encryption", "Device Management").

    Every method raises ``Unreachable`` where there is no good answer in time.
    """

    async def query(self, server: str, users: Mapping[str, list[str]], timeout_ms: int) -> dict[str, Any]:
        """POST /_matrix/federation/v1/user/keys/query: its answer, for users to device ids (none for all)."""
        ...

    async def claim(self, server: str, users: Mapping[str, Mapping[str, str]], timeout_ms: int) -> dict[str, Any]:
        """POST /_matrix/federation/v1/user/keys/claim: the ``one_time_keys`` of its answer."""
        ...

    async def devices(self, user_id: str) -> dict[str, Any]:
        """GET /_matrix/federation/v1/user/devices/{userId}: its answer."""
        ...


class RemoteWay:
    """The way to other servers, which is found after what goes by it.

    Args:
        server_name: the name of this server, asked at each use.

    Attributes:
        way: asks other servers; None while there is no way to them.
    """

    def __init__(self, server_name: Callable[[], str]) -> None:
        self._server_name = server_name
        self.way: RemoteKeys | None = None

    @property
    def server_name(self) -> str:
        """The name of this server."""
        return self._server_name()

    def is_local(self, user_id: str) -> bool:
        """Whether a user belongs to this server."""
        return user_id.partition(":")[2] == self._server_name()

    async def query(self, server: str, users: Mapping[str, list[str]], timeout_ms: int) -> dict[str, Any]:
        """As ``RemoteKeys``."""
        return await self._found().query(server, users, timeout_ms)

    async def claim(self, server: str, users: Mapping[str, Mapping[str, str]], timeout_ms: int) -> dict[str, Any]:
        """As ``RemoteKeys``."""
        return await self._found().claim(server, users, timeout_ms)

    async def devices(self, user_id: str) -> dict[str, Any]:
        """As ``RemoteKeys``."""
        return await self._found().devices(user_id)

    def _found(self) -> RemoteKeys:
        if self.way is None:
            raise Unreachable("This server does not talk to others.")
        return self.way


def by_server(users: Mapping[str, T], is_local: Callable[[str], bool]) -> tuple[dict[str, T], dict[str, dict[str, T]]]:
    """Part users into local ones and the others by their servers; what is no user id is left out."""
    local: dict[str, T] = {}
    others: dict[str, dict[str, T]] = {}
    for user_id, value in users.items():
        if is_local(user_id):
            local[user_id] = value
        elif user_id.startswith("@") and ":" in user_id:
            others.setdefault(server_of(user_id), {})[user_id] = value
    return local, others


def failure(error: Unreachable) -> dict[str, Any]:
    """What is told of a server that could not be asked."""
    return {"errcode": "M_UNKNOWN", "error": str(error)}


async def each_server(
    asks: Mapping[str, T], ask: Callable[[str, T], Awaitable[dict[str, Any]]], timeout_ms: int
) -> tuple[dict[str, dict[str, Any]], Failures]:
    """Ask several servers at once; what each answered, and those that could not be asked, or not begun to be in time:
    a client may name as many as it likes.
    """
    answers: dict[str, dict[str, Any]] = {}
    failures: Failures = {}
    waiting = iter(asks.items())
    deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
    late = Unreachable("There was no time left to ask it.")

    async def work() -> None:
        for number, (server, question) in enumerate(waiting):
            if number:
                await asyncio.sleep(0)  # asking may end at once
                if asyncio.get_running_loop().time() >= deadline:
                    failures[server] = failure(late)
                    continue
            try:
                answers[server] = await ask(server, question)
            except Unreachable as error:
                failures[server] = failure(error)

    await asyncio.gather(*(work() for _ in range(min(len(asks), MOST_SERVERS_AT_ONCE))))
    return answers, failures
