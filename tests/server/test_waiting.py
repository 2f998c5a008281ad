"""Long polls end for each of their reasons, and the server stops in time with many of them."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from appliance.server.lifecycle import shut_down
from appliance.server.listeners import Listeners
from appliance.server.waiting import Waiting
from tests.server.harness import R0, connect, make_certificate, parse_json, raw, run, serving, trusting_anybody
from tests.support.waiting import until


def test_a_poll_ends_when_its_time_is_over_or_it_is_woken(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            assert (await client.get(f"{R0}/sync?timeout=20")).json() == {"ended": "timeout"}
            polls = [asyncio.create_task(client.get(f"{R0}/sync")) for _ in range(3)]
            await until(lambda: running.waiting.count == 3)
            running.woken.set()
            assert [(await poll).json() for poll in polls] == [{"ended": "woken"}] * 3
            assert (await client.get(f"{R0}/sync")).json() == {"ended": "woken"}
            assert running.waiting.count == 0

    run(work())


def test_a_poll_may_wait_twice_and_have_a_body(tmp_path: Path) -> None:
    """On a connection that is used again afterwards."""

    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            for number in range(3):
                running.woken.clear()
                poll = asyncio.create_task(client.post(f"{R0}/wait", json={"n": number}))
                await until(lambda: running.waiting.count == 1)
                running.woken.set()
                assert (await poll).json() == {"body": {"n": number}, "ended": ["timeout", "woken"]}

    run(work())


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_leaves_is_noticed(tmp_path: Path, tls: bool) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, _):
            if tls:
                running.settings.tls_mode = "acme"
                await running.apply(make_certificate())
            url = running.url("https" if tls else "http")
            requests = [raw("GET", f"{R0}/sync"), raw("POST", f"{R0}/wait", body=b'{"a":1}')] * 10
            polls = [await connect(url, trusting_anybody() if tls else None) for _ in requests]
            for (_, writer), request in zip(polls, requests, strict=True):
                writer.write(request)
            await until(lambda: running.waiting.count == 20)
            for _, writer in polls:
                writer.close()
            await until(lambda: running.waiting.count == 0)
            await until(lambda: len(running.log) == 20)
            assert set(running.log) == {"left"}

    run(work())


def test_a_stop_ends_polls_and_those_that_come_after(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            polls = [asyncio.create_task(client.get(f"{R0}/sync")) for _ in range(20)]
            await until(lambda: running.waiting.count == 20)
            running.waiting.stop()
            assert {(await poll).json()["ended"] for poll in polls} == {"stopping"}
            assert (await client.get(f"{R0}/sync")).json() == {"ended": "stopping"}

    run(work())


def test_parts_are_closed_in_order_whatever_the_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("appliance.server.lifecycle.CLOSE_SECONDS", 0.05)
    closed: list[str] = []

    async def first() -> None:
        closed.append("first")
        raise RuntimeError("no")

    async def second() -> None:
        closed.append("second")
        await asyncio.sleep(60)

    async def third() -> None:
        closed.append("third")

    async def nothing(*_: object) -> None:
        raise AssertionError

    run(shut_down(Listeners(nothing, tmp_path), Waiting(), [first, second, third]))
    assert closed == ["first", "second", "third"]
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR", "ERROR"]


SERVER = """
    import asyncio, sys
    from pathlib import Path
    from appliance.server.folder import DataFolder
    from appliance.server.lifecycle import run, shut_down
    from tests.server.harness import Running, make_certificate
    from tests.support.waiting import until

    async def main(stopping):
        folder = DataFolder(Path(sys.argv[1]))
        folder.lock()
        running = Running(folder.path)
        await running.apply(make_certificate())
        async def close():
            print("closed", ",".join(running.log), flush=True)
        print(running.url("https"), flush=True)
        await until(lambda: running.waiting.count == 20)
        print("all wait", flush=True)
        await stopping.wait()
        await shut_down(running.listeners, running.waiting, [close])

    run(main)
"""


@pytest.mark.parametrize("stubborn", [False, True])
def test_sigterm_with_pending_polls(tmp_path: Path, stubborn: bool) -> None:
    """Everybody is answered, all is closed, and the process ends; also when a client never finishes its request."""
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()

    async def work() -> list[object]:
        context = trusting_anybody()
        polls = [
            asyncio.create_task(parse_json(url, raw("GET", f"{R0}/sync?timeout=60000"), context)) for _ in range(20)
        ]
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(url + "/health")).status_code == 200
        assert server.stdout is not None
        assert await asyncio.to_thread(server.stdout.readline) == "all wait\n"
        server.send_signal(signal.SIGTERM)
        return [(await poll)[1] for poll in polls]

    half = socket.create_connection((httpx.URL(url).host, httpx.URL(url).port))
    if stubborn:
        half = trusting_anybody().wrap_socket(half)
        half.sendall(b"POST /_matrix/client/v3/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
    try:
        assert run(work()) == [{"ended": "stopping"}] * 20
        out, _ = server.communicate(timeout=10)
    finally:
        half.close()
        with contextlib.suppress(ProcessLookupError):
            server.kill()
    assert server.returncode == 0
    assert out.startswith("closed stopping")
