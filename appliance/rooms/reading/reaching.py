"""Reading back across the holes of a room's history: what is missing is asked of other servers first."""

from typing import Protocol

from appliance.protocol.filters import RoomEventRule
from appliance.rooms.reading.timeline import Page, Timeline
from appliance.rooms.room import Room
from appliance.storage import gaps
from appliance.storage.database import Database
from appliance.storage.tokens import HistoryToken

BEGINNING = HistoryToken(0, -(2**62))
MOST_DIGS = 3
"""How often others are asked for one page."""


class Filling(Protocol):
    """Fills holes; federation does."""

    async def dig(self, room: Room, event_nid: int) -> bool:
        """Fill the hole before an event, some way down; whether something came within some seconds."""
        ...


class ReachingBack:
    """Reads pages.

    Args:
        database: where holes are noted.
        timeline: reads what is here.
        filling: fills holes.
    """

    def __init__(self, database: Database, timeline: Timeline, filling: Filling) -> None:
        self._database = database
        self._timeline = timeline
        self._filling = filling

    async def page(
        self,
        room: Room,
        user_id: str,
        start: HistoryToken,
        limit: int,
        *,
        backwards: bool,
        until: HistoryToken | None = None,
        rule: RoomEventRule | None = None,
    ) -> Page:
        """One page, as ``Timeline.page`` gives it, with what other servers know of the holes in it.

        Where a hole cannot be filled now, a page that holds something ends at it, so that whoever goes on asks again.
        """
        for last_try in (False,) * MOST_DIGS + (True,):
            page = self._timeline.page(room.nid, user_id, start, limit, backwards=backwards, until=until, rule=rule)
            hole = self._hole(room, start, page, until) if backwards else None
            if hole is None:
                return page
            nid, end = hole
            if last_try or not await self._filling.dig(room, nid):
                break
        return self._ended(room, page, end, until) if page.end is None else page

    def _ended(self, room: Room, page: Page, end: HistoryToken, until: HistoryToken | None) -> Page:
        """The page after which nothing more is here, down to a hole: what lies below it is the next page's.

        Args:
            room: the room.
            page: the page.
            end: the point after the highest hole on it.
            until: where the page had to end.
        """
        lowest = until or BEGINNING
        while True:
            above = [one for one in page.events if (one.ordering, one.position or 0) > (end.ordering, end.position)]
            if above:
                return Page(above, page.start, end)
            below = gaps.highest(
                self._database, room.nid, (end.ordering, end.position), (lowest.ordering, lowest.position)
            )
            if below is None:
                return page
            _, ordering, position = below
            end = HistoryToken(ordering, position - 1, end.upto)

    def _hole(
        self, room: Room, start: HistoryToken, page: Page, until: HistoryToken | None
    ) -> tuple[int, HistoryToken] | None:
        """The event before which there is the first hole on a page, and the point after it.

        The hole before the event at which the page before this one ended is this page's; that before its own last event
        is the next one's.
        """
        upper = (start.ordering, start.position + 1)
        lower = page.end or until or BEGINNING
        found = gaps.highest(self._database, room.nid, upper, (lower.ordering, lower.position))
        if found is None:
            return None
        nid, ordering, position = found
        end = HistoryToken(ordering, position - 1, start.upto)
        return None if end == page.end and len(page.events) > 1 else (nid, end)
