"""What goes into the thread of an order and what comes out. Free of the ACME library, which only that thread loads."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from appliance.tls.certificate import Certificate
from appliance.tls.challenges import Challenges


class Order(Struct, frozen=True, kw_only=True):
    """A certificate to be ordered.

    Args:
        directory: the address of the ACME directory.
        names: host names and IP addresses to be in it.
        account_key: the private key of our account there (PEM).
        account_uri: the address of that account, or "" if it is not registered yet.
        ca_file: a file with an extra root to trust for the directory's own HTTPS, or "".
        replaces: the certificate (PEM) that it succeeds, issued by the same authority; orders that name it are
            exempt from rate limits (RFC 9773, section 5).
        seconds: how long all of it may take.
    """

    directory: str
    names: tuple[str, ...]
    account_key: str
    account_uri: str = ""
    ca_file: str = ""
    replaces: str | None = None
    seconds: float = 300


class Course:
    """How the loop follows and ends an order that runs in a thread.

    Args:
        tell: called with a sentence on what was done ("" where there is nothing to tell) and one on what is being done
            now ("" where that is what it was).
        registered: called with the address of our account once there is one.
        challenges: where answers of challenges are put.
    """

    def __init__(
        self, tell: Callable[[str, str], None], registered: Callable[[str], None], challenges: Challenges
    ) -> None:
        self.tell = tell
        self.registered = registered
        self.challenges = challenges
        self.stopped = threading.Event()
        """Set by the loop: the thread gives up before its next request."""


class Window(Struct, frozen=True):
    """When the authority suggests to renew (ms since 1970), and in how many seconds to ask again."""

    start: int
    end: int
    retry_after: float | None


class Authority(Protocol):
    """Whoever carries out orders: ``client.py`` in earnest, a fake in tests. Both calls block."""

    def obtain(self, order: Order, course: Course) -> Certificate:
        """Order a certificate and wait until it is issued.

        Raises:
            OrderError: why there is none.
        """

    def renewal_window(self, directory: str, ca_file: str, chain_pem: str) -> Window | None:
        """The renewal information of a certificate; None where the authority offers none.

        Raises:
            OrderError: where it could not be had.
        """


class OrderError(Exception):
    """Why an order came to nothing.

    Args:
        kind: the code of the ACME error (RFC 8555, section 6.7) or one of our own; ``problems.py`` knows them all.
        names: the names that it is about, if it is about some.
        detail: the authority's or the library's own words.
        retry_after: seconds until another order makes sense, where the authority says so.
    """

    def __init__(
        self, kind: str, *, names: Sequence[str] = (), detail: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{kind} {', '.join(names)} {detail}")
        self.kind = kind
        self.names = tuple(names)
        self.detail = detail
        self.retry_after = retry_after
