"""Power levels: who may do what in a room, as ``m.room.power_levels`` and its defaults say."""

import math
import re
from typing import Any

from appliance.protocol.slim import AnyEvent
from appliance.protocol.versions import RoomVersion

_TEXT_LEVEL = re.compile(r"\s*[+-]?[0-9]+\s*")

DEFAULTS = {
    "ban": 50,
    "events_default": 0,
    "invite": 0,
    "kick": 50,
    "redact": 50,
    "state_default": 50,
    "users_default": 0,
}
"""The levels that count where ``m.room.power_levels`` does not say otherwise, or is not there."""

NOTIFICATION_DEFAULT = 50
FIRST_CREATOR = 100
"""The creator's power while a room has no ``m.room.power_levels``, up to version 11."""


def parse_level(version: RoomVersion, value: Any) -> int | None:
    """A power level as a room version reads it; nothing for what is not a level there.

    Versions 1 to 9 also take integers written as text, versions 1 to 5 floats, which are cut off at the point.
    """
    if type(value) is int:  # not a boolean
        return value
    if version.text_levels and isinstance(value, str) and _TEXT_LEVEL.fullmatch(value):
        try:
            return int(value)
        except ValueError:  # thousands of digits
            return None
    if version.float_levels and isinstance(value, float) and math.isfinite(value):
        return int(value)
    return None


def are_integers(content: dict[str, Any]) -> bool:
    """Whether all levels of an ``m.room.power_levels`` are integers, as servers are to send them in every version,
    whatever some of them take.
    """
    named = {name: content[name] for name in DEFAULTS if name in content}
    groups = [content.get(name, {}) for name in ("events", "notifications", "users")]
    return all(
        isinstance(group, dict) and all(type(level) is int for level in group.values()) for group in (named, *groups)
    )


def creators(create: AnyEvent) -> frozenset[str]:
    """The creators of a room: one, or from version 12 on the sender of the create event and those it adds."""
    if create.version.creator_in_content:
        creator = create.content.get("creator")
        return frozenset({creator}) if isinstance(creator, str) else frozenset()
    if not create.version.creators_above_all:
        return frozenset({create.sender})
    added = create.content.get("additional_creators")
    names = added if isinstance(added, list) else []
    return frozenset({create.sender, *(name for name in names if isinstance(name, str))})


class PowerLevels:
    """The power levels that hold in a room's state; values are read when they are asked for.

    Args:
        version: the version of the room.
        event: the ``m.room.power_levels`` of the state, if it has one.
        create: the room's create event.
    """

    __slots__ = ("_content", "_events", "_notifications", "_users", "_version", "creators")

    def __init__(self, version: RoomVersion, event: AnyEvent | None, create: AnyEvent) -> None:
        self._version = version
        self.creators = creators(create)
        self._content: dict[str, Any] = event.content if event is not None else {}
        if event is not None:
            self._users = self._mapping("users")
        elif version.creators_above_all:
            self._users = {}
        else:
            self._users = dict.fromkeys(self.creators, FIRST_CREATOR)
        self._events = self._mapping("events")
        self._notifications = self._mapping("notifications")

    def user(self, user_id: str) -> float:
        """A user's power: an integer, or infinity for a creator from version 12 on."""
        if self._version.creators_above_all and user_id in self.creators:
            return math.inf
        level = parse_level(self._version, self._users.get(user_id))
        return self._named("users_default") if level is None else level

    def event(self, event_type: str, is_state: bool) -> int:
        """The power that it takes to send an event of a type."""
        level = parse_level(self._version, self._events.get(event_type))
        return self._named("state_default" if is_state else "events_default") if level is None else level

    def notification(self, key: str) -> int:
        """The power that it takes to notify by a key, such as ``room``."""
        level = parse_level(self._version, self._notifications.get(key))
        return NOTIFICATION_DEFAULT if level is None else level

    @property
    def ban(self) -> int:
        """The power that it takes to ban."""
        return self._named("ban")

    @property
    def kick(self) -> int:
        """The power that it takes to kick."""
        return self._named("kick")

    @property
    def redact(self) -> int:
        """The power that it takes to redact what others sent."""
        return self._named("redact")

    @property
    def invite(self) -> int:
        """The power that it takes to invite."""
        return self._named("invite")

    def _named(self, name: str) -> int:
        level = parse_level(self._version, self._content.get(name))
        return DEFAULTS[name] if level is None else level

    def _mapping(self, name: str) -> dict[str, Any]:
        value = self._content.get(name)
        return value if isinstance(value, dict) else {}
