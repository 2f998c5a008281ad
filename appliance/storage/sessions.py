"""Sessions and the tokens beneath them.

A session is one login on one device. Its access and refresh tokens come in pairs that share their ``created_ts``,
which grows strictly within a session: so every token is known to belong to its pair, and a pair to be newer or older
than another. Tokens are kept as SHA-256. A token that was replaced is not deleted at once but ended (``expires_ts``),
so that a client that still uses it is told to refresh or to log in again, and not to throw its keys away.
"""

from msgspec import Struct

from appliance.storage.database import Database, Tx

KEEP_ENDED_MS = 7 * 24 * 3600 * 1000
"""How long a token that ended and has a successor is still remembered."""


class StoredSession(Struct, frozen=True):
    """What an access token leads to.

    Args:
        session_id: the number of the session.
        user_id: whose it is.
        device_id: the device that it is on.
        admin: whether the user is an owner of this server.
        guest: whether the user is a guest.
        locked: whether the account is locked.
        suspended: whether the account is suspended.
        created_ts: when the pair of tokens was made.
        expires_ts: when the access token ends; None for never.
        replaces: whether an older refresh token of the session is still valid, which ends with the first use of
            this access token.
    """

    session_id: int
    user_id: str
    device_id: str
    admin: bool
    guest: bool
    locked: bool
    suspended: bool
    created_ts: int
    expires_ts: int | None
    replaces: bool


class RefreshToken(Struct, frozen=True):
    """A refresh token as stored.

    Args:
        session_id: the session that it belongs to.
        user_id: whose session it is.
        device_id: the device that it is on.
        created_ts: when the pair of tokens was made.
        expires_ts: when it ended or will; None while it is good.
        successor: the hash of the refresh token that it was traded for.
        locked: whether the account is locked.
    """

    session_id: int
    user_id: str
    device_id: str
    created_ts: int
    expires_ts: int | None
    successor: bytes | None
    locked: bool


def find_session(database: Database, token_hash: bytes) -> StoredSession | None:
    """The session behind an access token, whether the token has expired or not."""
    rows = database.read(
        "SELECT s.session_id, s.user_id, s.device_id, a.admin, a.guest, a.locked, a.suspended, t.created_ts,"
        " t.expires_ts, EXISTS (SELECT 1 FROM refresh_tokens r WHERE r.session_id = t.session_id"
        " AND r.created_ts < t.created_ts AND r.expires_ts IS NULL)"
        " FROM access_tokens t JOIN sessions s ON s.session_id = t.session_id"
        " JOIN accounts a ON a.user_id = s.user_id WHERE t.hash = ?",
        (token_hash,),
    )
    if not rows:
        return None
    session_id, user_id, device_id, admin, guest, locked, suspended, created_ts, expires_ts, replaces = rows[0]
    return StoredSession(
        session_id,
        user_id,
        device_id,
        bool(admin),
        bool(guest),
        bool(locked),
        bool(suspended),
        created_ts,
        expires_ts,
        bool(replaces),
    )


def is_logged_in(tx: Tx, user_id: str, device_id: str) -> bool:
    """Whether there is a session on a device."""
    return bool(tx.execute("SELECT 1 FROM sessions WHERE user_id = ? AND device_id = ?", (user_id, device_id)))


def start_session(tx: Tx, user_id: str, device_id: str, display_name: str | None, now: int) -> tuple[int, bool]:
    """Begin a session on a device, which is made where it is new; what was logged in there before is ended.

    Returns:
        The number of the session, and whether the device is new.
    """
    made = tx.execute(
        "INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (user_id, device_id, display_name, now),
    )
    tx.execute("DELETE FROM sessions WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    rows = tx.execute(
        "INSERT INTO sessions (user_id, device_id, created_ts) VALUES (?, ?, ?) RETURNING session_id",
        (user_id, device_id, now),
    )
    return int(rows[0][0]), bool(made)


def insert_tokens(
    tx: Tx, session_id: int, access_hash: bytes, refresh_hash: bytes | None, created_ts: int, expires_ts: int | None
) -> None:
    """Write a pair of tokens, or an access token alone."""
    tx.execute(
        "INSERT INTO access_tokens (hash, session_id, created_ts, expires_ts) VALUES (?, ?, ?, ?)",
        (access_hash, session_id, created_ts, expires_ts),
    )
    if refresh_hash is not None:
        tx.execute(
            "INSERT INTO refresh_tokens (hash, session_id, created_ts) VALUES (?, ?, ?)",
            (refresh_hash, session_id, created_ts),
        )


def find_refresh_token(tx: Tx, token_hash: bytes) -> RefreshToken | None:
    """A refresh token, also one that has ended."""
    rows = tx.execute(
        "SELECT r.session_id, s.user_id, s.device_id, r.created_ts, r.expires_ts, r.successor, a.locked"
        " FROM refresh_tokens r JOIN sessions s ON s.session_id = r.session_id"
        " JOIN accounts a ON a.user_id = s.user_id WHERE r.hash = ?",
        (token_hash,),
    )
    if not rows:
        return None
    session_id, user_id, device_id, created_ts, expires_ts, successor, locked = rows[0]
    return RefreshToken(session_id, user_id, device_id, created_ts, expires_ts, successor, bool(locked))


def succeed(tx: Tx, token_hash: bytes, token: RefreshToken, successor: bytes, now: int) -> None:
    """Note that a refresh token was traded for another, before the new pair is written.

    A pair that it was traded for earlier was never used, or the token would have ended: it is taken back. What is
    older than the token's own pair ends now.
    """
    tx.execute(
        "DELETE FROM access_tokens WHERE session_id = ? AND created_ts > ?", (token.session_id, token.created_ts)
    )
    tx.execute(
        "DELETE FROM refresh_tokens WHERE session_id = ? AND created_ts > ?", (token.session_id, token.created_ts)
    )
    end_older(tx, token.session_id, token.created_ts, now)
    for table in ("access_tokens", "refresh_tokens"):
        tx.execute(
            f"DELETE FROM {table} WHERE session_id = ? AND created_ts < ? AND expires_ts < ?",
            (token.session_id, token.created_ts, now - KEEP_ENDED_MS),
        )
    tx.execute("UPDATE refresh_tokens SET successor = ? WHERE hash = ?", (successor, token_hash))


def end_older(tx: Tx, session_id: int, created_ts: int, now: int) -> None:
    """End every refresh token of a session that is older than a pair, and the access tokens that came before it.

    The pair just before keeps its access token until that expires: requests of the client that are under way with it
    still succeed.
    """
    tx.execute(
        "UPDATE access_tokens SET expires_ts = ? WHERE session_id = ? AND (expires_ts IS NULL OR expires_ts > ?)"
        " AND created_ts < (SELECT max(created_ts) FROM refresh_tokens WHERE session_id = ? AND created_ts < ?)",
        (now, session_id, now, session_id, created_ts),
    )
    tx.execute(
        "UPDATE refresh_tokens SET expires_ts = ? WHERE session_id = ? AND created_ts < ? AND expires_ts IS NULL",
        (now, session_id, created_ts),
    )
