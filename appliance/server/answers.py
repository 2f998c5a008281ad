"""Answers: response objects that are themselves ASGI applications, which Litestar sends without further ado."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from litestar.types import ASGIApp, Receive, Scope, Send

JSON = b"application/json"


class Answer:
    """An HTTP response made of ready bytes.

    Args:
        body: the bytes to send.
        status: the HTTP status.
        content_type: the media type.
        headers: further header lines, names in lower case.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: bytes = JSON,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        if headers:
            self.headers.extend(headers.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def _encode(content: Any) -> bytes:
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:  # whole numbers beyond 64 bits, which events of old room versions may hold
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def answer(content: Any = None, status: int = 200, headers: Mapping[bytes, bytes] | None = None) -> ASGIApp:
    """A JSON answer.

    Args:
        content: bytes that are JSON already, a mapping, a list, or a msgspec Struct (fields that are ``UNSET`` are left
            out); nothing means ``{}``.
        status: the HTTP status.
        headers: further header lines.
    """
    if content is None:
        body = b"{}"
    elif isinstance(content, bytes):
        body = content
    elif isinstance(content, msgspec.Struct):
        body = msgspec.json.encode(content)
    else:
        body = _encode(content)
    return Answer(body, status, headers=headers)
