"""What people do beside rooms: prove who they are elsewhere, send events later, follow threads."""

STATEMENTS: tuple[str, ...] = (
    # Tokens that prove to others who somebody is (OpenID), and tokens that log in another device. SHA-256 alone.
    """CREATE TABLE openid_tokens (
        hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, expires_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE login_tokens (
        hash BLOB PRIMARY KEY, user_id TEXT NOT NULL, expires_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # Events that are to be sent later (MSC4140). send_ts: when, unless started anew before; finalised_ts: when that was
    # settled, by sending (event_id), by a refusal (error), or by being cancelled. A transaction makes one.
    """CREATE TABLE delayed_events (
        delay_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, device_id TEXT NOT NULL, room_id TEXT NOT NULL,
        type TEXT NOT NULL, state_key TEXT, content TEXT NOT NULL, delay_ms INTEGER NOT NULL, since_ts INTEGER NOT NULL,
        send_ts INTEGER NOT NULL, scope TEXT, transaction_id TEXT, finalised_ts INTEGER, event_id TEXT, error TEXT
    ) WITHOUT ROWID""",
    "CREATE INDEX delayed_events_pending ON delayed_events (send_ts, delay_id) WHERE finalised_ts IS NULL",
    "CREATE INDEX delayed_events_by_room ON delayed_events (room_id)",
    "CREATE INDEX delayed_events_done ON delayed_events (finalised_ts) WHERE finalised_ts IS NOT NULL",
    """CREATE UNIQUE INDEX delayed_events_by_transaction ON delayed_events (user_id, device_id, scope, transaction_id)
        WHERE transaction_id IS NOT NULL""",
    # Threads that users follow, or follow no more (MSC4306). automatic: their client did so. Rows of the stream;
    # what ended keeps its row, since an event of before must not begin it anew.
    """CREATE TABLE thread_subscriptions (
        user_id TEXT NOT NULL, room_id TEXT NOT NULL, root_id TEXT NOT NULL, subscribed INTEGER NOT NULL,
        automatic INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (user_id, room_id, root_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX thread_subscriptions_by_position ON thread_subscriptions (user_id, position)",
    "CREATE INDEX thread_subscriptions_by_room ON thread_subscriptions (room_id)",
    # Users whose name or picture has changed and whose rooms do not all say so yet; serial grows with each change.
    "CREATE TABLE untold_profiles (user_id TEXT PRIMARY KEY, serial INTEGER NOT NULL) WITHOUT ROWID",
)
