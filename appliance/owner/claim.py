"""The claim: who can read this machine's log or data folder owns the server.

Until the set-up is finished there is a claim code, in the log's banner, in a file that only Hearth's user can read, and
behind ``hearth claim-code``. Entering it makes a browser the wizard's browser. A code is gone once used; the next one,
made at once, is for going on in another browser. A stranger who guesses is slowed down, never the owner locked out.
"""

import asyncio
import hmac
import ipaddress
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

FILE = "claim-code"
ALPHABET = "23456789BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that no words come out; nothing that can be read as something else (0 O, 1 I L)."""
GROUPS, GROUP = 3, 3
"""27^9 codes. Eight thousand connections that each wait out the longest shared delay try less than a hundredth of them
in a year; and the code changes at each start."""

FIRST_DELAY = 0.5
LONGEST_DELAY = 15.0
"""Seconds that an address waits which often guessed wrong. Short enough to sit through: it is the owner's too, when
strangers and owner come through the same proxy."""
FREE_FAILURES = 20
LONGEST_SHARED_DELAY = 5.0
"""Seconds that everybody waits, once there were many wrong guesses from wherever."""
FORGET_AFTER = 3600.0
REMEMBERED = 1024
"""Addresses whose wrong guesses are remembered; beyond it the oldest are forgotten, and the shared delay goes on."""


class Claim:
    """The claim code and its keeping.

    Args:
        folder: the data folder.
        clock: seconds on a clock that only goes forward.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.path = folder / FILE
        self.code = ""
        """The code that is good now, grouped; "" when there is none."""
        self._clock = clock
        self._sleep = sleep
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._shared = 0.0
        self._shared_at = clock()

    def renew(self) -> str:
        """Make a new code, write it into the data folder, and forget the old one."""
        letters = [secrets.choice(ALPHABET) for _ in range(GROUPS * GROUP)]
        self.code = "-".join("".join(letters[start : start + GROUP]) for start in range(0, len(letters), GROUP))
        beside = self.path.with_name(f".{FILE}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{self.code}\n")
        beside.replace(self.path)
        return self.code

    def remove(self) -> None:
        """There is nothing to claim any more: forget the code and delete its file."""
        self.code = ""
        self._failures.clear()
        self.path.unlink(missing_ok=True)

    async def check(self, typed: str, address: str) -> bool:
        """Whether this is the code; takes the longer, the more wrong ones came before.

        A right code is used up: the next one is made before this returns.

        Args:
            typed: as the person wrote it; small letters, spaces and hyphens do not matter.
            address: the IP address that it comes from.
        """
        source = _source(address)
        # Counted before the wait, so that many guesses at once wait as long as many one after the other.
        delay = self._count(source)
        if delay > 0:
            await self._sleep(delay)
        right = hmac.compare_digest(_plain(typed).encode(), _plain(self.code).encode()) and self.code != ""
        if right:
            self._failures.pop(source, None)
            self.renew()
        return right

    def _count(self, source: str) -> float:
        """Count an attempt as failed until it turns out right, and say how many seconds it must wait."""
        now = self._clock()
        before, when = self._failures.pop(source, (0, now))
        if now - when > FORGET_AFTER:
            before = 0
        self._failures[source] = (before + 1, now)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        # Wrong guesses of all fade: half of them every ten minutes.
        shared = self._shared * 0.5 ** ((now - self._shared_at) / 600)
        self._shared, self._shared_at = shared + 1, now
        own = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(before - 1, 30)) if before else 0.0
        together = min(LONGEST_SHARED_DELAY, (shared - FREE_FAILURES) * 0.1) if shared > FREE_FAILURES else 0.0
        return max(own, together)


def read_code(folder: Path) -> str:
    """The claim code that lies in a data folder, or "" where there is none: the server is not running, or not
    unclaimed."""
    try:
        return (folder / FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def claim_lines(code: str, addresses: Sequence[str], fingerprint: str = "") -> list[str]:
    """What the start banner says of a Hearth that waits for its owner; the code is the last line.

    Args:
        code: the claim code.
        addresses: where the wizard answers, such as ``http://192.168.1.5:8080/setup``.
        fingerprint: of the self-signed certificate, for those who open the wizard over https.
    """
    lines = ["This Hearth has no owner yet. Open one of these addresses in a browser and enter the claim code:"]
    lines += [f"    {address}" for address in addresses]
    if fingerprint:
        lines.append(f"Over https the browser warns until there is a certificate; it should show {fingerprint}")
    return [*lines, f"Claim code: {code}"]


def _plain(code: str) -> str:
    """A code without what a person may add or leave out."""
    return "".join(letter for letter in code.upper() if letter.isascii() and letter.isalnum())


def _source(address: str) -> str:
    """Whom an address stands for: itself, or for IPv6 the network of a household (/64)."""
    if ":" not in address or address.startswith("::ffff:"):
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address
