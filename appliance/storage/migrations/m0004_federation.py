"""Other servers: their keys, how it goes with them, and what those lack that were not to be reached."""

STATEMENTS: tuple[str, ...] = (
    # Keys of other servers. valid_until_ts: up to when what they sign is good, a week after it was learnt at most.
    # expired_ts: the end of a key that its server signs with no more, else null.
    """CREATE TABLE server_keys (
        server_name TEXT NOT NULL, key_id TEXT NOT NULL, public_key TEXT NOT NULL, valid_until_ts INTEGER NOT NULL,
        expired_ts INTEGER, PRIMARY KEY (server_name, key_id)
    ) WITHOUT ROWID""",
    # What a server last said of its keys, as it signed it: to be handed on to those who ask us.
    """CREATE TABLE server_key_documents (
        server_name TEXT PRIMARY KEY, fetched_ts INTEGER NOT NULL, valid_until_ts INTEGER NOT NULL, json BLOB NOT NULL
    ) WITHOUT ROWID""",
)
