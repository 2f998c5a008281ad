"""End-to-end encryption: keys of devices and users, messages to devices, backups of room keys.

What belongs to a device of a local user refers to it, so that it goes with it whatever deletes it. The messages that
wait for devices and the changes of device lists have their tables from the first step.
"""

STATEMENTS: tuple[str, ...] = (
    # A device that has uploaded any key; json: its identity keys as served, with the signatures gathered since, or null
    # where it has uploaded one-time keys alone.
    """CREATE TABLE keyed_devices (
        device_nid INTEGER PRIMARY KEY, user_id TEXT NOT NULL, device_id TEXT NOT NULL, json TEXT,
        UNIQUE (user_id, device_id),
        FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
    )""",
    # batch: the upload that brought the key, counted for each device: the oldest is given out first.
    """CREATE TABLE one_time_keys (
        device_nid INTEGER NOT NULL REFERENCES keyed_devices (device_nid) ON DELETE CASCADE, algorithm TEXT NOT NULL,
        batch INTEGER NOT NULL, key_id TEXT NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (device_nid, algorithm, batch, key_id)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX one_time_keys_by_id ON one_time_keys (device_nid, algorithm, key_id)",
    # Keys that were given out: a client that repeats an upload whose answer it lost must not bring them back.
    """CREATE TABLE claimed_keys (
        claim_nid INTEGER PRIMARY KEY, device_nid INTEGER NOT NULL REFERENCES keyed_devices (device_nid)
        ON DELETE CASCADE, digest BLOB NOT NULL
    )""",
    "CREATE INDEX claimed_keys_by_device ON claimed_keys (device_nid, claim_nid)",
    """CREATE TABLE fallback_keys (
        device_nid INTEGER NOT NULL REFERENCES keyed_devices (device_nid) ON DELETE CASCADE, algorithm TEXT NOT NULL,
        key_id TEXT NOT NULL, json TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (device_nid, algorithm)
    ) WITHOUT ROWID""",
    # usage: master, self_signing or user_signing; also of users of other servers. json: as served to everybody.
    """CREATE TABLE cross_signing_keys (
        user_id TEXT NOT NULL, usage TEXT NOT NULL, key_id TEXT NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (user_id, usage)
    ) WITHOUT ROWID""",
    # Signatures that local users made on others' master keys, for their own eyes.
    """CREATE TABLE user_signatures (
        signer TEXT NOT NULL, target TEXT NOT NULL, target_key TEXT NOT NULL, key_id TEXT NOT NULL,
        signature TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (signer, target, target_key, key_id)
    ) WITHOUT ROWID""",
    # The last change of each device of local users, for other servers; device_id '' for cross-signing keys. previous:
    # the position of the change of the same user's devices before it, 0 for none.
    """CREATE TABLE device_updates (
        user_id TEXT NOT NULL, device_id TEXT NOT NULL, position INTEGER NOT NULL, previous INTEGER NOT NULL,
        PRIMARY KEY (user_id, device_id)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX device_updates_by_position ON device_updates (position)",
    # Requests to send to devices that were served, so that their repetition does nothing.
    """CREATE TABLE sent_to_device (
        user_id TEXT NOT NULL, device_id TEXT NOT NULL, type TEXT NOT NULL, transaction_id TEXT NOT NULL,
        sent_ts INTEGER NOT NULL, PRIMARY KEY (user_id, device_id, type, transaction_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX sent_to_device_by_age ON sent_to_device (sent_ts)",
    # Messages from other servers that were taken in, for the same reason; and those on their way to other servers.
    """CREATE TABLE received_to_device (
        origin TEXT NOT NULL, message_id TEXT NOT NULL, received_ts INTEGER NOT NULL, PRIMARY KEY (origin, message_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX received_to_device_by_age ON received_to_device (received_ts)",
    """CREATE TABLE outgoing_to_device (
        destination TEXT NOT NULL, position INTEGER NOT NULL, content TEXT NOT NULL,
        PRIMARY KEY (destination, position)
    ) WITHOUT ROWID""",
    # What is known of the devices of users of other servers whose lists are followed. stale: something was missed, or
    # may have been, and the list must be asked for before it is used.
    """CREATE TABLE remote_device_lists (
        user_id TEXT PRIMARY KEY, stream_id INTEGER NOT NULL, stale INTEGER NOT NULL, fetched_ts INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX remote_device_lists_stale ON remote_device_lists (user_id) WHERE stale = 1",
    """CREATE TABLE remote_devices (
        user_id TEXT NOT NULL REFERENCES remote_device_lists (user_id) ON DELETE CASCADE, device_id TEXT NOT NULL,
        json TEXT, display_name TEXT, PRIMARY KEY (user_id, device_id)
    ) WITHOUT ROWID""",
    # version counts up for each user and is never given twice; etag changes with every change of the keys.
    """CREATE TABLE key_backups (
        user_id TEXT NOT NULL, version INTEGER NOT NULL, algorithm TEXT NOT NULL, auth_data TEXT NOT NULL,
        etag INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, version)
    ) WITHOUT ROWID""",
    """CREATE TABLE backed_up_keys (
        user_id TEXT NOT NULL, version INTEGER NOT NULL, room_id TEXT NOT NULL, session_id TEXT NOT NULL,
        first_message_index INTEGER NOT NULL, forwarded_count INTEGER NOT NULL, is_verified INTEGER NOT NULL,
        session_data TEXT NOT NULL, PRIMARY KEY (user_id, version, room_id, session_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE dehydrated_devices (
        user_id TEXT PRIMARY KEY, device_id TEXT NOT NULL, device_data TEXT NOT NULL,
        FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX dehydrated_devices_by_device ON dehydrated_devices (user_id, device_id)",
)
