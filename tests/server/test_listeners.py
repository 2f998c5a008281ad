"""Listeners over real sockets: what runs when, what each answers, many and silent connections."""

import asyncio
import contextlib
import socket
from collections import Counter
from pathlib import Path

import httpx
import pytest

from appliance.errors import OwnerError
from appliance.server.addresses import Addresses, Bind
from appliance.server.listeners import raise_file_limit
from appliance.server.plan import Listener, Reach, Role, plan
from appliance.settings import Settings
from tests.server.harness import (
    R0,
    Running,
    connect,
    make_certificate,
    parse_json,
    raw,
    run,
    serving,
    speak,
    trusting_anybody,
)
from tests.support.waiting import until

HTTP, HTTPS, FEDERATION = Bind("::", 8080), Bind("::", 8443), Bind("::", 8448)
ROLES: tuple[Role, ...] = ("http", "https", "federation")
EVERYWHERE = Addresses((HTTP,), (HTTPS,), (FEDERATION,))


@pytest.mark.parametrize(
    ("settings", "finished", "expected"),
    [
        (Settings(), False, "http plain everything, https TLS everything, federation TLS federation"),
        (Settings(tls_mode="lan"), False, "http plain everything, https TLS everything, federation TLS federation"),
        (Settings(), True, "http plain redirect, https TLS everything, federation TLS federation"),
        (Settings(tls_mode="files"), True, "http plain redirect, https TLS everything, federation TLS federation"),
        (Settings(federation_enabled=False), True, "http plain redirect, https TLS everything"),
        (Settings(tls_mode="proxy"), True, "http plain everything, federation plain federation"),
        (
            Settings(tls_mode="proxy", tls_certificate="c", tls_key="k"),
            True,
            "http plain everything, federation TLS federation",
        ),
        (Settings(tls_mode="proxy", federation_enabled=False), True, "http plain everything"),
        (Settings(tls_mode="lan"), True, "http plain redirect, https TLS everything"),
    ],
)
def test_plan(settings: Settings, finished: bool, expected: str) -> None:
    def words(have: bool) -> str:
        listeners = plan(settings, setup_finished=finished, have_certificate=have, addresses=EVERYWHERE)
        return ", ".join(f"{one.role} {'TLS' if one.tls else 'plain'} {one.reach.value}" for one in listeners)

    assert words(have=True) == expected
    assert words(have=False) == ", ".join(part for part in expected.split(", ") if "TLS" not in part)


def test_a_listener_that_is_off_is_not_planned() -> None:
    listeners = plan(
        Settings(), setup_finished=True, have_certificate=True, addresses=Addresses(https=(HTTPS, Bind("::1", 1)))
    )
    assert [(one.role, one.bind) for one in listeners] == [("https", HTTPS), ("https", Bind("::1", 1))]


def test_before_the_setup_only_the_wizard_answers(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        running.setup.is_finished = False
        running.challenges["token"] = "token.thumbprint"
        await running.apply(make_certificate())
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501
            for role in ROLES[:2]:
                url = running.url(role)
                assert (await client.get(url + "/")).headers["location"] == "/setup"
                assert "Hearth" in (await client.get(url + "/setup/name")).text
                answer = await client.get(url + "/_matrix/client/versions")
                assert (answer.status_code, answer.json()["errcode"]) == (503, "M_UNKNOWN")
                assert answer.headers["access-control-allow-origin"] == "*"
                assert (await client.get(url + "/anything")).status_code == 404
                assert (await client.options(url + "/_matrix/client/versions")).status_code == 204
            url = running.url("federation")
            assert (await client.get(url + "/setup/name")).status_code == 404
            assert (await client.get(url + "/")).status_code == 404
            assert (await client.get(url + "/_matrix/key/v2/server")).status_code == 503
            for role in ROLES:
                answer = await client.get(running.url(role) + "/health")
                assert answer.json() == {"status": "ok", "state": "unclaimed"}
                answer = await client.get(running.url(role) + "/.well-known/acme-challenge/token")
                assert answer.text == "token.thumbprint"
                answer = await client.get(running.url(role) + "/.well-known/acme-challenge/other")
                assert answer.status_code == 404
        await running.listeners.stop(2)

    run(work())


def test_after_the_setup_each_listener_has_its_reach(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        running.settings.public_host = "chat.hearth.test:8443"
        running.challenges["token"] = "token.thumbprint"
        await running.apply(make_certificate())
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501
            url = running.url("http")
            answer = await client.get(url + f"{R0}/rooms/!a%2Fb:x/state?x=%20y&z")
            assert answer.status_code == 308
            assert answer.headers["location"] == f"https://chat.hearth.test:8443{R0}/rooms/!a%2Fb:x/state?x=%20y&z"
            assert answer.headers["access-control-allow-origin"] == "*"
            answer = await client.get(url + "//evil.test/x")
            assert answer.headers["location"] == "https://chat.hearth.test:8443/evil.test/x"
            assert (await client.get(url + "/health")).json()["state"] == "finished"
            assert (await client.get(url + "/.well-known/acme-challenge/token")).text == "token.thumbprint"
            assert (await client.get(url + "/setup/name")).status_code == 200
            url = running.url("https")
            assert (await client.get(url + "/_matrix/client/versions")).json()["scheme"] == "https"
            assert (await client.get(url + "/_matrix/key/v2/server")).status_code == 200
            url = running.url("federation")
            assert (await client.get(url + "/_matrix/key/v2/server")).status_code == 200
            for path in ("/_matrix/client/versions", "/setup/name", "/", "/_matrix/federation%2Fv1/version"):
                answer = await client.get(url + path)
                assert (answer.status_code, answer.json()["errcode"]) == (404, "M_UNRECOGNIZED")
        await running.listeners.stop(2)

    run(work())


def test_a_new_plan_stops_starts_and_changes_what_runs(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        running.setup.is_finished = False
        await running.apply(make_certificate())
        http, https, federation = (running.url(role) for role in ROLES)
        running.setup.is_finished = True
        running.settings.tls_mode = "proxy"
        await running.apply(have=True)
        assert {one.role: one.tls for one in running.listeners.running} == {"http": False, "federation": False}
        assert running.url("http") == http
        with pytest.raises(OSError):
            await connect(https)
        with pytest.raises(OSError):
            await connect(federation)
        async with httpx.AsyncClient() as client:
            assert (await client.get(http + "/_matrix/client/versions")).status_code == 200
            answer = await client.get(running.url("federation") + "/_matrix/key/v2/server")
            assert answer.status_code == 200
        await running.listeners.stop(2)
        await running.apply(have=True)
        assert running.listeners.running == ()

    run(work())


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    """Also where the other one would share it, as Granian's own sockets do."""

    async def work() -> None:
        running = Running(tmp_path)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, option, 1)
                other.bind(("127.0.0.1", 0))
                other.listen()
                port = other.getsockname()[1]
                for host in ("127.0.0.1", "::"):
                    listener = Listener("http", Bind(host, port), False, Reach.EVERYTHING)
                    with pytest.raises(OwnerError, match=f"Port {port} is in use"):
                        await running.listeners.apply([listener])
        for bind, sentence in (
            (Bind("192.0.2.1", 0), "not an address of this machine"),
            (Bind("no-such-host.invalid", 0), "not an address of this machine"),
        ):
            with pytest.raises(OwnerError, match=sentence):
                await running.listeners.apply([Listener("http", bind, False, Reach.EVERYTHING)])
        with pytest.raises(OwnerError, match="no certificate"):
            await running.listeners.apply([Listener("https", Bind("127.0.0.1", 0), True, Reach.EVERYTHING)])

    run(work())


def test_every_address_of_both_kinds(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        await running.listeners.apply([Listener("http", Bind("::", 0), False, Reach.EVERYTHING)])
        port = running.listener("http").bind.port
        _, body = await parse_json(f"http://127.0.0.1:{port}", raw("GET", "/_matrix/client/versions"))
        assert body["address"] == "127.0.0.1"
        with contextlib.suppress(OSError):  # a machine without IPv6
            _, body = await parse_json(f"http://[::1]:{port}", raw("GET", "/_matrix/client/versions"))
            assert body["address"] == "::1"
        await running.listeners.stop(2)

    run(work())


def test_a_listener_that_ends_by_itself_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            assert (await client.get("/health")).status_code == 200
            task = next(iter(running.listeners._running.values()))._server.wrks[0]._task
            assert task is not None
            task.cancel()
            await until(lambda: any("ended unexpectedly" in record.message for record in caplog.records))

            async def back() -> bool:
                with contextlib.suppress(OSError):
                    return b"200 OK" in await speak(running.url(), raw("GET", "/health"))
                return False

            async with asyncio.timeout(10):
                while not await back():
                    await asyncio.sleep(0.05)

    run(work())


def test_six_hundred_open_connections(tmp_path: Path) -> None:
    """Granian's own limit would be 128, and the 129th would hang."""
    if raise_file_limit() < 2000:
        pytest.skip("this process may not open enough files")

    async def work() -> None:
        async with serving(tmp_path) as (running, _):
            polling = [await connect(running.url()) for _ in range(600)]
            for _, writer in polling:
                writer.write(raw("GET", f"{R0}/sync"))
            await until(lambda: running.waiting.count == 600)
            status, _ = await parse_json(running.url(), raw("GET", "/health"))
            assert status == 200
            running.woken.set()
            answers = await asyncio.gather(*(reader.read() for reader, _ in polling))
            assert Counter(b"200 OK" in answer for answer in answers) == {True: 600}
            for _, writer in polling:
                writer.close()

    run(work())


def test_silent_connections_are_closed(tmp_path: Path) -> None:
    """Without a byte, with half a head, idle after an answer, and after the TLS handshake; a long poll is not."""

    async def work() -> None:
        running = Running(tmp_path, header_timeout=0.5)
        await running.apply(make_certificate())
        http, https = running.url("http"), running.url("https")
        polling = asyncio.create_task(parse_json(https, raw("GET", f"{R0}/sync?timeout=60000"), trusting_anybody()))
        await until(lambda: running.waiting.count == 1)
        async with asyncio.timeout(20):
            await asyncio.gather(
                speak(http, b""),
                speak(http, b"GET / HT"),
                speak(http, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
                speak(https, b"", trusting_anybody()),
            )
        assert running.waiting.count == 1
        running.woken.set()
        assert (await polling)[1] == {"ended": "woken"}
        await running.listeners.stop(2)

    run(work())
