"""What the state around an event is asked for: events that do not stand on the room as it was when they came."""

STATEMENTS: tuple[str, ...] = (
    # apart: the state before the event is not the room's current state at its position: it was fetched from the past,
    # or stands on some ends of the graph only. Who may see it is for the state around it to say.
    "ALTER TABLE events ADD COLUMN apart INTEGER NOT NULL DEFAULT 0",
)
