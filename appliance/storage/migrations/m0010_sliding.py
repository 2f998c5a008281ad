"""What connections of sliding sync remember, and the last event of each room that brings it to the top of a list."""

STATEMENTS: tuple[str, ...] = (
    # base, latest: the two generations of what was told that are kept: the one that the client is known to have, and
    # the one that was answered last. Numbers are never given twice, so that an old token cannot mean a new connection.
    """CREATE TABLE sliding_connections (
        connection_nid INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, device_id TEXT NOT NULL,
        name TEXT NOT NULL, base INTEGER NOT NULL, latest INTEGER NOT NULL, used_ts INTEGER NOT NULL,
        UNIQUE (user_id, device_id, name)
    )""",
    "CREATE INDEX sliding_connections_by_use ON sliding_connections (used_ts)",
    # How rooms were told, each way once for a connection.
    """CREATE TABLE sliding_configs (
        connection_nid INTEGER NOT NULL, config_nid INTEGER NOT NULL, config BLOB NOT NULL,
        PRIMARY KEY (connection_nid, config_nid)
    ) WITHOUT ROWID""",
    # What was told of a room from a generation on. upto: null while all that happens in it is told; else the position
    # up to which it was. config_nid null: the room is forgotten from that generation on.
    """CREATE TABLE sliding_rooms (
        connection_nid INTEGER NOT NULL, room_nid INTEGER NOT NULL, generation INTEGER NOT NULL, upto INTEGER,
        config_nid INTEGER, PRIMARY KEY (connection_nid, room_nid, generation)
    ) WITHOUT ROWID""",
    "CREATE TABLE room_bumps (room_nid INTEGER PRIMARY KEY, position INTEGER NOT NULL)",
    """INSERT INTO room_bumps SELECT room_nid, MAX(position) FROM events
        WHERE position > 0 AND rejected = 0 AND soft_failed = 0 AND type IN ('m.room.create', 'm.room.message',
        'm.room.encrypted', 'm.sticker', 'm.call.invite', 'm.poll.start', 'm.beacon_info',
        'org.matrix.msc3381.poll.start', 'org.matrix.msc3672.beacon_info') GROUP BY room_nid""",
)
