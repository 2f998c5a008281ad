"""What events are to each other, and what was said in words.

All of it follows from the events themselves and is kept so that nobody has to read them to know it.
"""

STATEMENTS: tuple[str, ...] = (
    # One row an event that says it relates to another, the child. Its parent need not be here. In the order in which
    # children are paged. key: what an annotation says.
    """CREATE TABLE relations (
        room_nid INTEGER NOT NULL, parent_id TEXT NOT NULL, ordering INTEGER NOT NULL, position INTEGER NOT NULL,
        child_nid INTEGER NOT NULL, rel_type TEXT NOT NULL, type TEXT NOT NULL, sender TEXT NOT NULL, key TEXT,
        PRIMARY KEY (room_nid, parent_id, ordering, position)
    ) WITHOUT ROWID""",
    """CREATE INDEX relations_annotations ON relations (room_nid, parent_id, sender, type, key)
        WHERE rel_type = 'm.annotation'""",
    """CREATE INDEX relations_references ON relations (room_nid, parent_id, ordering, position, child_nid, sender)
        WHERE rel_type = 'm.reference'""",
    # Children that replace their parent, if that is of their sender and type; of several the last one counts.
    """CREATE TABLE edits (
        room_nid INTEGER NOT NULL, parent_id TEXT NOT NULL, sender TEXT NOT NULL, type TEXT NOT NULL,
        timestamp INTEGER NOT NULL, child_id TEXT NOT NULL, child_nid INTEGER NOT NULL,
        PRIMARY KEY (room_nid, parent_id, sender, type, timestamp, child_id)
    ) WITHOUT ROWID""",
    # Threads by their roots, with the place of their last event, and how much each sender has in them.
    """CREATE TABLE threads (
        room_nid INTEGER NOT NULL, root_id TEXT NOT NULL, count INTEGER NOT NULL, ordering INTEGER NOT NULL,
        position INTEGER NOT NULL, latest_nid INTEGER NOT NULL, PRIMARY KEY (room_nid, root_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX threads_by_latest ON threads (room_nid, ordering, position)",
    """CREATE TABLE thread_senders (
        room_nid INTEGER NOT NULL, root_id TEXT NOT NULL, sender TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (room_nid, root_id, sender)
    ) WITHOUT ROWID""",
    # When the events of each timeline say that they were made.
    """CREATE TABLE event_times (
        room_nid INTEGER NOT NULL, timestamp INTEGER NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (room_nid, timestamp, position)
    ) WITHOUT ROWID""",
    """INSERT OR IGNORE INTO event_times
        SELECT room_nid, json_extract(CAST(json AS TEXT), '$.origin_server_ts'), position FROM events
        WHERE position IS NOT NULL AND json_valid(CAST(json AS TEXT))""",
    # The words of messages, names and topics. It holds no text; its row numbers are positions of the stream, and the
    # room is a word of its own, r and the number. The marks say which positions are in it: upto for what came, past for
    # what was fetched from the past. They begin at nothing, so that the first search brings in all there is.
    """CREATE VIRTUAL TABLE search USING fts5 (
        body, name, topic, room, content='', tokenize='unicode61 remove_diacritics 2'
    )""",
    """CREATE TABLE search_marks (
        only INTEGER PRIMARY KEY CHECK (only = 1), upto INTEGER NOT NULL, past INTEGER NOT NULL
    )""",
    "INSERT INTO search_marks VALUES (1, 0, 0)",
    # Who can be found by a name: local users as room 0, users of other servers by room. folded: id and name, without
    # the difference of capitals. And the rooms that everybody may join or read.
    """CREATE TABLE user_names (
        room_nid INTEGER NOT NULL, user_id TEXT NOT NULL, folded TEXT NOT NULL, PRIMARY KEY (room_nid, user_id)
    ) WITHOUT ROWID""",
    """INSERT INTO user_names
        SELECT 0, user_id, lower(user_id || ' ' || trim(value, '"')) FROM profiles WHERE field = 'displayname'""",
    "CREATE TABLE open_rooms (room_nid INTEGER PRIMARY KEY)",
    """INSERT OR IGNORE INTO open_rooms SELECT c.room_nid FROM current_state c
        JOIN slots s ON s.slot_nid = c.slot_nid JOIN events e ON e.event_nid = c.event_nid
        WHERE s.state_key = '' AND (s.type = 'm.room.join_rules'
        AND json_extract(CAST(e.json AS TEXT), '$.content.join_rule') = 'public' OR s.type = 'm.room.history_visibility'
        AND json_extract(CAST(e.json AS TEXT), '$.content.history_visibility') = 'world_readable')""",
    # What users told the owner: of an event, a room or a user. They outlive the room.
    """CREATE TABLE reports (
        report_id INTEGER PRIMARY KEY AUTOINCREMENT, received_ts INTEGER NOT NULL, reporter TEXT NOT NULL,
        room_id TEXT NOT NULL, event_id TEXT NOT NULL, user_id TEXT NOT NULL, reason TEXT NOT NULL,
        excerpt TEXT NOT NULL
    )""",
)
