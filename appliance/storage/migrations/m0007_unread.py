"""Push rules that were, and what they said of events: unread counts and the list of notifications."""

STATEMENTS: tuple[str, ...] = (
    "CREATE INDEX account_data_push_rules ON account_data (user_id, content) WHERE type = 'm.push_rules'",
    # What a user's rules were up to a position; what counts now is account data.
    """CREATE TABLE former_push_rules (
        user_id TEXT NOT NULL, upto INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (user_id, upto)
    ) WITHOUT ROWID""",
    # An event that notifies all who have certain rules in a room, 0 being the predefined ones. thread: the id of the
    # root, '' for the main timeline.
    """CREATE TABLE notifications (
        room_nid INTEGER NOT NULL, rules INTEGER NOT NULL, position INTEGER NOT NULL, thread TEXT NOT NULL,
        event_nid INTEGER NOT NULL, sender TEXT NOT NULL, highlight INTEGER NOT NULL, actions TEXT NOT NULL,
        PRIMARY KEY (room_nid, rules, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX notifications_by_thread ON notifications (room_nid, rules, thread, position) WHERE thread <> ''",
    "CREATE INDEX notifications_highlights ON notifications (room_nid, rules, position) WHERE highlight = 1",
    # Where something else is said to one user than to all who have the same rules. notify, highlight: what is said;
    # rest_notify, rest_highlight: what is said to the others, which is counted there.
    """CREATE TABLE personal_notifications (
        user_id TEXT NOT NULL, room_nid INTEGER NOT NULL, position INTEGER NOT NULL, thread TEXT NOT NULL,
        event_nid INTEGER NOT NULL, sender TEXT NOT NULL, notify INTEGER NOT NULL, highlight INTEGER NOT NULL,
        rest_notify INTEGER NOT NULL, rest_highlight INTEGER NOT NULL, actions TEXT NOT NULL,
        PRIMARY KEY (user_id, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX personal_notifications_by_room ON personal_notifications (room_nid, user_id, position)",
    # Up to where a user has read a room, or a thread of it, by having said something there.
    """CREATE TABLE said_up_to (
        user_id TEXT NOT NULL, room_nid INTEGER NOT NULL, thread TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (user_id, room_nid, thread)
    ) WITHOUT ROWID""",
    "CREATE INDEX said_up_to_by_room ON said_up_to (room_nid)",
)
