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
    # How it goes with a server. behind: there is something that it lacks and could not be told. failures: in a row;
    # retry_ts: when to try again.
    """CREATE TABLE destinations (
        server_name TEXT PRIMARY KEY, last_success_ts INTEGER NOT NULL DEFAULT 0, failing_since_ts INTEGER,
        failures INTEGER NOT NULL DEFAULT 0, retry_ts INTEGER NOT NULL DEFAULT 0, last_error TEXT NOT NULL DEFAULT '',
        behind INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    # The newest event of a room that a server lacks which is behind.
    """CREATE TABLE outbox_rooms (
        server_name TEXT NOT NULL, room_nid INTEGER NOT NULL, event_nid INTEGER NOT NULL,
        PRIMARY KEY (server_name, room_nid)
    ) WITHOUT ROWID""",
    "CREATE INDEX outbox_rooms_by_room ON outbox_rooms (room_nid)",
    # Up to here all was sent to every server that keeps up, and is noted of every other.
    "CREATE TABLE outbox_mark (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL)",
    "INSERT INTO outbox_mark SELECT 1, position FROM stream",
    # Servers that lack changes of local users' devices, and the position after which they do.
    "CREATE TABLE outbox_lists (server_name TEXT PRIMARY KEY, after INTEGER NOT NULL) WITHOUT ROWID",
    # Events that another server made and that we are to pass on to the rest of the room; kept until the mark is past.
    "CREATE TABLE outbox_relays (position INTEGER PRIMARY KEY, event_nid INTEGER NOT NULL)",
)
