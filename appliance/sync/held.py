"""Rooms as a sync holds them while it looks: those that are known here, and those that nobody here is in."""

from typing import Protocol

from msgspec import Struct

from appliance.rooms.snapshot import Members, Snapshot


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
