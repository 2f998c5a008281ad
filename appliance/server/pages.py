"""Headers that every page and file for a browser has, unless its handler sets its own."""

from typing import Any

from litestar.types import Send

PAGE_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self';"
            b" connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Nothing from elsewhere, nothing inline, no frames. The referrer policy leaves a form's ``Origin`` as it is."""


def with_page_headers(send: Send) -> Send:
    """A ``send`` that adds the headers of a page which the answer does not have."""

    async def send_page(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            present = {name.lower() for name, _ in headers}
            headers.extend((name, value) for name, value in PAGE_HEADERS if name not in present)
            message = {**message, "headers": headers}
        await send(message)

    return send_page
