"""The conditions of push rules, made ready to be tried (client-server API, "Push notifications", "Conditions").

A condition is one of two: it looks at the event and its room alone and is tried once for everybody, or it is *personal*
and holds for some of the users and not for others. A kind that is not known never holds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from appliance.protocol.events import Event
from appliance.protocol.globs import Patience, has_words, matches_whole, matches_words
from appliance.protocol.paths import read_path
from appliance.protocol.power import PowerLevels
from appliance.protocol.push_rules import ME, Rule

_COUNT = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,18})")
_SCALARS = frozenset({str, int, bool, type(None)})
_MISSING = object()
LONGEST_NAME, NAME_STEPS = 1_000, 200_000
"""Characters of a display name that is looked for in what was said, and steps that this may take: each member of a room
has a name of their own.
"""


class Occasion:
    """What push rules judge: an event, and the room as it is then.

    Args:
        event: the event.
        joined: how many are in the room.
        power: the room's power levels.

    Attributes:
        patience: what the patterns of the set of rules that is at work may still take.
    """

    __slots__ = ("_listed", "_lower", "_top", "event", "joined", "patience", "power")

    def __init__(self, event: Event, joined: int, power: Callable[[], PowerLevels]) -> None:
        self.event = event
        self.joined = joined
        self.power = power
        self.patience = Patience()
        self._top: dict[str, Any] | None = None
        self._lower: dict[tuple[str, ...], str | None] = {}
        self._listed: dict[tuple[str, ...], frozenset[str]] = {}

    def value(self, path: tuple[str, ...]) -> Any:
        """What the event has under a path of names; ``_MISSING`` for nothing."""
        if self._top is None:
            event = self.event
            self._top = {**event.pdu, "content": event.content, "room_id": event.room_id, "event_id": event.event_id}
        here: Any = self._top
        for name in path:
            if not isinstance(here, dict) or name not in here:
                return _MISSING
            here = here[name]
        return here

    def lower(self, path: tuple[str, ...]) -> str | None:
        """The text under a path, in lower case; None for anything but text."""
        if path not in self._lower:
            value = self.value(path)
            self._lower[path] = value.lower() if isinstance(value, str) else None
        return self._lower[path]

    def listed(self, path: tuple[str, ...]) -> frozenset[str]:
        """The texts in the list under a path; none where there is no list."""
        found = self._listed.get(path)
        if found is None:
            value = self.value(path)
            texts = value if isinstance(value, list) else ()
            found = self._listed[path] = frozenset(one for one in texts if isinstance(one, str))
        return found


class Personal:
    """A condition that holds for some users."""

    __slots__ = ()
    asks_name = False
    """Whether it needs the user's display name."""

    def named(self, occasion: Occasion) -> frozenset[str] | None:
        """Those for whom it holds, where the event itself names them; None where each must be asked about."""
        raise NotImplementedError

    def holds(self, occasion: Occasion, user_id: str, name: str | None) -> bool:
        """Whether it holds for a user with a display name in the room."""
        raise NotImplementedError


class StatesMe(Personal):
    """The state key is the user's own id."""

    __slots__ = ()

    def named(self, occasion: Occasion) -> frozenset[str] | None:
        """Whose id it is."""
        key = occasion.event.state_key
        return frozenset() if key is None else frozenset((key,))

    def holds(self, occasion: Occasion, user_id: str, name: str | None) -> bool:
        """Whether it is this one's."""
        return occasion.event.state_key == user_id


class ListsMe(Personal):
    """A list has the user's own id.

    Args:
        path: where the list is.
    """

    __slots__ = ("_path",)

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path

    def named(self, occasion: Occasion) -> frozenset[str] | None:
        """Whose ids it has."""
        return occasion.listed(self._path)

    def holds(self, occasion: Occasion, user_id: str, name: str | None) -> bool:
        """Whether it has this one's."""
        return user_id in occasion.listed(self._path)


class NamesMe(Personal):
    """The body has the user's display name."""

    __slots__ = ()
    asks_name = True

    def named(self, occasion: Occasion) -> frozenset[str] | None:
        """It may be anybody's."""
        return None if occasion.lower(("content", "body")) is not None else frozenset()

    def holds(self, occasion: Occasion, user_id: str, name: str | None) -> bool:
        """Whether it has this one's, as words."""
        body = occasion.lower(("content", "body"))
        if not name or len(name) > LONGEST_NAME or body is None:
            return False
        return has_words(body, name, Patience(NAME_STEPS))


Test = Callable[[Occasion], bool]


def ready(condition: Rule) -> Test | Personal:
    """A condition made ready; one that is not known or not whole never holds."""
    make = _KINDS.get(condition.get("kind", ""))
    return never if make is None else make(condition)


def never(occasion: Occasion) -> bool:
    """What never holds."""
    return False


def event_match(key: str, pattern: str) -> Test:
    """A text of the event fits a pattern, as a whole; in the body some words suffice."""
    path = read_path(key)
    fits = matches_words(pattern) if path == ("content", "body") else matches_whole(pattern)

    def test(occasion: Occasion) -> bool:
        text = occasion.lower(path)
        return text is not None and fits(text, occasion.patience)

    return test


def _event_match(condition: Rule) -> Test | Personal:
    key, pattern = condition.get("key"), condition.get("pattern")
    if not isinstance(key, str) or not isinstance(pattern, str):
        return never
    return StatesMe() if key == "state_key" and pattern == ME else event_match(key, pattern)


def _event_property_is(condition: Rule) -> Test | Personal:
    key, wanted = condition.get("key"), condition.get("value", _MISSING)
    if not isinstance(key, str) or type(wanted) not in _SCALARS:
        return never
    path = read_path(key)
    return lambda occasion: _same(occasion.value(path), wanted)


def _event_property_contains(condition: Rule) -> Test | Personal:
    key, wanted = condition.get("key"), condition.get("value", _MISSING)
    if not isinstance(key, str) or type(wanted) not in _SCALARS:
        return never
    path = read_path(key)
    if wanted == ME:
        return ListsMe(path)

    def test(occasion: Occasion) -> bool:
        value = occasion.value(path)
        return isinstance(value, list) and any(_same(one, wanted) for one in value)

    return test


def _contains_display_name(condition: Rule) -> Test | Personal:
    return NamesMe()


def _room_member_count(condition: Rule) -> Test | Personal:
    wanted = condition.get("is")
    found = _COUNT.fullmatch(wanted) if isinstance(wanted, str) else None
    if found is None:
        return never
    compare = _COMPARE[found[1] or "=="]
    count = int(found[2])
    return lambda occasion: compare(occasion.joined, count)


def _sender_notification_permission(condition: Rule) -> Test | Personal:
    key = condition.get("key")
    if not isinstance(key, str):
        return never

    def test(occasion: Occasion) -> bool:
        power = occasion.power()
        return power.user(occasion.event.sender) >= power.notification(key)

    return test


_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "==": int.__eq__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
}
_KINDS: Mapping[str, Callable[[Rule], Test | Personal]] = {
    "event_match": _event_match,
    "event_property_is": _event_property_is,
    "event_property_contains": _event_property_contains,
    "contains_display_name": _contains_display_name,
    "room_member_count": _room_member_count,
    "sender_notification_permission": _sender_notification_permission,
}


def _same(value: Any, wanted: Any) -> bool:
    """Whether two values are the same, of the same type: true is not 1."""
    return type(value) is type(wanted) and bool(value == wanted)
