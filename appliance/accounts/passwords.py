"""Passwords: argon2id, off the loop, at most two at once.

Each hash takes the memory and the passes that the settings say (19 MiB and two by default), so the number of hashes at
once bounds the memory that logins can take.
"""

import asyncio
import base64
import os
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from appliance.errors import MatrixError, invalid_param, missing_param
from appliance.settings import Settings

AT_ONCE = 2
MAX_PASSWORD_BYTES = 512
_SALT_BYTES = 16
_HASH_BYTES = 32


class Verdict(Struct, frozen=True):
    """What a check came to.

    Args:
        right: whether the password is the one that was hashed.
        outdated: whether it is right and its hash was made with other parameters than the settings now say.
    """

    right: bool
    outdated: bool = False


def check_new_password(password: str | None, shortest: int = 1) -> str:
    """A password as a client offers it for keeping, if it can be kept.

    Args:
        password: the password.
        shortest: how many characters it must have.

    Raises:
        MatrixError: ``M_MISSING_PARAM`` without one, ``M_WEAK_PASSWORD`` for one that is too short,
            ``M_INVALID_PARAM`` for one that is too long.
    """
    if not password:
        raise missing_param("A password is needed.")
    if len(password) < shortest:
        raise MatrixError("M_WEAK_PASSWORD", f"A password takes at least {shortest} characters here.", 400)
    if _too_long(password):
        raise invalid_param(f"A password may have at most {MAX_PASSWORD_BYTES} bytes.")
    return password


class Passwords:
    """Hashes passwords and checks them.

    Args:
        settings: the memory and rounds of argon2id, read at use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """The encoded hash to store.

        Raises:
            MatrixError: as ``check_new_password``.
        """
        check_new_password(password)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher().hash, password)

    async def verify(self, encoded: str | None, password: str) -> Verdict:
        """Check a password against a stored hash.

        Without a hash (no such user, no password) the same work is done in vain, so that the time tells nothing.
        """
        if _too_long(password):
            return Verdict(right=False)
        hasher = self._hasher()
        against = encoded or _vain_hash(hasher)
        right = await asyncio.get_running_loop().run_in_executor(self._threads, _matches, hasher, against, password)
        right = right and encoded is not None
        return Verdict(right=right, outdated=right and hasher.check_needs_rehash(against))

    def close(self) -> None:
        """End the threads once what they are at is done."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _hasher(self) -> PasswordHasher:
        return PasswordHasher(
            time_cost=self._settings.passwords_rounds,
            memory_cost=self._settings.passwords_memory_kib,
            parallelism=1,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )


def wrong_password() -> MatrixError:
    """403 ``M_FORBIDDEN``, the same for an unknown user and for a wrong password."""
    return MatrixError("M_FORBIDDEN", "The username or the password is wrong.", 403)


def _too_long(password: str) -> bool:
    return len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES


def _matches(hasher: PasswordHasher, encoded: str, password: str) -> bool:
    try:
        return hasher.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def _vain_hash(hasher: PasswordHasher) -> str:
    """An encoded hash that no password has, costing what a real one costs to check."""
    salt, digest = (
        base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
