"""The owner's commands over the socket."""

import asyncio
import contextlib
import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import OwnerError
from appliance.server.folder import DataFolder
from appliance.server.socket import Command, NotRunningError, OwnerSocket, ask
from tests.server.harness import run


async def _greet(name: str, times: int = 1) -> dict[str, Any]:
    return {"greeting": f"Hello {name}" * times}


async def _refuse() -> None:
    raise OwnerError("There is nobody of that name.", 3)


async def _break() -> None:
    raise RuntimeError("secret")


COMMANDS: dict[str, Command] = {"greet": _greet, "refuse": _refuse, "break": _break}


def _talk(folder: DataFolder, *questions: tuple[str, dict[str, Any]]) -> list[Any]:
    async def one(command: str, arguments: dict[str, Any]) -> Any:
        try:
            return await asyncio.to_thread(ask, folder, command, arguments)
        except OwnerError as error:
            return error

    async def work() -> list[Any]:
        server = OwnerSocket(folder, COMMANDS)
        await server.start()
        assert stat.S_IMODE(folder.socket.stat().st_mode) == 0o600
        answers = [await one(*question) for question in questions]
        await server.close()
        await server.close()
        return answers

    return run(work())  # type: ignore[no-any-return]


@pytest.mark.parametrize("depth", [0, 60])
def test_commands_over_the_socket(tmp_path: Path, depth: int, caplog: pytest.LogCaptureFixture) -> None:
    """Also where the path is longer than the system takes for a socket."""
    folder = DataFolder(tmp_path / "/".join(["deep"] * depth))
    folder.socket.write_text("left by a server that was killed")
    good, twice, refused, unknown, wrong, broken, large = _talk(
        folder,
        ("greet", {"name": "Ada"}),
        ("greet", {"name": "é\n", "times": 2}),
        ("refuse", {}),
        ("dance", {}),
        ("greet", {"nam": "Ada"}),
        ("break", {}),
        ("greet", {"name": "x" * 500_000}),
    )
    assert good == {"greeting": "Hello Ada"}
    assert twice == {"greeting": "Hello é\nHello é\n"}
    assert (refused.message, refused.exit_code) == ("There is nobody of that name.", 3)
    assert "does not know the command dance" in unknown.message
    assert "other arguments" in wrong.message
    assert "secret" not in broken.message
    assert any(record.exc_info for record in caplog.records)
    assert len(large["greeting"]) == 500_006
    assert not folder.socket.exists()
    with pytest.raises(NotRunningError, match="No Hearth is running"):
        ask(folder, "greet", {"name": "Ada"})


def test_nonsense_over_the_socket(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)

    async def work() -> None:
        server = OwnerSocket(folder, COMMANDS)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(folder.socket))
        for line in (b"nonsense", b"[]", b'{"command":"greet"}', b'{"command":1,"arguments":{}}'):
            writer.write(line + b"\n")
            assert "error" in json.loads(await reader.readline())
        writer.write(b'{"command":"greet","arguments":{"name":"Ada"}}\n')
        assert json.loads(await reader.readline()) == {"ok": {"greeting": "Hello Ada"}}
        writer.write(b"x" * 2_000_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        left, _ = await asyncio.open_unix_connection(str(folder.socket))
        await server.close()
        assert await left.read() == b""

    run(work())


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder.socket))
    with pytest.raises(NotRunningError):
        ask(folder, "greet", {})
