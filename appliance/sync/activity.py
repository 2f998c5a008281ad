"""When each room last changed: one number a room, so that a sync skips the rooms in which nothing happened."""

from collections import OrderedDict

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage.database import Database
from appliance.storage.rooms import last_positions


class Activity:
    """The last published position of every room; told of events as a contributor.

    Args:
        database: where the rooms are.
    """

    def __init__(self, database: Database) -> None:
        self._last = OrderedDict(sorted(last_positions(database).items(), key=lambda item: item[1]))
        """The position of each room's last event, the latest at the end."""

    def since(self, room_nid: int) -> int:
        """The position of the last thing that happened in a room's timeline; 0 for nothing."""
        return self._last.get(room_nid, 0)

    def changed_since(self, position: int, most: int) -> list[int] | None:
        """The rooms in whose timelines something happened after a position; None if they are more than ``most``."""
        found: list[int] = []
        for room_nid, last in reversed(self._last.items()):
            if last <= position:
                break
            if len(found) == most:
                return None
            found.append(room_nid)
        return found

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Note the position."""
        self._last[step.room_nid] = position
        self._last.move_to_end(step.room_nid)
