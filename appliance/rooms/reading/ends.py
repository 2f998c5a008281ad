"""The ends of the rooms in use, in memory: what most answers tell lies there, so that they need not ask the database.

Two things are kept of a room. Its *recent arrivals* are what was published since some position, with what each changed
of the state: enough for whoever asks what is new. Its *tail* is the end of its history: enough for whoever asks for the
latest. Both hold numbers alone, and both know how far back they reach; who wants more reads the rows.
"""

from bisect import insort
from collections import deque

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage import events as rows
from appliance.storage import gaps
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru
from appliance.storage.state import Changes, Slot

ROOMS_KEPT = 500
"""Rooms of which the end is kept; with ``KEPT`` that is some six megabytes if all of them are busy."""
KEPT = 64
"""Events of each: more than the windows of clients, which are twenty or fifty."""

Point = tuple[int, int, int]
"""Ordering, position and number of an event."""


class _Recent:
    """What arrived in a room after a position: (position, number or 0 for a state alone, what changed of the state)."""

    __slots__ = ("after", "arrivals")

    def __init__(self, after: int) -> None:
        self.after = after
        self.arrivals: deque[tuple[int, int, Changes]] = deque()

    def add(self, position: int, nid: int, changes: Changes) -> None:
        self.arrivals.append((position, nid, changes))
        if len(self.arrivals) > KEPT:
            self.after = self.arrivals.popleft()[0]


class _Tail:
    """The end of a room's history, the earliest first; ``whole`` where nothing came before."""

    __slots__ = ("newest", "points", "whole")

    def __init__(self, points: list[Point], whole: bool) -> None:
        self.points = points
        self.whole = whole
        self.newest = max((position for _, position, _ in points), default=0)

    def add(self, point: Point) -> None:
        points, self.newest = self.points, max(self.newest, point[1])
        if not points or point > points[-1]:
            points.append(point)
        elif self.whole or point > points[0]:
            insort(points, point)
        if len(points) > 2 * KEPT:
            del points[:-KEPT]
            self.whole = False


class Ends:
    """Keeps the ends of rooms; a contributor, told of events of the past too.

    Args:
        database: where the rest is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: Lru[int, _Recent] = Lru(ROOMS_KEPT)
        self._tails: Lru[int, _Tail] = Lru(ROOMS_KEPT)
        self._unbroken: Lru[int, bool] = Lru(ROOMS_KEPT)

    # The order of the history ------------------------------------------------------------------------------------

    def back(self, room_nid: int, ordering: int, position: int, upto: int, most: int) -> list[int] | None:
        """The numbers of the events at or before a point of the history, the latest first; None where the tail does not
        reach as far back.

        Args:
            room_nid: the room.
            ordering: the point's ordering.
            position: the point's position.
            upto: the last position that counts.
            most: how many at most.
        """
        if most > KEPT:
            return None
        tail = self._tail(room_nid)
        points = tail.points
        if upto >= tail.newest and points and points[-1][:2] <= (ordering, position):
            # All of it counts, which is what mostly is asked.
            if len(points) >= most or tail.whole:
                return [nid for _, _, nid in reversed(points[-most:])]
            return None
        found: list[int] = []
        for point in reversed(tail.points):
            if point[1] <= upto and (point[0] < ordering or (point[0] == ordering and point[1] <= position)):
                found.append(point[2])
                if len(found) == most:
                    return found
        return found if tail.whole else None

    def latest(self, room_nid: int, upto: int) -> tuple[int, int]:
        """(ordering, position) of the last event of a room's history among those that had arrived by a position."""
        for ordering, position, _ in reversed(self._tail(room_nid).points):
            if position <= upto:
                return ordering, position
        return rows.latest_point(self._database, room_nid, upto)

    def holes(self, room_nid: int) -> list[tuple[int, int]]:
        """(ordering, position) of every event of a room before which there is a hole, the first first."""
        if self._unbroken.get(room_nid):
            return []
        found = gaps.of_room(self._database, room_nid)
        if not found:
            self._unbroken.put(room_nid, True)
        return found

    def _tail(self, room_nid: int) -> _Tail:
        tail = self._tails.get(room_nid)
        if tail is None:
            found = rows.last_points(self._database, room_nid, self._database.position, KEPT)
            tail = _Tail(found[::-1], len(found) < KEPT)
            self._tails.put(room_nid, tail)
        return tail

    # The order of arrival ----------------------------------------------------------------------------------------

    def arrived(self, room_nid: int, since: int, upto: int, most: int) -> list[int] | None:
        """The numbers of the latest events that arrived in ``since < position <= upto``, the latest first; None where
        that is not known here.
        """
        recent = self._recent.get(room_nid)
        if recent is None or since < recent.after:
            return None
        found: list[int] = []
        for position, nid, _ in reversed(recent.arrivals):
            if position <= since or len(found) == most:
                break
            if nid and position <= upto:
                found.append(nid)
        return found

    def changes(
        self, room_nid: int, since: int, at: int, upto: int
    ) -> tuple[dict[Slot, int | None], dict[Slot, int | None]]:
        """What changed of a room's state; as ``storage.state.changes``."""
        recent = self._recent.get(room_nid)
        if recent is None or since < recent.after:
            return state_rows.changes(self._database, room_nid, since, at, upto)
        before: dict[Slot, int | None] = {}
        after: dict[Slot, int | None] = {}
        for position, _, changes in recent.arrivals:
            if changes and since < position <= upto:
                found = before if position <= at else after
                found.update((slot, now) for slot, (_, now) in changes.items())
        return before, after

    def undone(self, room_nid: int, after: int, upto: int) -> dict[Slot, int | None]:
        """What a room's state was before what changed of it; as ``storage.state.undo_changes``."""
        recent = self._recent.get(room_nid)
        if recent is None or after < recent.after:
            return state_rows.undo_changes(self._database, room_nid, after, upto)
        found: dict[Slot, int | None] = {}
        for position, _, changes in reversed(recent.arrivals):
            if position <= after:
                break
            if changes and position <= upto:
                found.update((slot, previous) for slot, (previous, _) in changes.items())
        return found

    # What changes ------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Put an event behind the others."""
        recent = self._recent.get(step.room_nid)
        if recent is None:
            recent = _Recent(position - 1)
            self._recent.put(step.room_nid, recent)
        if step.ordering is None:
            recent.add(position, 0, step.changes)
            return
        recent.add(position, step.nid, step.changes)
        tail = self._tails.get(step.room_nid)
        if tail is not None:
            tail.add((step.ordering, position, step.nid))
        if step.is_behind_hole:
            self._unbroken.drop(step.room_nid)

    def prepare_past(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published_past(self, step: Step, position: int) -> None:
        """What came before a hole stands somewhere in the history, and may have a hole before it."""
        self._tails.drop(step.room_nid)
        self._unbroken.drop(step.room_nid)

    def forget(self, room_nid: int, room_id: str) -> None:
        """A room is gone."""
        for kept in (self._recent, self._tails, self._unbroken):
            kept.drop(room_nid)
