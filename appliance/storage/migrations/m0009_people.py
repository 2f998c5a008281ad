"""What people do beside rooms: prove who they are elsewhere, send events later, follow threads."""

STATEMENTS: tuple[str, ...] = (
    # Tokens that prove to others who somebody is (OpenID), and tokens that log in another device. SHA-256 alone.
    """CREATE TABLE openid_tokens (
        hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, expires_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE login_tokens (
        hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, expires_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
)
