"""What a client wishes to be told on a connection (MSC4186): lists, subscriptions, the state that it wants, extensions.

Both codecs read a request into a ``Wishes``; nothing behind them knows which of the forms it was.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.rooms.snapshot import MEMBER

ANY = "*"
Exclusion = tuple[str | None, str | None]
"""A type and a state key that are not wanted; None stands for any."""
NO_KEYS: frozenset[str] = frozenset()


class RequiredState(Struct, frozen=True):
    """Which state events of a room are wanted.

    Args:
        types: state keys by type; ``*`` among them means all of them. A type that is named here is wanted for these
            keys alone, whatever ``any_type`` says of all keys.
        any_type: state keys that are wanted of every type.
        exclude: what is not wanted all the same.
        lazy: whether the members are wanted who have to do with the timeline.
    """

    types: dict[str, frozenset[str]] = {}
    any_type: frozenset[str] = NO_KEYS
    exclude: frozenset[Exclusion] = frozenset()
    lazy: bool = False

    def __hash__(self) -> int:
        """Of all fields, the mapping included."""
        return hash((frozenset(self.types.items()), self.any_type, self.exclude, self.lazy))

    def keys(self, event_type: str) -> frozenset[str]:
        """The state keys that are wanted of a type, before what is excluded."""
        named = self.types.get(event_type)
        if named is None:
            return self.any_type
        return named | (self.any_type - {ANY})

    def wants(self, event_type: str, state_key: str) -> bool:
        """Whether one state event is wanted for itself."""
        keys = self.keys(event_type)
        if state_key not in keys and ANY not in keys:
            return False
        return not self._excludes(event_type, state_key)

    def _excludes(self, event_type: str, state_key: str) -> bool:
        return any(kind in (None, event_type) and key in (None, state_key) for kind, key in self.exclude)

    @property
    def all_members(self) -> bool:
        """Whether every member is wanted."""
        return ANY in self.keys(MEMBER)

    def union(self, other: "RequiredState") -> "RequiredState":
        """What is wanted by one of two, or by both."""
        if self == other:
            return self
        names = {*self.types, *other.types}
        if self.lazy or other.lazy:
            names.add(MEMBER)
        return RequiredState(
            {name: self.keys(name) | other.keys(name) for name in names},
            self.any_type | other.any_type,
            self.exclude & other.exclude,
            self.lazy or other.lazy,
        )


class RoomConfig(Struct, frozen=True):
    """How a room is wanted.

    Args:
        timeline_limit: how many events of its timeline.
        required: which state.
        told: the names of the extensions that tell of it, too.
    """

    timeline_limit: int = 0
    required: RequiredState = RequiredState()
    told: frozenset[str] = frozenset()

    def union(self, other: "RoomConfig") -> "RoomConfig":
        """A room that is wanted in two ways gets all of both."""
        if self == other:
            return self
        return RoomConfig(
            max(self.timeline_limit, other.timeline_limit),
            self.required.union(other.required),
            self.told | other.told,
        )


class Filters(Struct, frozen=True):
    """Which rooms belong to a list; None where it does not matter."""

    is_dm: bool | None = None
    spaces: tuple[str, ...] | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] = ()
    room_name_like: str | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] = ()


class ListWish(Struct, frozen=True):
    """A list: which rooms, which part of them, and how they are wanted.

    Args:
        config: how.
        ranges: first and last index of the parts; None for all.
        filters: which rooms.
    """

    config: RoomConfig
    ranges: tuple[tuple[int, int], ...] | None = None
    filters: Filters = Filters()


class ExtensionWish(Struct, frozen=True):
    """That an extension is wanted.

    Args:
        options: what the request says of it, as it came.
        lists: the names of the lists whose rooms it shall tell of; None for all.
        rooms: the subscribed rooms that it shall tell of; None for all.
    """

    options: Mapping[str, Any]
    lists: frozenset[str] | None = None
    rooms: frozenset[str] | None = None

    def covers(self, list_names: tuple[str, ...], room_id: str, subscribed: bool) -> bool:
        """Whether it shall tell of a room.

        Args:
            list_names: the lists in whose windows the room is.
            room_id: the room.
            subscribed: whether the room is subscribed to.
        """
        if subscribed and (self.rooms is None or room_id in self.rooms):
            return True
        if self.lists is None:
            return bool(list_names)
        return not self.lists.isdisjoint(list_names)


class Wishes(Struct, frozen=True):
    """A request.

    Args:
        connection: the client's own name for the connection.
        lists: by name.
        subscriptions: rooms that are wanted wherever they stand in a list.
        extensions: those that are wanted, by name.
    """

    connection: str = ""
    lists: dict[str, ListWish] = {}
    subscriptions: dict[str, RoomConfig] = {}
    extensions: dict[str, ExtensionWish] = {}

    def are_as(self, other: "Wishes") -> bool:
        """Whether others wish for the same rooms in the same way, and have them told of by the same extensions."""
        if self is other:
            return True
        return (
            self.lists == other.lists
            and self.subscriptions == other.subscriptions
            and self.extensions.keys() == other.extensions.keys()
            and all(
                (one.lists, one.rooms) == (other.extensions[name].lists, other.extensions[name].rooms)
                for name, one in self.extensions.items()
            )
        )
