"""When each room last came to the top of a list: the bump stamps of MSC4186."""

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage import sliding as rows
from appliance.storage.database import Database

BUMPING = frozenset(
    {
        "m.room.create",
        "m.room.message",
        "m.room.encrypted",
        "m.sticker",
        "m.call.invite",
        "m.poll.start",
        "m.beacon_info",
        "org.matrix.msc3381.poll.start",
        "org.matrix.msc3672.beacon_info",
    }
)
"""What brings a room to the top. Not who comes and goes, nor reactions, nor names."""


class Bumps:
    """The position of the last event of each room that brought it to the top; a contributor.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._last = rows.bumps(database)

    def of(self, room_nid: int) -> int | None:
        """The position, None for a room in which nothing of the kind happened that is known here."""
        return self._last.get(room_nid)

    def prepare(self, step: Step) -> Statement | None:
        """Store the position of what brings the room to the top."""
        if step.event.type not in BUMPING:
            return None
        return lambda tx, position: rows.bump(tx, step.room_nid, position) if position > 0 else None

    def published(self, step: Step, position: int) -> None:
        """Note the position."""
        if step.event.type in BUMPING and position > 0:
            self._last[step.room_nid] = position
