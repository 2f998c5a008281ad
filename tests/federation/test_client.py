"""Asking servers that answer well, badly, slowly, endlessly or not at all: every answer has a bounded cost."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from appliance.federation import wire
from appliance.federation.client import Refused, Unreachable, path_of
from appliance.protocol import signing
from appliance.protocol.x_matrix import parse, signed_bytes
from tests.federation.wire_server import Lab, WireServer, endless, lab, raw, says
from tests.support.hearth import free_ports
from tests.support.names import Names
from tests.tls.parts import Maker, pem


def run(folder: Path, story: Any) -> None:
    async def live() -> None:
        async with lab(folder) as found:
            async with asyncio.timeout(60):
                await story(found)

    asyncio.run(live())


async def ask(lab: Lab, server: WireServer, name: str = "a.test", **more: Any) -> dict[str, Any]:
    return await lab.client.request(f"{name}:{server.port}", "GET", path_of("x"), **more)


async def failed(lab: Lab, server: WireServer, **more: Any) -> str:
    with pytest.raises(Unreachable) as caught:
        await ask(lab, server, **more)
    return caught.value.sentence


def test_a_request_is_signed_as_it_is_sent(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        body = bytearray()

        async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
            body.extend(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])))
            await says(b'{"a":1}')(reader, writer, head)

        server.deed = deed
        name = f"a.test:{server.port}"
        path = path_of("federation", "v1", "x", "!room/with:a slash", "$é")
        answer = await lab.client.request(
            name, "PUT", path, query={"v": ["1", "2"], "limit": 5, "none": None}, content={"b": 1, "a": "ü"}
        )
        assert answer == {"a": 1}
        lines = server.heads[0].decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        assert target == "/_matrix/federation/v1/x/%21room%2Fwith%3Aa%20slash/%24%C3%A9?v=1&v=2&limit=5"
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines[1:] if line}
        assert headers["host"] == name
        claim = parse(headers["authorization"])
        assert claim is not None
        assert (claim.origin, claim.destination) == ("here.test", name)
        data = signed_bytes(method, target, "here.test", name, bytes(body))
        assert signing.verify(data, claim.signature, lab.us.key.public_key)
        assert bytes(body) == '{"a":"ü","b":1}'.encode()

    run(tmp_path, story)


def test_connections_are_used_again_and_one_that_was_closed_meanwhile_does_no_harm(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        await asyncio.gather(*(ask(lab, server) for _ in range(20)))
        assert server.connections <= 6
        before = server.connections

        async def last(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
            await says(b"{}")(reader, writer, head)
            await writer.drain()
            writer.close()

        server.deed = last
        for _ in range(10):
            assert await ask(lab, server) == {}
        assert server.connections > before

    run(tmp_path, story)


def test_a_server_that_moved_is_looked_for_anew(tmp_path: Path) -> None:
    """What DNS said, good for an hour, is forgotten once nothing answers there."""

    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        (unused,) = free_ports(1)
        with Names(ttl=3600) as names:
            lab.settings.federation_resolver = names.address
            del lab.client.resolver.addresses  # type: ignore[method-assign]
            for port, address in ((unused, "127.0.0.1"), (server.port, "127.0.0.2")):
                names.serve("a.test", port, address)
                with pytest.raises(Unreachable, match="no connection"):
                    await lab.client.request("a.test", "GET", path_of("x"))
            names.serve("a.test", server.port)
            assert await lab.client.request("a.test", "GET", path_of("x")) == {}
            asked = len(names.asked)
            assert await lab.client.request("a.test", "GET", path_of("x")) == {}
            assert len(names.asked) == asked

    run(tmp_path, story)


def test_refusals(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        for deed, expected in (
            (says(b'{"errcode":"M_FORBIDDEN","error":"No."}', "403 No"), (403, "M_FORBIDDEN", "No.", None)),
            (says(b"<html>", "502 Bad"), (502, "M_UNKNOWN", "It gave no reason.", None)),
            (says(b'{"errcode":7}', "400 No"), (400, "M_UNKNOWN", "It gave no reason.", None)),
            (says(b"{}", "302 Found", "Location: https://b.test/"), (302, "M_UNKNOWN", "It gave no reason.", None)),
            (
                says(b'{"errcode":"M_LIMIT_EXCEEDED","error":"Wait.","retry_after_ms":2500}', "429 Slow"),
                (429, "M_LIMIT_EXCEEDED", "Wait.", 2.5),
            ),
            (says(b"{}", "429 Slow", "Retry-After: 7"), (429, "M_UNKNOWN", "It gave no reason.", 7.0)),
        ):
            server.deed = deed
            with pytest.raises(Refused) as caught:
                await ask(lab, server)
            found = caught.value
            assert (found.status, found.errcode, found.error, found.retry_after) == expected
            assert found.is_fault == (expected[0] >= 500 or expected[0] == 429)
        assert len(server.heads) == 6  # no redirect was followed

    run(tmp_path, story)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BLANKS = b"1000\r\n" + b" " * 4096 + b"\r\n"
HOSTILE = [
    ("nothing", raw(b"", close=True), "before it answered"),
    ("no HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "no good HTTP"),
    ("a truncated head", raw(b"HTTP/1.1 200 OK\r\nContent-", close=True), "HTTP"),
    ("a truncated body", raw(HEAD + b'{"a":', close=True), "HTTP"),
    ("a truncated chunk", raw(CHUNKED + b'ff\r\n{"a":', close=True), "HTTP"),
    ("a bad chunk", raw(CHUNKED + b"zz\r\n{}\r\n"), "no good HTTP"),
    ("an endless head", endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 5000 + b"\r\n"), "no good HTTP"),
    ("an endless line", endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 5000), "no good HTTP"),
    ("an endless body", endless(CHUNKED, BLANKS), "more than the 100000 bytes"),
    ("a huge body", raw(HEAD.replace(b"100", b"9999999999") + b" " * 200000), "more than the 100000"),
    ("a slow head", endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.01), "did not answer within"),
    ("a slow body", endless(CHUNKED, b"1\r\n \r\n", pause=0.01), "did not answer within"),
    ("silence", endless(b"", b"", pause=0.01), "did not answer within"),
    ("endless preludes", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer within"),
    ("bad JSON", says(b'{"a":'), "no good JSON"),
    ("not a number", says(b'{"a":NaN}'), "no good JSON"),
    ("deep JSON", says(b"[" * 5000 + b"]" * 5000), "no good JSON"),
    ("an array", says(b"[{}]"), "not an object"),
    ("an empty answer", says(b""), "no good JSON"),
    ("a huge refusal", endless(CHUNKED.replace(b"200 OK", b"500 No"), BLANKS), "more than the 65536"),
]  # fmt: skip


@pytest.mark.parametrize(("deed", "sentence"), [one[1:] for one in HOSTILE], ids=[one[0] for one in HOSTILE])
def test_hostile_servers_cost_little(tmp_path: Path, deed: Any, sentence: str) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        server.deed = deed
        assert sentence in await failed(lab, server, timeout=0.5 if "within" in sentence else 30, max_bytes=100_000)
        assert len(server.heads) <= 1  # not sent again
        server.deed = says(b"{}")
        assert await ask(lab, server) == {}

    run(tmp_path, story)


def test_certificates_must_be_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        lab.hosts["b.test"] = ["127.0.0.1"]
        with pytest.raises(Unreachable, match=r"certificate is not good for b\.test"):
            await ask(lab, server, "b.test")
        by_address = await lab.server("127.0.0.1")
        assert await ask(lab, by_address, "127.0.0.1") == {}
        with pytest.raises(Unreachable, match=r"certificate is not good for 127\.0\.0\.1"):
            await ask(lab, server, "127.0.0.1")
        lab.settings.federation_ca_file = ""
        with pytest.raises(Unreachable, match="certificate is not good"):
            await lab.client.request(f"a.test:{(await lab.server('a.test')).port}", "GET", "/")
        monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.5)
        deaf = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
        with pytest.raises(Unreachable, match="Nothing answers at"):
            await lab.client.request(f"a.test:{deaf.sockets[0].getsockname()[1]}", "GET", "/")
        deaf.close()

    run(tmp_path, story)


def test_roots_in_a_folder_are_found_by_their_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        from OpenSSL.crypto import X509  # acme brings it

        folder = tmp_path / "roots"
        folder.mkdir()
        hashed = X509.from_cryptography(lab.maker.root).subject_name_hash()
        (folder / f"{hashed:08x}.0").write_bytes(pem(lab.maker.root))
        paths = ssl.DefaultVerifyPaths("", str(folder), "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
        every = ssl.create_default_context
        read: list[ssl.SSLContext] = []

        def reading() -> ssl.SSLContext:
            read.append(every())
            return read[-1]

        monkeypatch.setattr(ssl, "create_default_context", reading)
        lab.settings.federation_ca_file = ""
        assert await ask(lab, await lab.server("a.test")) == {}
        assert not read
        lab.maker = Maker(authority=True)
        strange = await lab.server("b.test")
        for _ in range(2):
            with pytest.raises(Unreachable, match="certificate is not good"):
                await ask(lab, strange, "b.test")
        assert len(read) == 1, "all of the system's, once, before it is said that a root is not known"

    run(tmp_path, story)


def test_private_addresses_are_not_called_whatever_leads_there(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test", "127.0.0.1")
        await ask(lab, server)
        lab.client.close()  # no connection of before
        lab.settings.federation_allow_private_addresses = False
        for name in ("a.test", "127.0.0.1"):
            with pytest.raises(Unreachable, match="no public address"):
                await ask(lab, server, name)
        with pytest.raises(Unreachable, match="no public address"):
            await lab.client.fetch(f"a.test:{server.port}", "/.well-known/matrix/server", max_bytes=100)

    run(tmp_path, story)


def test_files_are_fetched_with_their_redirects(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server, other = await lab.server("a.test"), await lab.server("b.test")
        there = f"Location: https://b.test:{other.port}/file?x=1"
        server.deed, other.deed = says(b"", "302 Found", there), says(b"hello", "200 OK", "Cache-Control: max-age=9")
        page = await lab.client.fetch(f"a.test:{server.port}", "/.well-known/x", max_bytes=100)
        assert (page.status, page.body, page.headers["cache-control"]) == (200, b"hello", "max-age=9")
        assert other.heads[0].startswith(b"GET /file?x=1 HTTP/1.1\r\n")
        assert b"uthorization" not in server.heads[0] + other.heads[0]
        for location in (f"https://a.test:{server.port}/again", "http://b.test/", "https://u:p@b.test/", "https://[/"):
            server.deed = says(b"", "302 Found", f"Location: {location}")
            with pytest.raises(Unreachable, match="redirects"):
                await lab.client.fetch(f"a.test:{server.port}", "/again", max_bytes=100)
        server.deed = says(b"x" * 101)
        with pytest.raises(Unreachable, match="more than the 100 bytes"):
            await lab.client.fetch(f"a.test:{server.port}", "/", max_bytes=100)

    run(tmp_path, story)


def test_a_stream_is_read_piece_by_piece(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        server.deed = says(b"x" * 300_000, "200 OK", "Content-Type: image/png")
        name = f"a.test:{server.port}"
        async with lab.client.stream(name, path_of("media")) as (headers, pieces):
            assert headers["content-type"] == "image/png"
            assert sum([len(piece) async for piece in pieces]) == 300_000
        server.deed = says(b'{"errcode":"M_NOT_FOUND","error":"Gone."}', "404 Not Found")
        with pytest.raises(Refused, match=r"404 M_NOT_FOUND: Gone\."):
            async with lab.client.stream(name, path_of("media")):
                pass

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"federation_enabled": False}, "switched off"),
        ({"federation_blocked_servers": ["*.test"]}, "is blocked"),
        ({"federation_allowed_servers": ["b.*"]}, "is blocked"),
        ({"federation_allowed_servers": ["A.TES?"]}, ""),
        ({"federation_blocked_servers": ["a.tes"]}, ""),
    ],
)
def test_who_may_be_asked(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        for name, value in change.items():
            setattr(lab.settings, name, value)
        if sentence:
            assert sentence in await failed(lab, server)
            assert not server.connections
        else:
            assert await ask(lab, server) == {}

    run(tmp_path, story)


def test_a_client_that_asks_nobody_has_loaded_nothing() -> None:
    import subprocess
    import sys

    script = (
        "import sys, appliance.app\n"
        "print([name for name in ('h11', 'aiohttp', 'dns', 'appliance.federation.wire') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_server_that_is_left_alone_is_asked_only_by_who_cannot_wait(tmp_path: Path) -> None:
    async def story(lab: Lab) -> None:
        server = await lab.server("a.test")
        told: list[str] = []
        rests: list[int] = []

        class Watch:
            def before(self, destination: str) -> None:
                raise Unreachable("It is left alone.", local=True)

            def after(self, destination: str, failure: str, rest_ms: int = 0) -> None:
                told.append(failure)
                rests.append(rest_ms)

        lab.client.watch = Watch()
        assert await failed(lab, server) == "It is left alone."
        assert await ask(lab, server, urgent=True) == {}
        server.deed = says(b'{"errcode":"M_FORBIDDEN","error":"No."}', "403 No")
        with pytest.raises(Refused):
            await ask(lab, server, urgent=True)
        server.deed = says(b"{}", "503 Busy")
        with pytest.raises(Refused):
            await ask(lab, server, urgent=True)
        server.deed = says(b"<html>")
        assert "no good JSON" in await failed(lab, server, urgent=True)
        # An answer is an answer, and what was never sent says nothing of the server. Keys are nobody's business.
        assert told == ["", "", "It answered 503: It gave no reason.", "What it answered is no good JSON."]
        server.deed = says(b"{}")
        assert await ask(lab, server, signed=False) == {}
        assert len(told) == 4
        server.deed = says(b'{"errcode":"M_LIMIT_EXCEEDED","error":"Wait.","retry_after_ms":90000}', "429 Slow")
        with pytest.raises(Refused):
            await ask(lab, server, urgent=True)
        assert rests == [0, 0, 0, 0, 90_000]

    run(tmp_path, story)
