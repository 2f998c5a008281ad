"""Rooms between servers: memberships in rooms that nobody here is in, and transactions of other servers."""

STATEMENTS: tuple[str, ...] = (
    # A user's standing in a room that is not followed here, where it rests on this event: shown is the part of the
    # room's state by which they recognise it, a JSON list; via the server through which it came about.
    """CREATE TABLE outside_memberships (
        room_nid INTEGER NOT NULL, user_id TEXT NOT NULL, event_nid INTEGER NOT NULL, shown TEXT NOT NULL,
        via TEXT NOT NULL,        PRIMARY KEY (room_nid, user_id)
    ) WITHOUT ROWID""",
    # Transactions that were answered, for those who send them again.
    """CREATE TABLE received_transactions (
        origin TEXT NOT NULL, transaction_id TEXT NOT NULL, received_ts INTEGER NOT NULL, answer BLOB NOT NULL,
        PRIMARY KEY (origin, transaction_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX received_transactions_by_age ON received_transactions (received_ts)",
    # Events that were taken and not looked at yet: as received, in the order of their arrival.
    """CREATE TABLE unread_events (
        unread_nid INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, room_id TEXT NOT NULL, origin TEXT NOT NULL,
        received_ts INTEGER NOT NULL, json BLOB NOT NULL
    )""",
    "CREATE INDEX unread_events_by_origin ON unread_events (origin)",
    "CREATE INDEX unread_events_by_room ON unread_events (room_id)",
)
