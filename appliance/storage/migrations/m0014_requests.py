"""What was sent to devices lately names the request that sent it, so that both are one row."""

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE to_device_sends_before AS SELECT position, messages FROM to_device_sends",
    "DROP TABLE to_device_sends",
    # The request goes before the messages, which may be long: whoever looks for a request reads no more than that.
    # Without a request: from another server.
    """CREATE TABLE to_device_sends (
        position INTEGER PRIMARY KEY, user_id TEXT, device_id TEXT, type TEXT, transaction_id TEXT, sent_ts INTEGER,
        messages BLOB NOT NULL
    )""",
    "INSERT INTO to_device_sends (position, messages) SELECT position, messages FROM to_device_sends_before",
    "DROP TABLE to_device_sends_before",
)
