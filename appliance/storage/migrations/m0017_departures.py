"""Rejected invitations, and knocks taken back, of which no other server has heard yet."""

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE farewells (
        room_id TEXT NOT NULL, user_id TEXT NOT NULL, event_id TEXT NOT NULL, rejected_id TEXT NOT NULL,
        content TEXT NOT NULL, servers TEXT NOT NULL, since_ts INTEGER NOT NULL, attempts INTEGER NOT NULL,
        next_ts INTEGER NOT NULL, PRIMARY KEY (room_id, user_id)
    ) WITHOUT ROWID""",
)
