"""Filters: which events a client wants (client-server API, "Filtering").

A filter that was given in a request or stored before is one ``Filter``; ``EventRule.allows`` judges an event.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Names = Annotated[list[str], Meta(max_length=500)]


class EventRule(Struct, kw_only=True, frozen=True):
    """Which events, by type and sender; ``*`` in a type stands for any characters. An empty list allows nothing.

    Args:
        limit: how many events at most; None leaves it to the server.
    """

    limit: Annotated[int, Meta(ge=0)] | None = None
    types: Names | None = None
    not_types: Names = []
    senders: Names | None = None
    not_senders: Names = []

    def allows(self, event_type: str, sender: str | None) -> bool:
        """Whether type and sender pass."""
        if sender is not None and (sender in self.not_senders or not (self.senders is None or sender in self.senders)):
            return False
        if any(_matches(pattern, event_type) for pattern in self.not_types):
            return False
        return self.types is None or any(_matches(pattern, event_type) for pattern in self.types)


class RoomEventRule(EventRule, kw_only=True, frozen=True):
    """Which events of rooms."""

    rooms: Names | None = None
    not_rooms: Names = []
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False

    def allows_room(self, room_id: str) -> bool:
        """Whether anything of that room passes."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def allows_event(self, event_type: str, sender: str, has_url: bool) -> bool:
        """Whether an event of a room that passes does so too."""
        return self.allows(event_type, sender) and (self.contains_url is None or self.contains_url == has_url)

    @property
    def trivial(self) -> bool:
        """Whether every event passes, so that nobody needs to ask."""
        return (
            self.types is None
            and self.senders is None
            and not self.not_types
            and not self.not_senders
            and self.contains_url is None
        )


class RoomFilter(Struct, kw_only=True, frozen=True):
    """What of rooms."""

    rooms: Names | None = None
    not_rooms: Names = []
    include_leave: bool = False
    timeline: RoomEventRule = RoomEventRule()
    state: RoomEventRule = RoomEventRule()
    ephemeral: RoomEventRule = RoomEventRule()
    account_data: RoomEventRule = RoomEventRule()

    def allows_room(self, room_id: str) -> bool:
        """Whether that room is wanted at all."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class Filter(Struct, kw_only=True, frozen=True):
    """A whole filter."""

    event_fields: Names | None = None
    event_format: Literal["client", "federation"] = "client"
    presence: EventRule = EventRule()
    account_data: EventRule = EventRule()
    room: RoomFilter = RoomFilter()


def read_filter(value: Any) -> Filter:
    """A filter out of decoded JSON; unknown fields are ignored.

    Raises:
        ValueError: a sentence that names the field of the wrong type.
    """
    try:
        return msgspec.convert(value, Filter)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}.") from error


def read_room_event_rule(value: Any) -> RoomEventRule:
    """A filter for one room's events, as ``/messages`` takes it; raises as ``read_filter``."""
    try:
        return msgspec.convert(value, RoomEventRule)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}.") from error


def _matches(pattern: str, event_type: str) -> bool:
    """Whether a type fits a pattern. In linear time: a client chooses the pattern, and an expression with many stars
    can keep a backtracking matcher busy for ever.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == event_type
    if not event_type.startswith(first):
        return False
    position = len(first)
    *middle, last = rest
    for part in middle:
        found = event_type.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return len(event_type) - position >= len(last) and event_type.endswith(last)
