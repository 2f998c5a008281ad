"""Standings to rooms that nobody here is in: invitations from there, knocks at them, and the end of both.

Their events are no part of any graph that is known here. They are kept like the memberships of rooms that are, so that
whoever asks how a user stands to a room need not know the difference; what such a room shows of itself is kept beside.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from appliance.protocol.events import Event
from appliance.protocol.versions import VERSIONS
from appliance.rooms.standings import Change, Standings
from appliance.storage import outside as rows
from appliance.storage.database import Database, Tx
from appliance.storage.events import NewEvent
from appliance.storage.numbers import Numbers
from appliance.storage.outside import Outside
from appliance.storage.rooms import RoomRow

MOST_SHOWN = 50
"""Events that a room shows of itself."""


class OutsideMemberships:
    """Keeps them.

    Args:
        database: where they are.
        numbers: gives row numbers.
        standings: how users stand to rooms.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        changed: called on the loop after a commit, with the user's id.
    """

    def __init__(self, database: Database, numbers: Numbers, standings: Standings, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._numbers = numbers
        self._standings = standings
        self._now_ms = now_ms
        self.changed: list[Callable[[str], None]] = []

    async def put(
        self,
        event: Event,
        shown: Sequence[dict[str, Any]] = (),
        via: str = "",
        also: Callable[[Tx], None] = lambda tx: None,
    ) -> None:
        """Let a user stand to a room as an event says, in a room that nobody here is in; durable when this returns.

        Args:
            event: the membership.
            shown: what the room shows of itself, stripped.
            via: the server through which it came about.
            also: what else goes into the unit.
        """
        user_id, membership = event.state_key or "", event.membership or "leave"
        room = RoomRow(self._numbers.room(), event.room_id, event.version.identifier, event.sender, self._now_ms())
        new = NewEvent(
            self._numbers.event(),
            event.event_id,
            room.room_nid,
            event.type,
            event.state_key,
            event.sender,
            min(event.depth, 2**53 - 1),
            event.json,
            (),
            (),
            outlier=True,
        )
        told = orjson.dumps(list(shown)[:MOST_SHOWN]).decode()

        def unit(tx: Tx) -> tuple[int, int, int]:
            also(tx)
            return rows.put(tx, room, new, user_id, membership, event.sender, told, via)

        def published(stored: tuple[int, int, int]) -> None:
            room_nid, nid, position = stored
            self._standings.take_in(user_id, room_nid, event.room_id, Change(position, membership, nid))
            for listener in self.changed:
                listener(user_id)

        await self._database.write(unit, published=published)

    def find(self, room_id: str, user_id: str) -> Outside | None:
        """How a user stands to a room, where that rests on an event from outside."""
        return rows.find(self._database, room_id, user_id)

    def event(self, found: Outside) -> Event:
        """The event on which a standing rests."""
        return Event.from_json(VERSIONS[found.version], found.json, found.event_id)
