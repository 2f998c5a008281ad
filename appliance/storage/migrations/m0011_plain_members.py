"""What state resolution asks of most memberships, in columns: their JSON need not be read for it."""

STATEMENTS: tuple[str, ...] = (
    # membership: of a membership of which nothing else counts for the authorisation rules; null for all other events,
    # and for those that were stored before this: they are read whole, as ever. origin_server_ts: where that is given.
    "ALTER TABLE events ADD COLUMN membership TEXT",
    "ALTER TABLE events ADD COLUMN origin_server_ts INTEGER",
)
