"""Who is behind the access tokens that were used lately, kept in memory."""

from collections import OrderedDict

from msgspec import Struct


class Session(Struct, frozen=True, kw_only=True):
    """Who is behind an access token.

    Args:
        session_id: the number of the login, the same for all tokens that it ever gets.
        user_id: the user.
        device_id: the device.
        admin: whether the user is an owner of this server.
        guest: whether the user is a guest.
        locked: whether the account is locked.
        suspended: whether the account is suspended.
        expired: whether the token has expired, so that the client has to refresh it (soft logout).
    """

    session_id: int
    user_id: str
    device_id: str
    admin: bool
    guest: bool
    locked: bool
    suspended: bool
    expired: bool


class Remembered(Struct, frozen=True):
    """A session as a token leads to it, and when that token ends (None for never)."""

    session: Session
    expires_ts: int | None


class TokenMemory:
    """At most ``size`` tokens' hashes with their sessions; what was used longest ago leaves first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, Remembered] = OrderedDict()
        self._of_user: dict[str, set[bytes]] = {}

    def get(self, token_hash: bytes) -> Remembered | None:
        """What is remembered about a token, which counts as used now."""
        entry = self._entries.get(token_hash)
        if entry is not None:
            self._entries.move_to_end(token_hash)
        return entry

    def put(self, token_hash: bytes, entry: Remembered) -> None:
        """Remember a token."""
        self._entries[token_hash] = entry
        self._of_user.setdefault(entry.session.user_id, set()).add(token_hash)
        if len(self._entries) > self._size:
            self._drop(*self._entries.popitem(last=False))

    def forget(self, user_id: str) -> None:
        """Forget every token of a user."""
        for token_hash in self._of_user.pop(user_id, ()):
            del self._entries[token_hash]

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, token_hash: bytes, entry: Remembered) -> None:
        tokens = self._of_user[entry.session.user_id]
        tokens.discard(token_hash)
        if not tokens:
            del self._of_user[entry.session.user_id]
