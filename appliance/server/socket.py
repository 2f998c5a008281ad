"""hearth.sock: how the owner's commands reach a running server. One JSON object a line, each way.

A request is ``{"command": …, "arguments": {…}}``; the answer ``{"ok": …}`` or ``{"error": sentence, "exit_code": n}``.
Only the user that runs the server can open the socket.
"""

import asyncio
import contextlib
import inspect
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from appliance.errors import OwnerError
from appliance.server.folder import DataFolder

log = logging.getLogger("hearth.socket")

Command = Callable[..., Awaitable[Any]]
MAX_LINE = 1024 * 1024
_PATIENCE = 300.0
"""Seconds that the asking side waits: a setup may hash passwords and order certificates."""


class NotRunningError(OwnerError):
    """No server answers on the socket of this folder."""


class OwnerSocket:
    """The server's side.

    Args:
        folder: the data folder, locked by us.
        commands: by name; called with the arguments as keywords.
    """

    def __init__(self, folder: DataFolder, commands: Mapping[str, Command]) -> None:
        self._folder = folder
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. A socket that a killed server left behind is replaced.

        Raises:
            OwnerError: where the folder's file system knows no sockets.
        """
        listening = socket.socket(socket.AF_UNIX)
        try:
            self._folder.socket.unlink(missing_ok=True)
            previous = os.umask(0o177)
            try:
                with _short_path(self._folder.socket) as path:
                    listening.bind(path)
            finally:
                os.umask(previous)
            self._server = await asyncio.start_unix_server(self._converse, sock=listening, limit=MAX_LINE)
        except OSError as error:
            listening.close()
            raise OwnerError(f"The socket {self._folder.socket} cannot be made: {error.strerror}.") from error

    async def close(self) -> None:
        """Stop listening and end the conversations."""
        if self._server is None:
            return
        self._server.close()
        for conversation in list(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._folder.socket.unlink(missing_ok=True)
        self._server = None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
        try:
            while line := await reader.readline():
                writer.write(orjson.dumps(await self._answer(line), default=str) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # left, or a line longer than any command
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            name, arguments = _parse(line)
            command = self._commands.get(name)
            if command is None:
                raise OwnerError(f"The running server does not know the command {name}: is it an older version?")
            try:
                inspect.signature(command).bind(**arguments)
            except TypeError as error:
                raise OwnerError(f"The command {name} was given other arguments than it takes: {error}.") from error
            return {"ok": await command(**arguments)}
        except OwnerError as error:
            return {"error": error.message, "exit_code": error.exit_code}
        except Exception as error:
            log.error("A command of the owner's failed.", exc_info=error)
            return {"error": "The server could not carry this out; its log says why.", "exit_code": 1}


def ask(folder: DataFolder, command: str, arguments: Mapping[str, Any]) -> Any:
    """Have a running server carry out a command; blocks until it has.

    Args:
        folder: the data folder of that server.
        command: its name.
        arguments: its arguments, as JSON can hold them.

    Returns:
        What the command returned, as JSON.

    Raises:
        NotRunningError: where no server listens.
        OwnerError: with the sentence that the server answered.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            with _short_path(folder.socket) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunningError(f"No Hearth is running on the data folder {folder.path}.") from error
        except OSError as error:
            raise OwnerError(f"The running server cannot be reached by {folder.socket}: {error.strerror}.") from error
        try:
            connection.sendall(orjson.dumps({"command": command, "arguments": dict(arguments)}) + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
        except OSError as error:
            raise OwnerError("The running server took too long to answer, or stopped meanwhile.") from error
    if not line.endswith(b"\n"):
        raise OwnerError("The running server stopped before it had answered.")
    answer: dict[str, Any] = orjson.loads(line)
    if "error" in answer:
        raise OwnerError(answer["error"], answer.get("exit_code", 1))
    return answer["ok"]


def _parse(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise OwnerError("A command must be one line of JSON.") from error
    match request:
        case {"command": str(name), "arguments": dict(arguments)}:
            return name, arguments
        case _:
            raise OwnerError("A command must say its command and its arguments.")


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """The path of a socket in a form that fits: the system takes 107 bytes, and a data folder may lie deeper."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}" if len(os.fsencode(path)) > 100 else str(path)
    finally:
        os.close(folder)
