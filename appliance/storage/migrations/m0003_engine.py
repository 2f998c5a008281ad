"""What the state around an event is asked for: events that do not stand on the room as it was when they came."""

STATEMENTS: tuple[str, ...] = (
    # apart: the state before the event is not the room's current state at its position: it was fetched from the past,
    # or stands on some ends of the graph only. Who may see it is for the state around it to say.
    "ALTER TABLE events ADD COLUMN apart INTEGER NOT NULL DEFAULT 0",
    # auth: the numbers of the events that it names as allowing it, as the edges have them too, in rising order, packed
    # (see events.py): a large resolution reads them with the event. Null for events that came before this column.
    "ALTER TABLE events ADD COLUMN auth BLOB",
)
