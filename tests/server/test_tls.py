"""TLS: versions, certificates that do not fit, and certificates replaced under load."""

import asyncio
import ssl
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from appliance.errors import OwnerError
from appliance.server.granian_server import Certificate, pkcs8
from tests.server.harness import (
    R0,
    Running,
    connect,
    make_certificate,
    parse_json,
    raw,
    run,
    served_name,
    speak,
    trusting_anybody,
)
from tests.support.waiting import until

TRIES = 10
"""Of a request: on a machine that does other things too, the next one may meet the next of twenty certificates."""


def test_tls_from_1_2_up(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        await running.apply(make_certificate(pkcs1=True))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting_anybody(version)
            for url in (running.url("https"), running.url("federation")):
                status, _ = await parse_json(url, raw("GET", "/_matrix/key/v2/server"), context)
                assert status == 200
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await speak(running.url("https"), b"GET / HTTP/1.1\r\n\r\n", old)
        await running.listeners.stop(2)

    run(work())


def test_a_certificate_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        running = Running(tmp_path)
        await running.apply(make_certificate("first.test"))
        other, another = make_certificate("second.test"), make_certificate("third.test")
        for key in (another.key_pem, b"nonsense"):
            with pytest.raises(OwnerError):
                await running.listeners.replace_certificate(other.chain_pem, key)
        assert await served_name(running.url("https")) == "first.test"
        await running.listeners.replace_certificate(other.chain_pem, other.key_pem)
        assert await served_name(running.url("https")) == "second.test"
        assert await served_name(running.url("federation")) == "second.test"
        # A folder for each of the two, of what is in use, and nobody else's to read.
        files = [file for folder in tmp_path.iterdir() for file in folder.iterdir()]
        assert len(list(tmp_path.iterdir())) == 2
        assert all(file.stat().st_mode & 0o077 == 0 for file in [*files, *tmp_path.iterdir()])
        assert {file.read_bytes() for file in files} == {other.chain_pem, pkcs8(other.key_pem)}
        await running.listeners.stop(2)
        assert list(tmp_path.iterdir()) == []

    run(work())


def test_keys_left_behind_by_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".tls-left").mkdir()
    (tmp_path / ".tls-left" / "key.pem").write_text("secret")
    Running(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_certificates_are_replaced_twenty_times_under_load(tmp_path: Path) -> None:
    """No request that arrived goes unanswered, long polls are left alone, and nothing is left open.

    A request that did not arrive may be tried again: its connection was a new one, in the queue of the old worker when
    that was told to stop, or a kept one that the server closed while the client was writing.
    """

    async def work() -> None:
        running = Running(tmp_path)
        await running.apply(make_certificate("0.test"))
        certificates = [make_certificate(f"{number}.test") for number in range(1, 21)]
        load = Load(running)
        await until(lambda: load.answered > 50)
        await _rotate(running, certificates[:2])
        before = _count("/proc/self/fd"), threading.active_count(), _count("/proc/self/task")
        await _rotate(running, certificates[2:])
        asked = load.answered
        await until(lambda: load.answered > asked + 50)
        await load.end()
        assert load.failed == []
        assert load.polls == Counter({"timeout": load.polls.total()})
        assert load.polls.total() >= 5
        await until(lambda: _count("/proc/self/fd") <= before[0] + 5)
        await until(lambda: _count("/proc/self/task") <= before[2] + 2)
        assert threading.active_count() <= before[1] + 1
        await running.listeners.stop(2)

    run(work())


async def _rotate(running: Running, certificates: list[Certificate]) -> None:
    for certificate in certificates:
        await running.listeners.replace_certificate(certificate.chain_pem, certificate.key_pem)
        name = certificate.chain_pem
        expected = ssl.PEM_cert_to_DER_cert(name.decode())
        shown = b""
        async with asyncio.timeout(20):
            while shown != expected:  # what was in the old worker's queue is still shown the old one
                _, writer = await connect(running.url("https"), trusting_anybody())
                shown = writer.get_extra_info("ssl_object").getpeercert(True)
                writer.close()


def _count(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


class Load:
    """Clients that ask all the time, on kept and on new connections, and five that always wait in a long poll."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.answered = 0
        self.asked = 0
        self.failed: list[str] = []
        self.polls: Counter[str] = Counter()
        self.over = False
        self.context = trusting_anybody()
        self.tasks = [asyncio.create_task(self._ask(keep=number % 2 == 0)) for number in range(6)]
        self.tasks += [asyncio.create_task(self._poll()) for _ in range(5)]

    async def end(self) -> None:
        self.over = True
        await asyncio.gather(*self.tasks)

    async def _ask(self, *, keep: bool) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if keep else 0)
        async with httpx.AsyncClient(
            base_url=self.running.url("https"), verify=self.context, limits=limits, timeout=20
        ) as client:
            while not self.over:
                if await self._try(client, "/_matrix/client/versions") is not None:
                    self.answered += 1
                await asyncio.sleep(0.002)

    async def _poll(self) -> None:
        headers = {"Authorization": "Bearer good"}
        async with httpx.AsyncClient(
            base_url=self.running.url("https"), verify=self.context, headers=headers, timeout=20
        ) as client:
            while not self.over:
                answer = await self._try(client, f"{R0}/sync")
                if answer is not None:
                    self.polls[answer.json()["ended"]] += 1

    async def _try(self, client: httpx.AsyncClient, path: str) -> httpx.Response | None:
        for attempt in range(1, TRIES + 1):
            self.asked += 1
            number = str(self.asked)
            try:
                answer = await client.get(path, params={"timeout": "700", "number": number})
            except httpx.TransportError as error:
                if attempt == TRIES or f"timeout=700&number={number}".encode() in self.running.arrived:
                    self.failed.append(repr(error))
            else:
                if answer.status_code != 200:
                    self.failed.append(f"{answer.status_code} {answer.text}")
                return answer
        return None
