"""The first shape of hearth.db: accounts, rooms, the stream, certificates, settings.

Written by hand, since Piccolo's own migrations know no composite keys, no tables without row numbers and no partial
indexes. Times are milliseconds since 1970 unless a name says otherwise. ``position`` is always the stream's.
"""

STATEMENTS: tuple[str, ...] = (
    # The server itself -------------------------------------------------------------------------------------------
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Progress of the first set-up: the claim, the answers given so far, the mark that all is done.
    "CREATE TABLE setup (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # One row: the last position that a committed unit took. Positions are never given twice, also after pruning.
    "CREATE TABLE stream (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL)",
    "INSERT INTO stream VALUES (1, 0)",
    """CREATE TABLE signing_keys (
        key_id TEXT PRIMARY KEY, seed BLOB NOT NULL, created_ts INTEGER NOT NULL, ended_ts INTEGER
    ) WITHOUT ROWID""",
    """CREATE TABLE certificates (
        certificate_id INTEGER PRIMARY KEY, source TEXT NOT NULL, names TEXT NOT NULL, chain_pem TEXT NOT NULL,
        key_pem TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, directory TEXT,
        renew_at INTEGER, check_at INTEGER
    )""",
    "CREATE TABLE acme_accounts (directory TEXT PRIMARY KEY, key_pem TEXT NOT NULL, uri TEXT NOT NULL) WITHOUT ROWID",
    # Accounts ----------------------------------------------------------------------------------------------------
    """CREATE TABLE accounts (
        user_id TEXT PRIMARY KEY, password_hash TEXT, created_ts INTEGER NOT NULL, admin INTEGER NOT NULL DEFAULT 0,
        guest INTEGER NOT NULL DEFAULT 0, locked INTEGER NOT NULL DEFAULT 0, suspended INTEGER NOT NULL DEFAULT 0,
        deactivated INTEGER NOT NULL DEFAULT 0, erased INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    """CREATE TABLE profiles (
        user_id TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (user_id, field)
    ) WITHOUT ROWID""",
    """CREATE TABLE devices (
        user_id TEXT NOT NULL REFERENCES accounts (user_id), device_id TEXT NOT NULL, display_name TEXT,
        created_ts INTEGER NOT NULL, last_seen_ts INTEGER, last_seen_ip TEXT, PRIMARY KEY (user_id, device_id)
    ) WITHOUT ROWID""",
    # A session is one login on one device; its tokens come and go beneath it.
    """CREATE TABLE sessions (
        session_id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, device_id TEXT NOT NULL,
        created_ts INTEGER NOT NULL,
        FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
    )""",
    "CREATE INDEX sessions_by_device ON sessions (user_id, device_id)",
    # Tokens are kept as SHA-256; a token that expires has a time.
    """CREATE TABLE access_tokens (
        hash BLOB PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
        created_ts INTEGER NOT NULL, expires_ts INTEGER
    ) WITHOUT ROWID""",
    "CREATE INDEX access_tokens_by_session ON access_tokens (session_id)",
    # successor: the refresh token that this one was traded for; once that one is used, this one is dead.
    """CREATE TABLE refresh_tokens (
        hash BLOB PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (session_id) ON DELETE CASCADE,
        created_ts INTEGER NOT NULL, expires_ts INTEGER, successor BLOB
    ) WITHOUT ROWID""",
    "CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id)",
    """CREATE TABLE registration_tokens (
        token TEXT PRIMARY KEY, uses_allowed INTEGER, uses INTEGER NOT NULL DEFAULT 0, expires_ts INTEGER,
        created_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE filters (
        user_id TEXT NOT NULL, filter_id INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (user_id, filter_id)
    ) WITHOUT ROWID""",
    # Rooms -------------------------------------------------------------------------------------------------------
    # state_group_nid: the group of the current state while the graph has several ends; null while the state after its
    # one end says it.
    """CREATE TABLE rooms (
        room_nid INTEGER PRIMARY KEY, room_id TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
        creator TEXT NOT NULL, listed INTEGER NOT NULL DEFAULT 0, created_ts INTEGER NOT NULL,
        state_group_nid INTEGER
    )""",
    "CREATE TABLE aliases (alias TEXT PRIMARY KEY, room_id TEXT NOT NULL, creator TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX aliases_by_room ON aliases (room_id)",
    # json: canonical federation form without unsigned. position: arrival in the timeline, negative for what was fetched
    # from the past, null for outliers. ordering: depth, at most one more than the highest known parent's.
    # replaces_nid: the event that held a state event's slot before it.
    """CREATE TABLE events (
        event_nid INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, room_nid INTEGER NOT NULL, type TEXT NOT NULL,
        state_key TEXT, sender TEXT NOT NULL, ordering INTEGER NOT NULL, position INTEGER,
        rejected INTEGER NOT NULL DEFAULT 0, soft_failed INTEGER NOT NULL DEFAULT 0,
        outlier INTEGER NOT NULL DEFAULT 0, replaces_nid INTEGER, json BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX events_by_position ON events (position) WHERE position IS NOT NULL",
    "CREATE INDEX events_by_arrival ON events (room_nid, position) WHERE position IS NOT NULL",
    "CREATE INDEX events_by_ordering ON events (room_nid, ordering, position) WHERE position IS NOT NULL",
    # kind 0: parent (prev_events), 1: auth event.
    """CREATE TABLE edges (
        event_nid INTEGER NOT NULL, kind INTEGER NOT NULL, other_nid INTEGER NOT NULL,
        PRIMARY KEY (event_nid, kind, other_nid)
    ) WITHOUT ROWID""",
    """CREATE TABLE forward_extremities (
        room_nid INTEGER NOT NULL, event_nid INTEGER NOT NULL, PRIMARY KEY (room_nid, event_nid)
    ) WITHOUT ROWID""",
    # Events that are named as parents and that we do not have.
    """CREATE TABLE backward_extremities (
        room_nid INTEGER NOT NULL, missing_event_id TEXT NOT NULL, event_nid INTEGER NOT NULL,
        PRIMARY KEY (room_nid, missing_event_id, event_nid)
    ) WITHOUT ROWID""",
    # Events that wait for others which they name and which are not here: as received, and what they wait for.
    """CREATE TABLE waiting_events (
        event_id TEXT PRIMARY KEY, room_id TEXT NOT NULL, origin TEXT NOT NULL, received_ts INTEGER NOT NULL,
        json BLOB NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX waiting_events_by_room ON waiting_events (room_id, received_ts)",
    "CREATE INDEX waiting_events_by_origin ON waiting_events (origin)",
    """CREATE TABLE waiting_for (
        missing_event_id TEXT NOT NULL, event_id TEXT NOT NULL, PRIMARY KEY (missing_event_id, event_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX waiting_for_by_event ON waiting_for (event_id)",
    # Where the timeline has a hole before an event: /messages backfills there, sync says limited.
    """CREATE TABLE gaps (
        room_nid INTEGER NOT NULL, event_nid INTEGER NOT NULL, ordering INTEGER NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (room_nid, event_nid)
    ) WITHOUT ROWID""",
    # An event's original, for as long as a setting keeps it after its redaction.
    """CREATE TABLE redacted_originals (
        event_nid INTEGER PRIMARY KEY, redacted_ts INTEGER NOT NULL, json BLOB NOT NULL
    )""",
    # applied 0: the redaction came before its target and waits for it.
    """CREATE TABLE redactions (
        target_event_id TEXT NOT NULL, redaction_nid INTEGER NOT NULL, applied INTEGER NOT NULL,
        PRIMARY KEY (target_event_id, redaction_nid)
    ) WITHOUT ROWID""",
    # State: a slot is a pair of type and state key, a group is a state, given whole or as what differs from its base.
    """CREATE TABLE slots (
        slot_nid INTEGER PRIMARY KEY, type TEXT NOT NULL, state_key TEXT NOT NULL, UNIQUE (type, state_key)
    )""",
    """CREATE TABLE state_groups (
        group_nid INTEGER PRIMARY KEY, room_nid INTEGER NOT NULL, base_nid INTEGER, chain INTEGER NOT NULL,
        partial INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX state_groups_by_base ON state_groups (base_nid) WHERE base_nid IS NOT NULL",
    # event_nid null: the slot of the base is gone in this group.
    """CREATE TABLE state_group_entries (
        group_nid INTEGER NOT NULL, slot_nid INTEGER NOT NULL, event_nid INTEGER, PRIMARY KEY (group_nid, slot_nid)
    ) WITHOUT ROWID""",
    # The state before and after each event that has a place in the graph.
    """CREATE TABLE event_states (
        event_nid INTEGER PRIMARY KEY, before_nid INTEGER NOT NULL, after_nid INTEGER NOT NULL
    )""",
    """CREATE TABLE current_state (
        room_nid INTEGER NOT NULL, slot_nid INTEGER NOT NULL, event_nid INTEGER NOT NULL,
        PRIMARY KEY (room_nid, slot_nid)
    ) WITHOUT ROWID""",
    """CREATE TABLE memberships (
        room_nid INTEGER NOT NULL, user_id TEXT NOT NULL, membership TEXT NOT NULL, event_nid INTEGER NOT NULL,
        sender TEXT NOT NULL, position INTEGER NOT NULL, forgotten INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (room_nid, user_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX memberships_by_user ON memberships (user_id, membership)",
    # scope: the endpoint with its room and type. One event per device, scope and transaction id.
    """CREATE TABLE transaction_ids (
        user_id TEXT NOT NULL, device_id TEXT NOT NULL, scope TEXT NOT NULL, transaction_id TEXT NOT NULL,
        event_nid INTEGER NOT NULL, created_ts INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id, scope, transaction_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX transaction_ids_by_event ON transaction_ids (event_nid)",
    # Rows of the stream, one table a kind ------------------------------------------------------------------------
    # Changes of the current state, also those that no event of the timeline made (resolution).
    """CREATE TABLE state_changes (
        position INTEGER NOT NULL, room_nid INTEGER NOT NULL, slot_nid INTEGER NOT NULL, event_nid INTEGER,
        previous_nid INTEGER, PRIMARY KEY (room_nid, position, slot_nid)
    ) WITHOUT ROWID""",
    # Every change of a membership: who was where when, for sync.
    """CREATE TABLE membership_changes (
        position INTEGER NOT NULL, room_nid INTEGER NOT NULL, user_id TEXT NOT NULL, membership TEXT NOT NULL,
        previous TEXT, event_nid INTEGER NOT NULL, PRIMARY KEY (user_id, position, room_nid)
    ) WITHOUT ROWID""",
    "CREATE INDEX membership_changes_by_room ON membership_changes (room_nid, position)",
    # Global account data has the empty room_id.
    """CREATE TABLE account_data (
        user_id TEXT NOT NULL, room_id TEXT NOT NULL, type TEXT NOT NULL, content TEXT NOT NULL,
        position INTEGER NOT NULL, PRIMARY KEY (user_id, room_id, type)
    ) WITHOUT ROWID""",
    "CREATE INDEX account_data_by_position ON account_data (user_id, position)",
    # thread_id: '' for a receipt that is not threaded.
    """CREATE TABLE receipts (
        room_id TEXT NOT NULL, user_id TEXT NOT NULL, type TEXT NOT NULL, thread_id TEXT NOT NULL,
        event_id TEXT NOT NULL, data TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (room_id, user_id, type, thread_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX receipts_by_position ON receipts (room_id, position)",
    """CREATE TABLE to_device_messages (
        position INTEGER NOT NULL, user_id TEXT NOT NULL, device_id TEXT NOT NULL, message BLOB NOT NULL,
        PRIMARY KEY (user_id, device_id, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE device_list_changes (
        position INTEGER NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (user_id, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX device_list_changes_by_position ON device_list_changes (position)",
)
