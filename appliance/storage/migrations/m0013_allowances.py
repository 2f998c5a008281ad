"""Who may replace their cross-signing keys without a proof for a while, since the owner says so."""

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE key_reset_allowances (
        user_id TEXT PRIMARY KEY REFERENCES accounts (user_id), until_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
)
