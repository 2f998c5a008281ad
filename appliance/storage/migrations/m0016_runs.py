"""The runs of the server, so that tokens are known that a restored backup knows nothing of."""

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE runs (
        run_nid INTEGER PRIMARY KEY, boot INTEGER NOT NULL, began INTEGER NOT NULL
    )""",
)
