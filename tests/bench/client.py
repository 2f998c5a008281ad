"""A client that costs as little as it can: the server shares two cores with it."""

import asyncio
import json
from typing import Any, Self, cast
from urllib.parse import quote

PREFIX = "/_matrix/client/v3"
PASSWORD = "correct horse battery"


class RefusedError(Exception):
    """The server answered something else than 200."""


class Wire(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection with at most one request under way; answers come with their length."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)

    @property
    def is_open(self) -> bool:
        """Whether the connection stands: the server ends those that are idle for long."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail whoever waits."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Give the answer out as soon as it is whole."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._buffer = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), rest))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; give status and body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Person:
    """A user of the server, on a connection of their own."""

    def __init__(self, port: int) -> None:
        self._wire = Wire()
        self._port = port
        self._number = 0
        self.token = ""
        self.user_id = ""
        self.since = ""

    @classmethod
    async def register(cls, port: int, username: str) -> Self:
        """Make an account and log it in."""
        person = cls(port)
        account = {"username": username, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        made = await person.call("POST", f"{PREFIX}/register", account)
        person.token, person.user_id = made["access_token"], made["user_id"]
        return person

    @classmethod
    async def login(cls, port: int, username: str) -> Self:
        """Log an account in."""
        person = cls(port)
        who = {"type": "m.id.user", "user": username}
        made = await person.call(
            "POST", f"{PREFIX}/login", {"type": "m.login.password", "identifier": who, "password": PASSWORD}
        )
        person.token, person.user_id = made["access_token"], made["user_id"]
        return person

    def another(self) -> Self:
        """The same user, for one more connection."""
        twin = type(self)(self._port)
        twin.token, twin.user_id, twin.since = self.token, self.user_id, self.since
        return twin

    async def raw(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A request and the body of its answer; ``RefusedError`` for any status but 200."""
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}Content-Length: {len(body)}\r\n"
        if not self._wire.is_open:
            _, self._wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", self._port)
        status, answer = await self._wire.ask(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        if status != 200:
            raise RefusedError(f"{method} {path}: {status} {answer[:300]!r}")
        return answer

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request with JSON both ways."""
        answer: dict[str, Any] = json.loads(
            await self.raw(method, path, b"" if body is None else json.dumps(body).encode())
        )
        return answer

    async def create_room(self) -> str:
        """Make a public room; gives its id."""
        room: str = (await self.call("POST", f"{PREFIX}/createRoom", {"preset": "public_chat"}))["room_id"]
        return room

    async def join(self, room: str) -> None:
        """Join a room."""
        await self.call("POST", f"{PREFIX}/join/{quote(room)}", {})

    async def send(self, room: str, text: str) -> None:
        """Send a text message."""
        self._number += 1
        path = f"{PREFIX}/rooms/{quote(room)}/send/m.room.message/{id(self)}.{self._number}"
        await self.raw("PUT", path, b'{"msgtype":"m.text","body":"' + text.encode() + b'"}')

    async def sync(self, timeout_ms: int = 0) -> bytes:
        """One sync from where the last one ended; gives its whole answer."""
        since = f"&since={quote(self.since)}" if self.since else ""
        answer = await self.raw("GET", f"{PREFIX}/sync?timeout={timeout_ms}{since}")
        self.since = json.loads(answer)["next_batch"]
        return answer

    def close(self) -> None:
        """Leave."""
        self._wire.close()
