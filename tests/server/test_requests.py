"""What every request meets, whatever it asks for: paths, bodies, methods, CORS, errors."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.server.outer import CORS
from tests.server.harness import R0, Signed, raw, run, serving, speak

STATE = f"{R0}/rooms/!room:hearth.test/state"


def ask(tmp_path: Path, *requests: bytes, **options: Any) -> list[tuple[int, dict[str, str], Any]]:
    """Send requests byte for byte; status, headers and body of each answer."""

    async def work() -> list[tuple[int, dict[str, str], Any]]:
        async with serving(tmp_path, **options) as (running, _):
            return [parse(await speak(running.url(), request)) for request in requests]

    return run(work())  # type: ignore[no-any-return]


def parse(answer: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("content-type") == "application/json" and body:
        return int(first.split()[1]), headers, json.loads(body)
    return int(first.split()[1]), headers, body


def test_a_slash_in_a_segment_is_data(tmp_path: Path) -> None:
    answers = ask(
        tmp_path,
        raw("GET", f"{STATE}/m.space.child/b%2Fc"),
        raw("GET", f"{STATE}/m.space.child/b%2fc"),
        raw("GET", f"{STATE}/m.space.child/b%252Fc"),
        raw("GET", f"{STATE}/m.space.child/%2F"),
        raw("GET", f"{STATE}/a%2Fb/c%C3%A9%2F%20d"),
        raw("GET", f"{STATE}/a/plain+plus"),
        raw("GET", f"{STATE}/m.space.child/b%2Fc"),
    )
    assert [body["key"] for _, _, body in answers] == ["b/c", "b/c", "b%2Fc", "/", "cé/ d", "plain+plus", "b/c"]


def test_a_request_with_the_stand_in_for_a_slash_is_refused(tmp_path: Path) -> None:
    status, _, body = ask(tmp_path, raw("GET", f"{STATE}/a/b%F4%8F%BF%BEc"))[0]
    assert (status, body["errcode"]) == (400, "M_UNRECOGNIZED")


def test_an_empty_state_key_with_and_without_a_trailing_slash(tmp_path: Path) -> None:
    put = [raw("PUT", f"{STATE}/m.room.name{end}", body=b'{"name":"x"}') for end in ("", "/")]
    for status, _, body in ask(tmp_path, *put):
        assert status == 200
        assert (body["type"], body["key"], body["content"]) == ("m.room.name", "", {"name": "x"})


def test_an_empty_segment_is_not_a_shorter_path(tmp_path: Path) -> None:
    """`/state//key` must not become the state of type `key`."""
    inner, leading = ask(
        tmp_path,
        raw("PUT", f"{STATE}//key", body=b"{}"),
        raw("GET", "//_matrix/client/versions"),
    )
    assert (inner[0], inner[2]["errcode"]) == (404, "M_UNRECOGNIZED")
    assert leading[0] == 200
    assert "access-control-allow-origin" in leading[1]


def test_invalid_utf8_and_nul_in_a_path_do_no_harm(tmp_path: Path) -> None:
    for status, _, body in ask(
        tmp_path,
        raw("GET", f"{STATE}/a/%FF%FE"),
        raw("GET", f"{STATE}/a/%FF%2F"),
        raw("GET", f"{STATE}/a/x%00y"),
        raw("GET", f"{STATE}/a/.."),
    ):
        assert status == 200
        assert body["key"] in {"\ufffd\ufffd", "\ufffd/", "x\0y", ".."}


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"{", "M_NOT_JSON"),
        (b"", "M_NOT_JSON"),
        (b"\xff\xfe", "M_NOT_JSON"),
        (b'{"a":NaN}', "M_NOT_JSON"),
        (b'{"a":"\\ud800"}', "M_NOT_JSON"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "M_TOO_LARGE"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "M_NOT_JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "M_NOT_JSON"),
        (b"[]", "M_BAD_JSON"),
        (b'"text"', "M_BAD_JSON"),
        (b"null", "M_BAD_JSON"),
    ],
)
def test_bodies_that_are_refused(tmp_path: Path, body: bytes, errcode: str) -> None:
    status, headers, answer = ask(tmp_path, raw("PUT", f"{STATE}/m.room.name", body=body))[0]
    assert answer["errcode"] == errcode
    assert answer["error"]
    assert status == (413 if errcode == "M_TOO_LARGE" else 400)
    assert headers["access-control-allow-origin"] == "*"


def test_the_content_type_of_a_request_does_not_matter(tmp_path: Path) -> None:
    for kind in ("", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"):
        status, _, body = ask(tmp_path, raw("PUT", f"{STATE}/m.room.name/k", kind, b'{"n":12345678901234567890123}'))[0]
        assert status == 200
        assert body["content"] == {"n": 12345678901234567890123}


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def test_bodies_in_pieces(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (_, client):
            answer = await client.put(f"{STATE}/a/b", content=_pieces(b'{"na', b'me":', b'"x"}'))
            assert answer.json()["content"] == {"name": "x"}
            chunk = b"x" * 100_000
            answer = await client.post(f"{R0}/upload", content=_pieces(*[chunk] * 15))
            assert answer.json() == {"length": 1_500_000}
            answer = await client.post(f"{R0}/upload", content=_pieces(*[chunk] * 30))
            assert (answer.status_code, answer.json()["errcode"]) == (413, "M_TOO_LARGE")

    run(work())


def test_a_body_announced_too_large_is_refused_unread(tmp_path: Path) -> None:
    """By the endpoint's own limit, and by the largest of all where nothing is routed; no byte of it is waited for."""
    announced = "Content-Length: {}\r\n"
    for status, headers, body in ask(
        tmp_path,
        raw("PUT", f"{STATE}/m.room.name", announced.format(1024 * 1024 + 1)),
        raw("POST", f"{R0}/nothing", announced.format(2 * 1024 * 1024 + 1)),
    ):
        assert (status, body["errcode"]) == (413, "M_TOO_LARGE")
        assert headers["access-control-allow-origin"] == "*"


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.server.request.PIECE_SECONDS", 0.2)
    monkeypatch.setattr("appliance.server.handover.AHEAD_SECONDS", 0.2)
    half = f"PUT {STATE}/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 10\r\n\r\n{{"
    nothing = f"PUT {STATE}/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 10\r\n\r\n"

    async def work() -> list[tuple[int, dict[str, str], Any]]:
        async with serving(tmp_path) as (running, _), asyncio.timeout(30):
            return [parse(await speak(running.url(), request.encode())) for request in [half, nothing] * 4]

    # Nothing may keep a connection until the collector comes: whoever sends little could then hold all there are.
    gc.disable()
    try:
        answers = run(work())
    finally:
        gc.enable()
    for status, headers, body in answers:
        assert (status, body["errcode"]) == (408, "M_UNKNOWN")
        assert headers["connection"] == "close"  # whoever sends the rest late does not take it for another request


def test_unknown_paths_and_methods(tmp_path: Path) -> None:
    unknown, method, outside, put, deep = ask(
        tmp_path,
        raw("GET", f"{R0}/nothing"),
        raw("DELETE", f"{R0}/sync"),
        raw("GET", "/nothing"),
        raw("PATCH", f"{R0}/sync", body=b"{}"),
        raw("GET", "/_matrix"),
    )
    assert (unknown[0], unknown[2]["errcode"]) == (404, "M_UNRECOGNIZED")
    assert (method[0], method[2]["errcode"]) == (405, "M_UNRECOGNIZED")
    assert (put[0], put[2]["errcode"]) == (405, "M_UNRECOGNIZED")
    assert outside[0] == deep[0] == 404
    for _, headers, body in (unknown, method, put):
        assert set(body) == {"errcode", "error"}
        for name, value in CORS:
            assert headers[name.decode()] == value.decode()
    assert "access-control-allow-origin" not in outside[1]


def test_head_is_get_without_the_body(tmp_path: Path) -> None:
    status, headers, body = ask(tmp_path, raw("HEAD", "/_matrix/client/versions"))[0]
    assert status == 200
    assert int(headers["content-length"]) > 2
    assert body == b""


def test_options_is_answered_everywhere_without_asking_who(tmp_path: Path) -> None:
    for path in (f"{R0}/sync", f"{R0}/nothing", "/.well-known/matrix/client", f"{STATE}/a/b%2Fc", "/setup"):
        status, headers, body = ask(
            tmp_path, f"OPTIONS {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )[0]
        assert (status, body) == (204, b"")
        assert ("access-control-allow-origin" in headers) == (path != "/setup")


def test_errors_of_handlers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own, owner, bug = ask(tmp_path, *(raw("GET", f"{R0}/fails/{how}") for how in ("forbidden", "owner", "bug")))
    assert (own[0], own[2]) == (403, {"errcode": "M_FORBIDDEN", "error": "You may not."})
    assert (owner[0], owner[2]["errcode"]) == (503, "M_UNKNOWN")
    assert "disk" not in owner[2]["error"]
    assert (bug[0], bug[2]["errcode"]) == (500, "M_UNKNOWN")
    assert "secret" not in bug[2]["error"]
    failed = next(record for record in caplog.records if record.exc_info)
    assert failed.fields["request"] in bug[2]["error"]  # type: ignore[attr-defined]
    assert all(answer[1]["access-control-allow-origin"] == "*" for answer in (own, owner, bug))


def test_a_bad_host_header_is_refused_in_matrix_form(tmp_path: Path) -> None:
    request = b'GET /_matrix/client/versions HTTP/1.1\r\nHost: a"b\r\nConnection: close\r\n\r\n'
    status, _, body = ask(tmp_path, request)[0]
    assert (status, body["errcode"]) == (400, "M_UNKNOWN")


def test_pages_have_strict_headers_and_no_cors(tmp_path: Path) -> None:
    get, post, bad = ask(
        tmp_path,
        raw("GET", "/setup/name"),
        raw("POST", "/setup", body=b"a=1&b=%C3%A9+x&a=2&empty="),
        raw("POST", "/setup", body=b"\xff"),
    )
    assert "default-src 'none'" in get[1]["content-security-policy"]
    assert get[1]["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in get[1]
    assert post[2].decode() == repr({"a": "2", "b": "é x", "empty": ""})
    assert bad[0] == 400


def test_the_log_has_one_line_a_request_without_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="hearth.request")
    ask(
        tmp_path,
        raw("GET", f"{STATE}/a/b%2Fc?access_token=syt_secret"),
        raw("PUT", f"{STATE}/a/b", body=b'{"body":"whisper"}'),
        raw("GET", "/health"),
    )
    lines = [record.fields for record in caplog.records if record.name == "hearth.request"]  # type: ignore[attr-defined]
    assert [line["path"] for line in lines] == [f"{STATE}/a/b%2Fc", f"{STATE}/a/b"]
    assert lines[0]["user"] == "@alice:hearth.test"
    assert lines[0]["status"] == 200
    assert lines[0]["bytes"] > 0
    assert len({line["request"] for line in lines}) == 2
    everything = repr([record.__dict__ for record in caplog.records])
    assert all(secret not in everything for secret in ("syt_secret", "whisper", "Bearer", "good"))


def test_signed_requests_are_checked_with_raw_path_and_body(tmp_path: Path) -> None:
    async def work() -> None:
        signed = Signed()
        async with serving(tmp_path, signed=signed) as (running, client):
            path = "/_matrix/federation/v1/send/a%2Fb?x=%20y"
            request = raw("PUT", path, "", b'{"pdus":[]}').replace(b"Bearer good", b"X-Matrix other.test")
            _, _, body = parse(await speak(running.url(), request))
            assert body == {"origin": "other.test", "transaction": "a/b"}
            assert signed.asked == [("PUT", path.encode(), b'{"pdus":[]}')]
            nobody = httpx.Request("PUT", f"{running.url()}/_matrix/federation/v1/send/1", content=b"{}")
            answer = await client.send(nobody)
            assert (answer.status_code, answer.json()["errcode"]) == (401, "M_UNAUTHORIZED")

    run(work())


def test_without_federation_signed_requests_are_refused(tmp_path: Path) -> None:
    request = raw("PUT", "/_matrix/federation/v1/send/1", body=b"{}").replace(b"Bearer good", b"X-Matrix other.test")
    status, _, body = ask(tmp_path, request)[0]
    assert (status, body["errcode"]) == (401, "M_UNAUTHORIZED")
