"""What goes over the wire: bodies, encodings, paths, methods and headers (client-server API, "API Standards")."""

import contextlib
import json
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.client import V3, Client, body, seg, timeline, unique


def send_path(room: str, txn: str = "") -> str:
    """Where to send a message."""
    return f"/rooms/{seg(room)}/send/m.room.message/{seg(txn or unique('t'))}"


def code(answer: httpx.Response) -> tuple[int, Any]:
    """Status and errcode."""
    return answer.status_code, answer.json().get("errcode")


# Bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"{}}",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":"\x81"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\n"}',
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
    ids=str,
)
def test_what_is_not_json(alice: Client, content: bytes) -> None:
    """Broken, too deep, or not text at all: said to be no JSON, and nothing else happens."""
    room = alice.create_room()
    alice.sync()
    assert code(alice.raw("PUT", send_path(room), content)) == (400, "M_NOT_JSON")
    assert code(alice.raw("POST", "/createRoom", content)) == (400, "M_NOT_JSON")
    assert "rooms" not in alice.sync()


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"5", b"null", b"true"])
def test_json_that_is_no_object(alice: Client, content: bytes) -> None:
    """JSON, but not what an endpoint takes."""
    room = alice.create_room()
    assert code(alice.raw("PUT", send_path(room), content)) == (400, "M_BAD_JSON")
    assert code(alice.raw("PUT", f"/rooms/{seg(room)}/state/a.type", content)) == (400, "M_BAD_JSON")
    assert code(alice.raw("POST", f"/rooms/{seg(room)}/leave", content)) == (400, "M_BAD_JSON")
    assert code(alice.raw("POST", "/createRoom", content)) == (400, "M_BAD_JSON")


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense", ""]
)
def test_the_content_type_does_not_matter(alice: Client, content_type: str) -> None:
    """Clients forget it, or say something else; the body is JSON all the same."""
    room = alice.create_room()
    headers = {"content_type": content_type} if content_type else {}
    answer = alice.raw("PUT", send_path(room), b'{"body":"hello"}', **headers)
    assert body(alice.event(room, answer.json()["event_id"])) == "hello"


def test_names_that_come_twice(alice: Client) -> None:
    """Of doubled keys one counts, for everybody the same."""
    room = alice.create_room()
    answer = alice.raw("PUT", send_path(room), b'{"body":"one","body":"two"}')
    assert answer.status_code == 400 or body(alice.event(room, answer.json()["event_id"])) in ("one", "two")


def test_bodies_that_are_too_large(alice: Client) -> None:
    """An event has its limit, and so has any body, however it is announced."""
    room = alice.create_room()
    assert code(alice.raw("PUT", send_path(room), b'{"body":"' + b"x" * 66_000 + b'"}')) == (413, "M_TOO_LARGE")
    huge = b'{"body":"' + b"x" * 2_000_000 + b'"}'
    headers = {"Authorization": f"Bearer {alice.token}"}
    for content in (huge, (huge[start : start + 65_536] for start in range(0, len(huge), 65_536))):
        # Whoever still sends when the answer comes may find the connection closed instead.
        with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=alice.url, timeout=40) as other:
            answer = other.put(V3 + send_path(room), content=content, headers=headers)
            assert code(answer) == (413, "M_TOO_LARGE")
    assert alice.send(room, "still here")


# Paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["a/b", "/", "a/", "/a", "a//b", "%2F", "a%2Fb", "%", "%25", "?a=b", "#", "a b", "+", "ü/é", "🎉"],
)
def test_any_state_key(alice: Client, key: str) -> None:
    """A state key is data: slashes, percent signs and all else arrive as they were meant."""
    room = alice.create_room()
    alice.sync()
    alice.set_state(room, "a.type", {"key": key}, key)
    assert alice.state(room, "a.type", key) == {"key": key}
    (event,) = timeline(alice.sync(), room)
    assert (event["type"], event["state_key"]) == ("a.type", key)
    assert alice.event(room, alice.send(room, "x", event_type=f"a.{key}"))["type"] == f"a.{key}"


def test_transaction_ids_are_told_apart(alice: Client) -> None:
    """An encoded slash, an encoded percent sign and what they stand for are three ids."""
    room = alice.create_room()
    ids = ["a/b", "a%2Fb", "a%252Fb", "a b", "a+b", "a%20b", "A/b"]
    sent = {txn: alice.send(room, txn, txn=txn) for txn in ids}
    assert len(set(sent.values())) == len(ids)
    for txn in ids:
        assert alice.send(room, "again", txn=txn) == sent[txn]
        assert alice.event(room, sent[txn])["unsigned"]["transaction_id"] == txn


def test_characters_need_not_be_encoded(alice: Client) -> None:
    """Room ids with and without encoding are the same."""
    room = alice.create_room(room_version="11")
    for form in (room, seg(room), quote(room, safe="!:"), room.replace("!", "%21")):
        assert alice.must("GET", f"/rooms/{form}/state/m.room.create")["room_version"] == "11"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", ""),
        ("GET", "/"),
        ("PUT", "/sync/more"),
        ("GET", "/rooms"),
        ("GET", "/rooms//messages"),
        ("PUT", "/rooms/!a:b/send/m.room.message"),
        ("PUT", "/rooms/!a:b/send/m.room.message/"),
        ("PUT", "/rooms/!a:b/send//t"),
        ("GET", "/_matrix/client/v99/sync"),
        ("GET", "/_matrix/client/v3/../v3/nothing"),
        ("GET", "/_matrix/nothing"),
        ("GET", "/_matrix"),
        ("GET", "/_synapse/admin/v1/users"),
    ],
)
def test_paths_that_are_not_there(alice: Client, method: str, path: str) -> None:
    """Unknown endpoints are said to be unknown, with or without a body."""
    alice.refused("M_UNRECOGNIZED", 404, method, path or V3)
    assert code(alice.raw("POST", "/_matrix/client/v3/nothing", b"{")) == (404, "M_UNRECOGNIZED")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sync"),
        ("PUT", "/createRoom"),
        ("GET", "/rooms/!a:b/join"),
        ("DELETE", "/rooms/!a:b/messages"),
        ("POST", "/rooms/!a:b/state/a.type/key"),
        ("PATCH", "/rooms/!a:b/state/a.type/"),
        ("POST", "/rooms/!a:b/send/m.room.message/t"),
    ],
)
def test_methods_that_are_not_there(alice: Client, method: str, path: str) -> None:
    """A known endpoint says that it does not know the method."""
    alice.refused("M_UNRECOGNIZED", 405, method, path)


# Who asks ---------------------------------------------------------------------------------------------------------


def test_without_a_token(alice: Client) -> None:
    """No token and a wrong token are told apart, before anything else is looked at."""
    room = alice.create_room()
    nobody, stranger = Client(alice.url), Client(alice.url, "nonsense")
    for method, path in (("GET", "/sync"), ("PUT", send_path(room)), ("POST", "/createRoom")):
        assert code(nobody.raw(method, path, b"{")) == (401, "M_MISSING_TOKEN")
        assert code(stranger.raw(method, path, b"{")) == (401, "M_UNKNOWN_TOKEN")
        assert "soft_logout" not in stranger.ask(method, path).json()
    for header in ("Basic abc", "Bearer", alice.token, f"Token {alice.token}"):
        assert nobody.raw("GET", "/sync", b"", Authorization=header).status_code == 401
    assert nobody.raw("GET", "/sync", b"", authorization=f"bearer {alice.token}").status_code in (200, 401)


# Headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sync", "/nothing", "/rooms/!a:b/send/m.room.message/t", "/_matrix/client/versions"])
def test_browsers_may_ask(alice: Client, path: str) -> None:
    """A preflight is answered for any path, without a token and without doing anything."""
    answer = Client(alice.url).ask("OPTIONS", path)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"GET", "POST", "PUT", "DELETE", "OPTIONS"} <= set(
        answer.headers["access-control-allow-methods"].split(", ")
    )
    allowed = {name.lower() for name in answer.headers["access-control-allow-headers"].split(", ")}
    assert {"x-requested-with", "content-type", "authorization"} <= allowed


def test_errors_have_headers_too(alice: Client) -> None:
    """Also an error can be read by a browser, and says what it is."""
    for answer in (
        Client(alice.url).ask("GET", "/sync"),
        alice.ask("GET", "/nothing"),
        alice.ask("POST", "/sync"),
        alice.raw("POST", "/createRoom", b"{"),
        alice.raw("PUT", send_path("!a:b"), b"x" * 66_000),
    ):
        assert answer.status_code >= 400
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"].strip()


def test_head_is_get_without_a_body(alice: Client) -> None:
    """Whoever only wants the headers gets them."""
    answer = alice.http.head("/_matrix/client/versions")
    assert (answer.status_code, answer.content) == (200, b"")


# Other ways of speaking HTTP --------------------------------------------------------------------------------------


def spoken(client: Client, text: bytes) -> tuple[int, Any]:
    """Say something over a bare connection, and give status and errcode of the first answer."""
    address = urlsplit(client.url)
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        connection.sendall(text)
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            answer = stream.read(length)
    return status, json.loads(answer or b"{}").get("errcode")


def test_a_body_in_pieces(alice: Client) -> None:
    """A chunked body is a body."""
    room = alice.create_room()
    path = V3 + send_path(room)
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    status, _ = spoken(alice, head.encode() + b'5\r\n{"bod\r\n9\r\ny":"hi!"}\r\n0\r\n\r\n')
    assert status == 200
    assert body(alice.messages(room, limit=1)["chunk"][0]) == "hi!"


@pytest.mark.parametrize("path", ["/_matrix/client/v3/%ff", "/_matrix/client/v3/%", "/%00", "/_matrix//client/v3/sync"])
def test_paths_that_cannot_be_read(alice: Client, path: str) -> None:
    """Broken encodings end in an answer, never in silence or a mishap."""
    status, _ = spoken(alice, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert 400 <= status < 500
