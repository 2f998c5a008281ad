"""Filters: which events a client wants (client-server API, "Filtering").

A filter that was given in a request or stored before is one ``Filter``; ``EventRule.allows`` judges an event.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from appliance.protocol.relations import relation_of

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
    """Which events of rooms.

    Args:
        related_by_senders: only events to which one of these relates.
        related_by_rel_types: only events to which others relate in one of these ways; with senders in one and the same
            relation.
        rel_types: only events that relate to others in one of these ways (MSC3874).
        not_rel_types: none that does so.
    """

    rooms: Names | None = None
    not_rooms: Names = []
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    related_by_senders: Names | None = None
    related_by_rel_types: Names | None = None
    rel_types: Names | None = field(default=None, name="org.matrix.msc3874.rel_types")
    not_rel_types: Names = field(default=[], name="org.matrix.msc3874.not_rel_types")

    def allows_room(self, room_id: str) -> bool:
        """Whether anything of that room passes."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def allows_event(self, event_type: str, sender: str, content: Callable[[], Mapping[str, Any]]) -> bool:
        """Whether an event of a room that passes does so too, as far as it alone shows.

        Args:
            event_type: its type.
            sender: its sender.
            content: gives its content, where that is asked for.
        """
        if not self.allows(event_type, sender):
            return False
        if self.contains_url is None and self.rel_types is None and not self.not_rel_types:
            return True
        found = content()
        if self.contains_url is not None and self.contains_url != isinstance(found.get("url"), str):
            return False
        relation = relation_of(found)
        rel_type = None if relation is None else relation.rel_type
        return rel_type not in self.not_rel_types and (self.rel_types is None or rel_type in self.rel_types)

    @property
    def by_children(self) -> bool:
        """Whether it depends on the events that relate to an event whether that passes."""
        return self.related_by_senders is not None or self.related_by_rel_types is not None

    @property
    def trivial(self) -> bool:
        """Whether every event passes, so that nobody needs to ask."""
        return (
            self.types is None
            and self.senders is None
            and not self.not_types
            and not self.not_senders
            and self.contains_url is None
            and self.rel_types is None
            and not self.not_rel_types
            and not self.by_children
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
