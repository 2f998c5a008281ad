"""Messages to devices in the order in which they were sent, and one-time keys by upload.

Sending to many devices then writes at one place, not at one for each device; uploading many keys writes a few rows.
"""

STATEMENTS: tuple[str, ...] = (
    # What was sent lately, a row for each request, as storage/to_device.py packs it. What stays for longer goes on to
    # to_device_messages.
    "CREATE TABLE to_device_sends (position INTEGER PRIMARY KEY, messages BLOB NOT NULL)",
    # Up to where a device has what was sent lately, or is not to have it; kept while there is something before that.
    """CREATE TABLE to_device_marks (
        user_id TEXT NOT NULL, device_id TEXT NOT NULL, upto INTEGER NOT NULL, PRIMARY KEY (user_id, device_id)
    ) WITHOUT ROWID""",
    # Whatever deletes a device, what waits for it goes, and a new device of the same name is not to have it.
    """CREATE TRIGGER device_gone AFTER DELETE ON devices BEGIN
        DELETE FROM to_device_messages WHERE user_id = old.user_id AND device_id = old.device_id;
        INSERT OR REPLACE INTO to_device_marks (user_id, device_id, upto)
            SELECT old.user_id, old.device_id, (SELECT max(position) FROM to_device_sends)
            WHERE EXISTS (SELECT 1 FROM to_device_sends);
        END""",
    # The keys of one upload of one algorithm, as storage/device_keys.py packs them. Packs of a device are given
    # out in the order of their numbers, each from its beginning; the first ``taken`` of its keys were given out.
    "CREATE TABLE one_time_packs (pack_nid INTEGER PRIMARY KEY, keys BLOB NOT NULL)",
    """CREATE TABLE one_time_batches (
        device_nid INTEGER NOT NULL REFERENCES keyed_devices (device_nid) ON DELETE CASCADE, algorithm TEXT NOT NULL,
        pack_nid INTEGER NOT NULL, taken INTEGER NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (device_nid, algorithm, pack_nid)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER one_time_pack_gone AFTER DELETE ON one_time_batches
        BEGIN DELETE FROM one_time_packs WHERE pack_nid = old.pack_nid; END""",
    """INSERT INTO one_time_batches (device_nid, algorithm, pack_nid, taken, count)
        SELECT device_nid, algorithm, row_number() OVER (ORDER BY device_nid, algorithm, batch), 0, count(*)
        FROM one_time_keys GROUP BY device_nid, algorithm, batch""",
    """INSERT INTO one_time_packs (pack_nid, keys)
        SELECT n.pack_nid, CAST('[' || group_concat('[' || json_quote(k.key_id) || ',' || length(CAST(k.json AS BLOB))
            || ']') || ']' || char(10) || group_concat(k.json, '') AS BLOB)
        FROM (SELECT device_nid, algorithm, batch,
            row_number() OVER (ORDER BY device_nid, algorithm, batch) AS pack_nid
            FROM one_time_keys GROUP BY device_nid, algorithm, batch) n
        JOIN (SELECT * FROM one_time_keys ORDER BY device_nid, algorithm, batch, key_id) k
        USING (device_nid, algorithm, batch) GROUP BY n.pack_nid""",
    "DROP TABLE one_time_keys",
)
