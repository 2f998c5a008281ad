"""Tokens that live for minutes or an hour and prove one thing: who somebody is, or that they may log in once."""

from appliance.storage.database import Database, Tx


def add_openid_token(tx: Tx, token_hash: bytes, user_id: str, expires_ts: int, now: int) -> None:
    """Keep a token that proves who somebody is, and drop those whose time is over."""
    tx.execute("DELETE FROM openid_tokens WHERE expires_ts <= ?", (now,))
    tx.execute("INSERT INTO openid_tokens VALUES (?, ?, ?)", (token_hash, user_id, expires_ts))


def openid_user(database: Database, token_hash: bytes, now: int) -> str | None:
    """Whom such a token proves, as long as the account exists; None for any other token."""
    rows = database.read(
        "SELECT t.user_id FROM openid_tokens t JOIN accounts a ON a.user_id = t.user_id"
        " WHERE t.hash = ? AND t.expires_ts > ? AND a.deactivated = 0 AND a.locked = 0",
        (token_hash, now),
    )
    return rows[0][0] if rows else None


def add_login_token(tx: Tx, token_hash: bytes, user_id: str, expires_ts: int, now: int) -> None:
    """Keep a token that logs in once, and drop those whose time is over."""
    tx.execute("DELETE FROM login_tokens WHERE expires_ts <= ?", (now,))
    tx.execute("INSERT INTO login_tokens VALUES (?, ?, ?)", (token_hash, user_id, expires_ts))


def use_login_token(tx: Tx, token_hash: bytes, now: int) -> str | None:
    """Use up a token that logs in once; answers whom, or None where it is not good (any more)."""
    rows = tx.execute(
        "DELETE FROM login_tokens WHERE hash = ? RETURNING user_id, expires_ts",
        (token_hash,),
    )
    return rows[0][0] if rows and rows[0][1] > now else None
