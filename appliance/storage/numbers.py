"""Row numbers, given on the loop when an object is built, so that units in flight can name each other.

Gaps are allowed: a number whose unit failed is never used. They say nothing about order; positions do. A number whose
row went with its room (``purge.py``) is not given again, so that whatever still remembers it finds nothing.
"""

from itertools import count

from appliance.storage.database import Reads


class Numbers:
    """The next numbers of events, rooms and state groups; one object for a database, as long as it is open.

    Args:
        database: where to find the highest numbers in use.
    """

    __slots__ = ("_events", "_groups", "_rooms")

    def __init__(self, database: Reads) -> None:
        self._events = _after(database, "event", "SELECT max(event_nid) FROM events")
        self._rooms = _after(database, "room", "SELECT max(room_nid) FROM rooms")
        self._groups = _after(database, "group", "SELECT max(group_nid) FROM state_groups")

    def event(self) -> int:
        """For a new event."""
        return next(self._events)

    def room(self) -> int:
        """For a new room."""
        return next(self._rooms)

    def group(self) -> int:
        """For a new state group."""
        return next(self._groups)


def _after(database: Reads, kind: str, sql: str) -> "count[int]":
    ((highest,),) = database.read(sql)
    floor = database.read("SELECT nid FROM number_floors WHERE kind = ?", (kind,))
    return count(max(highest or 0, floor[0][0] if floor else 0) + 1)
