"""The answers to HTTP-01 challenges, for the http listener."""

PATH = "/.well-known/acme-challenge/"
"""What the path of a challenge begins with (RFC 8555, section 8.3); the token follows."""


class Challenges:
    """Token → what to answer. Filled by the thread of an order, read by the listener; each call is one step, so the
    two need no lock."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def get(self, token: str) -> str | None:
        """The body to answer ``GET /.well-known/acme-challenge/<token>`` with, as ``application/octet-stream``; None
        where nothing of that token is awaited."""
        return self._answers.get(token)

    def put(self, token: str, answer: str) -> None:
        """Begin to answer a token."""
        self._answers[token] = answer

    def remove(self, token: str) -> None:
        """Stop answering a token."""
        self._answers.pop(token, None)
