"""Registration tokens: words that the owner hands out to people who may make an account."""

from msgspec import Struct

from appliance.storage.database import Database, Tx


class RegistrationToken(Struct, frozen=True):
    """One token.

    Args:
        token: the word itself.
        uses_allowed: how many accounts may be made with it; None for any number.
        uses: how many were.
        expires_ts: when it ends, milliseconds since 1970; None for never.
        created_ts: when it was made.
    """

    token: str
    uses_allowed: int | None
    uses: int
    expires_ts: int | None
    created_ts: int


def find_registration_token(database: Database, token: str) -> RegistrationToken | None:
    """A token, also one that is used up or has ended."""
    rows = database.read(
        "SELECT token, uses_allowed, uses, expires_ts, created_ts FROM registration_tokens WHERE token = ?", (token,)
    )
    return RegistrationToken(*rows[0]) if rows else None


def insert_registration_token(tx: Tx, token: RegistrationToken) -> bool:
    """Write a new token; False, and nothing is changed, where the word is taken."""
    rows = tx.execute(
        "INSERT INTO registration_tokens (token, uses_allowed, uses, expires_ts, created_ts) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (token.token, token.uses_allowed, token.uses, token.expires_ts, token.created_ts),
    )
    return bool(rows)


def use_registration_token(tx: Tx, token: str, now: int) -> bool:
    """Count one use; False, and nothing is changed, where the token is unknown, used up or ended."""
    rows = tx.execute(
        "UPDATE registration_tokens SET uses = uses + 1 WHERE token = ?"
        " AND (uses_allowed IS NULL OR uses < uses_allowed) AND (expires_ts IS NULL OR expires_ts > ?) RETURNING 1",
        (token, now),
    )
    return bool(rows)
