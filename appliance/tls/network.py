"""The HTTP side of ACME: the library's network with what it lacks. Imported only by ``client``.

Added: an extra root to trust, patience with rejected nonces, an end that can be ordered from outside, and problems as
``OrderError`` with the authority's Retry-After.
"""

import datetime
import email.utils
import math
import re
import ssl
import threading
import time
from typing import Any

import requests
from acme import client, errors, messages
from josepy import jwa, jwk
from requests.adapters import HTTPAdapter

from appliance.tls.orders import OrderError
from appliance.version import VERSION

NONCE_TRIES = 11
"""How often a request is sent when its nonce is rejected. The library's own two are too few for an authority that is
under load, or tests its clients (Pebble)."""
REQUEST_TIMEOUT = 30
"""Seconds to wait for a connection or for the next bytes of an answer."""

_RETRY_IN_WORDS = re.compile(r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?: ?UTC|Z)", re.IGNORECASE)


class Network(client.ClientNetwork):
    """Signed requests to one authority.

    Args:
        key: the account's key; None for what is asked without an account.
        ca_file: a file with an extra root to trust, or "".
        seconds: how long the whole conversation may take.
        stopped: an event after which no further request is made.
    """

    def __init__(self, key: jwk.JWK | None, ca_file: str, seconds: float, stopped: threading.Event) -> None:
        super().__init__(key, alg=jwa.ES256, user_agent=f"Hearth/{VERSION}", timeout=REQUEST_TIMEOUT)
        if ca_file:
            self.session.mount("https://", _ExtraRoot(ca_file))
        self._deadline = time.monotonic() + seconds
        self._stopped = stopped

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the deadline nor after a stop.

        Raises:
            OrderError: ``deadline`` or ``stopped``.
        """
        self._stopped.wait(min(seconds, max(self._deadline - time.monotonic(), 0)))
        self._still_wanted()

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library's, with more tries when a nonce is rejected."""
        for attempt in range(NONCE_TRIES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce" or attempt == NONCE_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self._still_wanted()
        return super()._send_request(method, url, *args, **kwargs)

    def _still_wanted(self) -> None:
        if self._stopped.is_set():
            raise OrderError("stopped")
        if time.monotonic() >= self._deadline:
            raise OrderError("deadline")

    @classmethod
    def _check_response(cls, response: requests.Response, content_type: str | None = None) -> requests.Response:
        try:
            return super()._check_response(response, content_type)
        except messages.Error as error:
            # The library keeps the problem but not the headers that came with it.
            error.retry_after = retry_after(response)
            raise


class _ExtraRoot(HTTPAdapter):
    """Trusts the usual roots and those of one more file."""

    def __init__(self, ca_file: str) -> None:
        self._context = ssl.create_default_context()
        try:
            self._context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise OrderError("ca-file", detail=f"{ca_file}: {error}") from error
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the base's, with our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def retry_after(response: requests.Response) -> float | None:
    """The seconds that an answer's Retry-After names, as a number or as a date; None without one."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return _seconds_until(email.utils.parsedate_to_datetime(value)) if value else None
    except ValueError:
        return None


def retry_in_words(detail: str) -> float | None:
    """The seconds until the time that Let's Encrypt writes into the sentence of a rate limit; None without one."""
    found = _RETRY_IN_WORDS.search(detail)
    return _seconds_until(datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")) if found else None


def problem_of(error: Exception) -> OrderError:
    """What an exception of the library means."""
    if isinstance(error, OrderError):
        return error
    if isinstance(error, messages.Error):
        return _of_acme(error)
    if isinstance(error, requests.RequestException):
        return OrderError(_kind_of_connection(error), detail=_innermost(error))
    if isinstance(error, errors.ClientError) and error.args and isinstance(error.args[0], requests.Response):
        response = error.args[0]
        status = response.status_code
        kind = {429: "rateLimited"}.get(status, "serverInternal" if status >= 500 else "not-acme")
        return OrderError(kind, detail=f"HTTP status {status} from {response.url}", retry_after=retry_after(response))
    # Whatever cannot be understood: not JSON, a field that is missing or of another shape.
    return OrderError("not-acme", detail=f"{type(error).__name__}: {error}")


def problem_of_validation(authorizations: list[messages.AuthorizationResource]) -> OrderError:
    """What the failed authorisations of an order have to say: the first kind of problem, and all names that have it."""
    found: dict[str, OrderError] = {}
    for authorization in authorizations:
        name = authorization.body.identifier.value
        error = next((challenge.error for challenge in authorization.body.challenges if challenge.error), None)
        one = _of_acme(error) if error else OrderError("unauthorized", detail="The authority gave no reason.")
        known = found.get(one.kind)
        names = (*(known.names if known else ()), name)
        found[one.kind] = OrderError(one.kind, names=names, detail=known.detail if known else one.detail)
    return next(iter(found.values()))


def _of_acme(error: messages.Error) -> OrderError:
    kind = str(error.typ).rpartition(":")[2]
    parts = error.subproblems or ()
    named = [part.identifier.value for part in parts if part.identifier]
    if kind == "compound" and parts:
        kind = str(parts[0].typ).rpartition(":")[2]
    if error.identifier:
        named.append(error.identifier.value)
    detail = " ".join(filter(None, (error.detail or error.title, *(part.detail for part in parts))))
    wait = getattr(error, "retry_after", None)
    if wait is None and kind == "rateLimited":
        wait = retry_in_words(detail)
    return OrderError(kind, names=named, detail=detail, retry_after=wait)


def _kind_of_connection(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "untrusted"
    if isinstance(error, requests.Timeout):
        return "timeout"
    if isinstance(error, ValueError):  # an address of another kind, an answer that is not JSON
        return "not-acme"
    if "NameResolution" in str(error) or "getaddrinfo" in str(error):
        return "unresolved"
    return "unreachable"


def _innermost(error: BaseException) -> str:
    """The plainest words in a chain of wrapped errors."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return str(reason or error)


def _seconds_until(moment: datetime.datetime) -> float:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, math.ceil((moment - datetime.datetime.now(datetime.UTC)).total_seconds()))
