"""What a listener lets through at all: by its reach, and by whether the server has been set up."""

from typing import Protocol

import orjson

from appliance.errors import MatrixError, unrecognized
from appliance.server.answers import Answer
from appliance.server.errors_mapping import refusal
from appliance.server.plan import Listener, Reach
from appliance.settings import Settings

CHALLENGES = "/.well-known/acme-challenge/"
_WIZARD = ("/setup/", "/static/")
_FEDERATION = ("/_matrix/federation/", "/_matrix/key/", "/.well-known/matrix/")
_TEXT = b"text/plain; charset=utf-8"


class Challenges(Protocol):
    """The answers that the certificate authority looks for (``tls``)."""

    def get(self, token: str) -> str | None:
        """The key authorisation of a challenge that is pending."""


class SetupState(Protocol):
    """How far the setup is (``owner``)."""

    @property
    def is_finished(self) -> bool:
        """Whether the wizard is over."""

    @property
    def state(self) -> str:
        """A word for ``/health``, such as ``unclaimed``."""


class Gate:
    """Decides by path alone, before anything is routed.

    Args:
        settings: where clients are sent.
        setup: how far the setup is.
        challenges: the pending ACME challenges.
    """

    def __init__(self, settings: Settings, setup: SetupState, challenges: Challenges) -> None:
        self._settings = settings
        self._setup = setup
        self._challenges = challenges

    def stop(self, listener: Listener, path: str, raw_target: bytes) -> Answer | None:
        """The answer that ends this request here, or None: it goes on.

        Args:
            listener: the one that it came in by.
            path: the path that it is routed by.
            raw_target: path and query as they were sent.
        """
        if path.startswith("/.well-known/acme-challenge"):
            return self._challenge(path)
        if path == "/health":
            return self._health()
        if not self._setup.is_finished:
            return self._before_setup(listener, path)
        if listener.reach is Reach.REDIRECT and not _is_wizard(path):
            return self._redirect(raw_target)
        if listener.reach is Reach.FEDERATION and not path.startswith(_FEDERATION):
            return refusal(unrecognized())
        return None

    def _challenge(self, path: str) -> Answer:
        authorisation = self._challenges.get(path[len(CHALLENGES) :]) if path.startswith(CHALLENGES) else None
        if authorisation is None:
            return Answer(b"There is no such challenge.\n", 404, _TEXT)
        return Answer(authorisation.encode(), 200, b"application/octet-stream")

    def _health(self) -> Answer:
        body = orjson.dumps({"status": "ok", "state": self._setup.state})
        return Answer(body, headers={b"cache-control": b"no-store"})

    def _before_setup(self, listener: Listener, path: str) -> Answer | None:
        if listener.reach is not Reach.FEDERATION:
            if _is_wizard(path):
                return None
            if path == "/":
                return Answer(b"", 303, _TEXT, {b"location": b"/setup", b"cache-control": b"no-store"})
        if path.startswith(("/_matrix/", "/.well-known/matrix/")):
            return refusal(MatrixError("M_UNKNOWN", "This server has not been set up yet.", 503))
        return refusal(unrecognized("There is nothing here until this server has been set up."))

    def _redirect(self, raw_target: bytes) -> Answer:
        target = b"https://" + self._settings.reached_at.encode() + b"/" + raw_target.lstrip(b"/")
        return Answer(b"", 308, _TEXT, {b"location": target})


def _is_wizard(path: str) -> bool:
    return path == "/setup" or path.startswith(_WIZARD)
