"""Rooms as a sync holds them while it looks: those that are known here, and those that nobody here is in."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import Members, Snapshot
from appliance.rooms.standings import History


class Held(Protocol):
    """A room as a sync looks at it."""

    @property
    def published(self) -> Snapshot:
        """The room as readers see it."""
        ...

    @property
    def position(self) -> int:
        """The last position that this holds."""
        ...


class _Nowhere(Struct, frozen=True):
    published: Snapshot
    position: int


NOWHERE: Held = _Nowhere(Snapshot((), 0, {}, Members({})), 0)
"""A room that nobody here is in, such as one to which somebody is invited from elsewhere."""


async def hold(rooms: Rooms, histories: Iterable[History], held: dict[int, Held]) -> bool:
    """Hold rooms, which are read if need be.

    Args:
        rooms: the rooms in memory.
        histories: the asker's memberships of those that are to be held.
        held: is given them, by their numbers.

    Returns:
        whether all were in memory: then no time has passed, and what was looked at before is still so.
    """
    at_once = True
    for history in histories:
        room = rooms.loaded(history.room_id)
        if room is None:
            at_once = False
            room = await rooms.find(history.room_id)
        held[history.room_nid] = NOWHERE if room is None else room
    return at_once
