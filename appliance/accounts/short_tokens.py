"""Tokens that prove one thing for a short while: who somebody is, to other services (client-server API, module
"OpenID"), and that somebody may log in once on another device (``POST /login/get_token``).
"""

import hashlib
import secrets

from msgspec import Struct

from appliance.accounts.clock import Clock, wall_clock
from appliance.errors import MatrixError
from appliance.storage import short_tokens as rows
from appliance.storage.database import Database, Tx

OPENID_MS = 3600 * 1000
LOGIN_MS = 2 * 60 * 1000
_BYTES = 32


class ShortToken(Struct, frozen=True):
    """A token and how long it is good, in milliseconds."""

    token: str
    expires_in_ms: int


class ShortTokens:
    """Makes and checks them.

    Args:
        database: where they are kept, as SHA-256.
        clock: the time in milliseconds since 1970.
    """

    def __init__(self, database: Database, clock: Clock = wall_clock) -> None:
        self._database = database
        self._clock = clock

    async def for_openid(self, user_id: str) -> ShortToken:
        """A token with which a service can ask this server who somebody is."""
        token, now = secrets.token_urlsafe(_BYTES), self._clock()

        def work(tx: Tx) -> None:
            rows.add_openid_token(tx, _hash(token), user_id, now + OPENID_MS, now)

        await self._database.write(work)
        return ShortToken(token, OPENID_MS)

    def openid_user(self, token: str) -> str:
        """Whom a token proves.

        Raises:
            MatrixError: 401 ``M_UNKNOWN_TOKEN`` for a token that is unknown or no longer good.
        """
        user_id = rows.openid_user(self._database, _hash(token), self._clock())
        if user_id is None:
            raise MatrixError("M_UNKNOWN_TOKEN", "This token is unknown or has expired.", 401)
        return user_id

    async def for_login(self, user_id: str) -> ShortToken:
        """A token with which one device can log in as a user, once."""
        token, now = secrets.token_urlsafe(_BYTES), self._clock()

        def work(tx: Tx) -> None:
            rows.add_login_token(tx, _hash(token), user_id, now + LOGIN_MS, now)

        await self._database.write(work)
        return ShortToken(token, LOGIN_MS)

    async def use_for_login(self, token: str) -> str:
        """Whom a token logs in; it is used up.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` for a token that is unknown, used or expired.
        """
        now = self._clock()
        user_id = await self._database.write(lambda tx: rows.use_login_token(tx, _hash(token), now))
        if user_id is None:
            raise MatrixError("M_FORBIDDEN", "This login token is unknown, was used before or has expired.", 403)
        return user_id


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
