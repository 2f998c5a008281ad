"""States that can be compared by what differs, and what it takes to clear away what nobody needs.

Until now a state was stored whole or as a delta; from now on every state but a first one is a delta, and some are
stored whole besides.
"""

STATEMENTS: tuple[str, ...] = (
    # chain: rows of deltas to read before a whole state is reached, 0 where this one is stored whole. longest: how long
    # a chain above it may become. loose: nothing but other groups has referred to it yet.
    "ALTER TABLE state_groups ADD COLUMN longest INTEGER NOT NULL DEFAULT 64",
    "ALTER TABLE state_groups ADD COLUMN loose INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX state_groups_loose ON state_groups (group_nid) WHERE loose = 1",
    "CREATE INDEX state_groups_by_room ON state_groups (room_nid)",
    # Groups stored whole besides; see state_snapshots.py for what the bytes mean.
    "CREATE TABLE state_snapshots (group_nid INTEGER PRIMARY KEY, state BLOB NOT NULL)",
    # What the base holds in a slot that differs; null for nothing. For a group without a base nothing at all.
    "ALTER TABLE state_group_entries ADD COLUMN previous_nid INTEGER",
    """UPDATE state_group_entries SET previous_nid = (
        WITH RECURSIVE line (group_nid, base_nid) AS (
            SELECT b.group_nid, b.base_nid FROM state_groups g JOIN state_groups b ON b.group_nid = g.base_nid
            WHERE g.group_nid = state_group_entries.group_nid
            UNION ALL
            SELECT b.group_nid, b.base_nid FROM line JOIN state_groups b ON b.group_nid = line.base_nid
        )
        SELECT p.event_nid FROM line JOIN state_group_entries p ON p.group_nid = line.group_nid
        WHERE p.slot_nid = state_group_entries.slot_nid ORDER BY line.group_nid DESC LIMIT 1
    )""",
    # Slots that may be in use no more. Whoever hands a slot out takes it off.
    "CREATE TABLE unused_slots (slot_nid INTEGER PRIMARY KEY)",
    "CREATE INDEX state_changes_by_slot ON state_changes (room_nid, slot_nid)",
    # Rooms whose row is gone already and whose other rows go slice by slice.
    "CREATE TABLE purges (room_nid INTEGER PRIMARY KEY, room_id TEXT NOT NULL, marked_ts INTEGER NOT NULL)",
    "CREATE INDEX purges_by_room ON purges (room_id)",
    # Numbers that were given once and whose rows are gone; they are not given again.
    "CREATE TABLE number_floors (kind TEXT PRIMARY KEY, nid INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX events_unplaced ON events (room_nid) WHERE position IS NULL",
    "CREATE INDEX redactions_by_redaction ON redactions (redaction_nid)",
    "CREATE INDEX redacted_originals_by_age ON redacted_originals (redacted_ts)",
)
