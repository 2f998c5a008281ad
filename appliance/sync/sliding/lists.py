"""Which rooms a connection is about: lists, filtered, sorted and cut to windows, and subscriptions (MSC4186)."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from appliance.rooms.shown.facts import Facts, RoomFacts
from appliance.rooms.shown.spaces import Children
from appliance.rooms.standings import Standings
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import News
from appliance.sync.sliding.order import MOST_ACTIVE, Candidate, Order, Orders
from appliance.sync.sliding.own import Own, OwnData
from appliance.sync.sliding.wishes import Filters, ListWish, RoomConfig, Wishes

EVERYTHING = Filters()
MOST_COMBINATIONS = 50
"""Ways in which one request may want rooms, by lists and subscriptions together; with more of them all further rooms
are told as all of these together want it.
"""


class Relevant(Struct, frozen=True):
    """A room that a request is about.

    Args:
        candidate: the room.
        config: how it is wanted, by all lists and subscriptions together.
        lists: the lists in whose windows it is.
        subscribed: whether it is subscribed to.
    """

    candidate: Candidate
    config: RoomConfig
    lists: tuple[str, ...]
    subscribed: bool

    def is_wanted_as(self, other: "Relevant") -> bool:
        """Whether the same is wanted of it as of another one, for the same wishes."""
        return self.lists == other.lists and self.subscribed == other.subscribed


class Lists:
    """Makes lists.

    Args:
        standings: who is where.
        activity: when something happened in each room.
        orders: the rooms of users, in order.
        facts: what rooms show of themselves.
        children: the rooms of spaces.
        own: what users keep about their rooms.
    """

    def __init__(
        self,
        standings: Standings,
        activity: Activity,
        orders: Orders,
        facts: RoomFacts,
        children: Children,
        own: OwnData,
    ) -> None:
        self._orders = orders
        self._standings = standings
        self._activity = activity
        self._facts = facts
        self._children = children
        self._own = own

    def stirred(self, user_id: str, since: int, news: News, touched: Iterable[str]) -> frozenset[int] | None:
        """The rooms that a user has or had to do with in which something happened after a position.

        Args:
            user_id: the user.
            since: the position.
            news: receipts and typing.
            touched: the ids of rooms with which something else happened.

        Returns:
            their numbers; None where they are too many to tell, or where the user came or went.
        """
        user = self._standings.of(user_id)
        active = None if user.changed_since(since) else self._activity.changed_since(since, MOST_ACTIVE)
        if active is None:
            return None
        found = {nid for nid in active if nid in user.histories}
        for room_id in (*news.read, *news.typing, *touched):
            history = user.by_id(room_id)
            if history is not None:
                found.add(history.room_nid)
        return frozenset(found)

    def forgotten(self, user_id: str) -> int:
        """How many rooms a user has forgotten."""
        return len(self._standings.of(user_id).forgotten)

    def order(self, user_id: str, upto: int, since: int | None, told: Mapping[int, object]) -> Order:
        """The rooms that may be told of; see ``Orders.of``."""
        return self._orders.of(user_id, upto, since, told)

    def relevant(self, user_id: str, wishes: Wishes, order: Order) -> tuple[dict[int, Relevant], dict[str, int]]:
        """The rooms in the windows of the lists and those that are subscribed to; and how many rooms each list has."""
        candidates = order.candidates
        listed: dict[int, list[str]] = {}
        counts: dict[str, int] = {}
        for name, wish in wishes.lists.items():
            members = self._members(user_id, wish.filters, order)
            counts[name] = len(members)
            for nid in _window(members, wish):
                listed.setdefault(nid, []).append(name)
        subscribed = self._subscribed(wishes, order)
        configs = _Configs(wishes)
        rooms: dict[int, Relevant] = {}
        for nid in dict.fromkeys((*listed, *subscribed)):
            names = tuple(listed.get(nid, ()))
            config = configs.of(names, subscribed.get(nid))
            rooms[nid] = Relevant(candidates[nid], config, names, nid in subscribed)
        return rooms, counts

    def _members(self, user_id: str, filters: Filters, order: Order) -> list[int]:
        """The rooms of a list, in order."""
        if filters == EVERYTHING:
            return order.ranked
        own = self._own.of(user_id)
        if filters.spaces is not None:
            inside = self._in_spaces(filters.spaces, order.candidates)
            return [nid for nid in order.ranked if self._passes(filters, order.candidates[nid], own, inside)]
        return order.chosen(filters, (own, self._facts.version), lambda one: self._passes(filters, one, own, None))

    def is_direct(self, user_id: str, room_id: str) -> bool:
        """Whether a room is a direct chat of the user's."""
        return room_id in self._own.of(user_id).direct

    @staticmethod
    def _subscribed(wishes: Wishes, order: Order) -> dict[int, RoomConfig]:
        found = {}
        for room_id, config in wishes.subscriptions.items():
            history = order.user.by_id(room_id)
            if history is not None and history.room_nid in order.candidates:
                found[history.room_nid] = config
        return found

    def _passes(self, filters: Filters, one: Candidate, own: Own, inside: set[str] | None) -> bool:
        """Whether a room belongs to a list; ``inside`` are the rooms of its spaces, None where those do not matter."""
        room_id = one.history.room_id
        if filters.is_invite is not None and filters.is_invite != (one.change.membership == "invite"):
            return False
        if filters.is_dm is not None and filters.is_dm != (room_id in own.direct):
            return False
        if filters.tags is not None or filters.not_tags:
            tags = own.tags.get(room_id, frozenset[str]())
            if not tags.isdisjoint(filters.not_tags):
                return False
            if filters.tags is not None and tags.isdisjoint(filters.tags):
                return False
        if inside is not None and room_id not in inside:
            return False
        return self._facts_pass(filters, room_id)

    def _facts_pass(self, filters: Filters, room_id: str) -> bool:
        """Whether what a room shows of itself makes it belong to a list."""
        asked: tuple[Any, ...] = (filters.is_encrypted, filters.room_types, filters.room_name_like)
        if not filters.not_room_types and asked == (None, None, None):
            return True
        facts = self._facts.of(room_id)
        if facts is None:
            return False
        if filters.is_encrypted is not None and filters.is_encrypted != (facts.encryption is not None):
            return False
        if facts.room_type in filters.not_room_types:
            return False
        if filters.room_types is not None and facts.room_type not in filters.room_types:
            return False
        return filters.room_name_like is None or _name_is_like(facts, filters.room_name_like)

    def _in_spaces(self, spaces: Iterable[str], candidates: Mapping[int, Candidate]) -> set[str]:
        """The ids of the rooms that are directly in one of some spaces that the user is in."""
        found: set[str] = set()
        for space_id in spaces:
            facts = self._facts.of(space_id)
            one = None if facts is None else candidates.get(facts.room_nid)
            if facts is not None and one is not None and one.change.membership == "join":
                found.update(child.room_id for child in self._children.of(facts))
        return found


class _Configs:
    """How rooms are wanted by lists and subscriptions together, made once for all that are wanted in the same way."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._made: dict[tuple[tuple[str, ...], RoomConfig | None], RoomConfig] = {}

    def of(self, names: tuple[str, ...], subscription: RoomConfig | None) -> RoomConfig:
        """For a room in those lists, with that subscription."""
        found = self._made.get((names, subscription))
        if found is None:
            if len(self._made) == MOST_COMBINATIONS:
                return self._all_together
            wanted = [self._wishes.lists[name].config for name in names]
            wanted += [] if subscription is None else [subscription]
            found = self._made[names, subscription] = _union(wanted)
        return found

    @functools.cached_property
    def _all_together(self) -> RoomConfig:
        wanted = [*(one.config for one in self._wishes.lists.values()), *self._wishes.subscriptions.values()]
        return _union(wanted)


def _union(wanted: list[RoomConfig]) -> RoomConfig:
    """All of some ways together; two and two, so that little is gone through again and again."""
    while len(wanted) > 1:
        wanted = [functools.reduce(RoomConfig.union, wanted[at : at + 2]) for at in range(0, len(wanted), 2)]
    return wanted[0]


def _window(members: list[int], wish: ListWish) -> list[int]:
    if wish.ranges is None:
        return members
    found: dict[int, None] = {}
    for first, last in wish.ranges:
        found.update(dict.fromkeys(members[first : last + 1]))
        if len(found) == len(members):
            break
    return list(found)


def _name_is_like(facts: Facts, text: str) -> bool:
    name = facts.name or facts.canonical_alias or ""
    return text.lower() in name.lower()
