"""Who may ask, what restricted users may do, and how much."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Controller, get
from litestar.static_files import create_static_files_router

from appliance.errors import MatrixError
from appliance.server.application import build_litestar, declarations
from appliance.server.authentication import Authentication, NoSignedRequests, access_token
from appliance.server.endpoints import bind, endpoint
from appliance.server.limits import Limits, Rate
from appliance.server.requester import Access, Limit
from appliance.settings import Settings
from tests.server.harness import R0, Open, Running, Sessions, parse_json, run, serving

SYNC = f"{R0}/sync?timeout=0"
STATE = f"{R0}/rooms/!r:x/state/a/b"


@pytest.mark.parametrize(
    ("token", "method", "path", "status", "errcode"),
    [
        (None, "GET", SYNC, 401, "M_MISSING_TOKEN"),
        ("unknown", "GET", SYNC, 401, "M_UNKNOWN_TOKEN"),
        ("expired", "GET", SYNC, 401, "M_UNKNOWN_TOKEN"),
        ("locked", "GET", SYNC, 401, "M_USER_LOCKED"),
        ("locked", "POST", f"{R0}/logout", 200, None),
        ("suspended", "GET", SYNC, 200, None),
        ("suspended", "PUT", STATE, 403, "M_USER_SUSPENDED"),
        ("suspended", "POST", f"{R0}/logout", 200, None),
        ("guest", "GET", SYNC, 403, "M_GUEST_ACCESS_FORBIDDEN"),
        ("guest", "GET", STATE, 200, None),
        ("guest", "GET", "/_matrix/client/versions", 200, None),
        (None, "GET", "/_matrix/client/versions", 200, None),
        ("unknown", "GET", "/_matrix/client/versions", 401, "M_UNKNOWN_TOKEN"),
        ("unknown", "GET", "/_matrix/key/v2/server", 200, None),
    ],
)
def test_who_may_ask(
    tmp_path: Path, token: str | None, method: str, path: str, status: int, errcode: str | None
) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, _), httpx.AsyncClient(base_url=running.url()) as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await client.request(method, path, headers=headers, json={} if method == "PUT" else None)
            assert (answer.status_code, answer.json().get("errcode")) == (status, errcode)
            assert answer.json().get("soft_logout") == (True if token in {"expired", "locked"} and errcode else None)
            assert answer.headers["access-control-allow-origin"] == "*"

    run(work())


def test_the_requester_is_known_and_seen(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            answer = await client.get("/_matrix/client/versions")
            assert answer.json() == {"user": "@alice:hearth.test", "address": "127.0.0.1", "scheme": "http"}
            assert running.sessions.seen_at == [(7, "127.0.0.1")]

    run(work())


def test_who_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    """The body is announced and never comes; a refusal that waited for it would not come either."""

    async def work() -> None:
        async with serving(tmp_path) as (running, _):
            head = f"PUT {STATE} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"
            status, body = await parse_json(running.url(), head.encode())
            assert (status, body["errcode"]) == (401, "M_MISSING_TOKEN")

    run(work())


@pytest.mark.parametrize(
    ("headers", "query", "token"),
    [
        ([(b"authorization", b"Bearer abc")], b"", "abc"),
        ([(b"authorization", b"bearer  abc ")], b"access_token=other", "abc"),
        ([(b"authorization", b"Basic abc")], b"", None),
        ([(b"authorization", b"Bearer")], b"", None),
        ([(b"authorization", b"X-Matrix origin=x")], b"access_token=a%2Bb", "a+b"),
        ([], b"a=1&access_token=abc&b=2", "abc"),
        ([], b"no_access_token=abc", None),
        ([], b"access_token=", None),
        ([], b"", None),
    ],
)
def test_where_a_token_may_be(headers: list[tuple[bytes, bytes]], query: bytes, token: str | None) -> None:
    assert access_token(headers, query) == token


def test_a_parameter_of_the_path_is_not_taken_from_the_query(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (_, client):
            for query in ("state_key=x", "%73tate_key=x&state_key=y"):
                answer = await client.put(f"{R0}/rooms/!r:x/state/a?{query}", json={})
                assert answer.json()["key"] == ""

    run(work())


def test_too_many_requests(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            running.settings.limits_enabled = True
            statuses = [(await client.post(f"{R0}/login", json={})).status_code for _ in range(11)]
            assert statuses == [200] * 10 + [429]
            answer = await client.post(f"{R0}/login", json={})
            assert answer.json()["errcode"] == "M_LIMIT_EXCEEDED"
            assert 0 < answer.json()["retry_after_ms"] <= 5001
            assert 0 < int(answer.headers["retry-after"]) <= 6
            assert answer.headers["access-control-allow-origin"] == "*"
            assert (await client.put(STATE, json={})).status_code == 200
            running.settings.limits_enabled = False
            assert (await client.post(f"{R0}/login", json={})).status_code == 200

    run(work())


def test_buckets_fill_again_and_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    limits = Limits(Settings(), {Limit.SEND: Rate(2, 0.5)}, lambda: now)
    limits.take(Limit.SEND, "a")
    limits.take(Limit.SEND, "a")
    limits.take(Limit.SEND, "b")
    limits.take(Limit.JOIN, "a")
    with pytest.raises(MatrixError) as refused:
        limits.take(Limit.SEND, "a")
    assert refused.value.extra["retry_after_ms"] == 2001
    now = 2.01
    limits.take(Limit.SEND, "a")
    monkeypatch.setattr("appliance.server.limits.MOST_BUCKETS", 2)
    limits.take(Limit.SEND, "c")
    assert len(limits) == 2
    with pytest.raises(MatrixError):
        limits.take(Limit.SEND, "a")


def _litestar(*controllers: Any) -> Any:
    return build_litestar(controllers, Authentication(Sessions(), NoSignedRequests(), Limits(Settings())))


def test_a_route_without_a_declaration_is_refused(tmp_path: Path) -> None:
    class Careless(Controller):
        @get("/_matrix/client/v3/careless")
        async def careless(self) -> str:
            return "no"

    with pytest.raises(TypeError, match="/_matrix/client/v3/careless has no declaration"):
        _litestar(Careless)
    _litestar(create_static_files_router(path="/static", directories=[tmp_path]))


def test_declarations_can_be_listed() -> None:
    found = {(one.method, one.paths[0]): one for one in declarations(_litestar(bind(Open)))}
    assert found["GET", "/_matrix/client/versions"].access is Access.OPTIONAL
    assert found["POST", f"{R0}/upload"].max_body == 2 * 1024 * 1024
    assert found["POST", "/setup"].page


def test_static_files_are_served_with_page_headers(tmp_path: Path) -> None:
    static = tmp_path / "static"
    static.mkdir()
    (static / "hearth.css").write_text("body {}")

    async def work() -> None:
        router = create_static_files_router(path="/static", directories=[static])
        async with serving(tmp_path, more=[router]) as (_, client):
            answer = await client.get("/static/hearth.css")
            assert (answer.status_code, answer.text) == (200, "body {}")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert (await client.get("/static/../hearth.db")).status_code == 404

    run(work())


def test_an_endpoint_says_its_path() -> None:
    with pytest.raises(ValueError, match="begins with the method and the path"):

        class Silent(Controller):
            @endpoint("GET", "/_matrix/client/v3/silent")
            async def silent(self) -> None:
                """Says nothing."""


def test_what_a_proxy_says_is_believed_from_trusted_ones_alone(tmp_path: Path) -> None:
    async def asked(running: Running, client: httpx.AsyncClient, forwarded: str) -> tuple[str, str]:
        headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
        answer = (await client.get("/_matrix/client/versions", headers=headers)).json()
        return answer["address"], answer["scheme"]

    async def work() -> None:
        async with serving(tmp_path) as (running, client):
            assert await asked(running, client, "9.9.9.9") == ("127.0.0.1", "http")
            running.settings.tls_trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
            assert await asked(running, client, "9.9.9.9") == ("9.9.9.9", "https")
            assert await asked(running, client, "1.1.1.1, 9.9.9.9, 10.1.2.3") == ("9.9.9.9", "https")
            assert await asked(running, client, "9.9.9.9, nonsense, 10.1.2.3") == ("10.1.2.3", "https")
            assert await asked(running, client, "::ffff:9.9.9.9") == ("9.9.9.9", "https")
            assert await asked(running, client, "2001:db8::1") == ("2001:db8::1", "https")
            running.settings.tls_mode = "acme"
            assert await asked(running, client, "9.9.9.9") == ("127.0.0.1", "http")

    run(work())
