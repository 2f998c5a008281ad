"""The server's own signing keys: the one in use, and those that have ended and are still published."""

import time
from collections.abc import Callable

from msgspec import Struct

from appliance.protocol.signing import SigningKey
from appliance.storage.database import Database, Tx


class EndedKey(Struct, frozen=True):
    """A key that signs no more; other servers still check what it signed before its end.

    Args:
        key_id: its id, ``ed25519:…``.
        public_key: unpadded base64.
        ended_ts: until when it signed, milliseconds since 1970; ``expired_ts`` in what the server publishes.
    """

    key_id: str
    public_key: str
    ended_ts: int


class SigningKeys:
    """The keys in hearth.db.

    Args:
        database: hearth.db.
        now: milliseconds since 1970.
    """

    def __init__(self, database: Database, now: Callable[[], int] = lambda: int(time.time() * 1000)) -> None:
        self._database = database
        self._now = now
        self._current = _current(database.read(_CURRENT))

    @property
    def current(self) -> SigningKey | None:
        """The key that signs; None before the set-up made one."""
        return self._current

    async def ensure(self) -> SigningKey:
        """The key that signs, made and kept if there is none. Asked twice at once, it makes one."""
        if self._current is None:
            candidate, now = SigningKey.generate(), self._now()
            self._current = await self._database.write(lambda tx: _keep(tx, candidate, now))
        return self._current

    async def rotate(self) -> SigningKey:
        """Sign with a new key from now on; the one before ends now, and stays published for what it has signed."""
        candidate, now = SigningKey.generate(), self._now()

        def unit(tx: Tx) -> SigningKey:
            tx.execute("UPDATE signing_keys SET ended_ts = ? WHERE ended_ts IS NULL", (now,))
            return _keep(tx, candidate, now)

        self._current = await self._database.write(unit)
        return self._current

    def ended(self) -> list[EndedKey]:
        """The keys that have ended, the latest first."""
        rows = self._database.read(
            "SELECT key_id, seed, ended_ts FROM signing_keys WHERE ended_ts IS NOT NULL ORDER BY ended_ts DESC, key_id"
        )
        return [EndedKey(key_id, SigningKey(key_id, seed).public_key, ended_ts) for key_id, seed, ended_ts in rows]


_CURRENT = "SELECT key_id, seed FROM signing_keys WHERE ended_ts IS NULL ORDER BY created_ts DESC, key_id LIMIT 1"


def _current(rows: list[tuple[str, bytes]]) -> SigningKey | None:
    return SigningKey(*rows[0]) if rows else None


def _keep(tx: Tx, candidate: SigningKey, now: int) -> SigningKey:
    """The key in use, or else the candidate, which is one from now on."""
    current = _current(tx.read(_CURRENT))
    if current is not None:
        return current
    tx.execute(
        "INSERT INTO signing_keys (key_id, seed, created_ts) VALUES (?, ?, ?)", (candidate.key_id, candidate.seed, now)
    )
    return candidate
