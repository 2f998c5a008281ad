"""Which rooms a connection is about: lists, filtered, sorted and cut to windows, and subscriptions (MSC4186)."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from appliance.accounts.invite_rules import InviteRules
from appliance.rooms.shown.facts import Facts, RoomFacts
from appliance.rooms.shown.spaces import Children
from appliance.rooms.standings import Change, History, Standings
from appliance.rooms.store import EventStore
from appliance.storage.database import Database
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import News
from appliance.sync.sliding.own import Own, OwnData
from appliance.sync.sliding.wishes import Filters, ListWish, RoomConfig, Wishes

STAYING = frozenset(("join", "invite", "knock"))
MOST_ACTIVE = 200
"""Rooms with news that are looked through for one of a user's: beyond that, all is looked at."""


class Candidate(Struct, frozen=True):
    """A room that a user has to do with.

    Args:
        history: their memberships of it.
        change: the last of them that counts.
        rank: what it is sorted by: the position of the last thing that happened in it for them.
        lasting: whether it stays in lists; one that they left themselves is told once more and then no longer.
    """

    history: History
    change: Change
    rank: int
    lasting: bool = True


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


class Lists:
    """Makes lists.

    Args:
        database: the stream.
        standings: who is where.
        activity: when something happened in each room.
        facts: what rooms show of themselves.
        children: the rooms of spaces.
        own: what users keep about their rooms.
        store: the events in memory.
        invitations: which invitations somebody wants to see.
    """

    def __init__(
        self,
        database: Database,
        standings: Standings,
        activity: Activity,
        facts: RoomFacts,
        children: Children,
        own: OwnData,
        store: EventStore,
        invitations: InviteRules,
    ) -> None:
        self._invitations = invitations
        self._database = database
        self._standings = standings
        self._activity = activity
        self._facts = facts
        self._children = children
        self._own = own
        self._store = store

    def stirred(self, user_id: str, since: int, news: News) -> bool:
        """Whether anything may have happened, after a position, in a room that a user has or had to do with."""
        user = self._standings.of(user_id)
        if user.changed_since(since):
            return True
        active = self._activity.changed_since(since, MOST_ACTIVE)
        if active is None or any(nid in user.histories for nid in active):
            return True
        return any(user.by_id(room_id) is not None for rooms in (news.read, news.typing) for room_id in rooms)

    def forgotten(self, user_id: str) -> int:
        """How many rooms a user has forgotten."""
        return len(self._standings.of(user_id).forgotten)

    def candidates(self, user_id: str, upto: int, since: int | None, told: Iterable[int]) -> dict[int, Candidate]:
        """The rooms that may be told of, by number.

        Those that the user is in, is invited to, knocks at, or was removed from. One that they left themselves only
        where the connection told of it, and once.

        Args:
            user_id: who asks.
            upto: the position up to which memberships count.
            since: the position up to which the client knows them; None for nothing.
            told: the rooms that the connection told of.
        """
        user = self._standings.of(user_id)
        unpublished = user.changed_since(upto)
        known = set(told)
        found: dict[int, Candidate] = {}
        for nid, history in user.histories.items():
            change = history.at(upto) if nid in unpublished else (history.changes[-1] if history.changes else None)
            if change is None:
                continue
            if change.membership == "join":
                found[nid] = Candidate(history, change, max(self._activity.since(nid), change.position))
                continue
            if change.membership == "invite" and self._invitations.hides_invite(
                user_id, self._store.event(change.event_nid).sender
            ):
                continue
            lasting = change.membership in STAYING or (
                nid not in user.forgotten and self._was_removed(user_id, history, change)
            )
            if lasting or (nid in known and since is not None and change.position > since):
                found[nid] = Candidate(history, change, change.position, lasting)
        return found

    def relevant(
        self, user_id: str, wishes: Wishes, candidates: Mapping[int, Candidate]
    ) -> tuple[dict[int, Relevant], dict[str, int]]:
        """The rooms in the windows of the lists and those that are subscribed to; and how many rooms each list has."""
        own = self._own.of(user_id)
        rooms: dict[int, tuple[RoomConfig, list[str]]] = {}
        counts: dict[str, int] = {}
        order = sorted(candidates.items(), key=lambda item: (-item[1].rank, item[0])) if wishes.lists else []
        for name, wish in wishes.lists.items():
            spaces = wish.filters.spaces
            inside = None if spaces is None else self._in_spaces(spaces, candidates)
            members = [nid for nid, one in order if self._passes(wish.filters, one, own, inside)]
            counts[name] = len(members)
            for nid in _window(members, wish):
                config, names = rooms.get(nid, (wish.config, []))
                rooms[nid] = config.union(wish.config), [*names, name]
        subscribed = self._subscribed(wishes, candidates)
        for nid, config in subscribed.items():
            other, names = rooms.get(nid, (config, []))
            rooms[nid] = other.union(config), names
        return {
            nid: Relevant(candidates[nid], config, tuple(names), nid in subscribed)
            for nid, (config, names) in rooms.items()
        }, counts

    def is_direct(self, user_id: str, room_id: str) -> bool:
        """Whether a room is a direct chat of the user's."""
        return room_id in self._own.of(user_id).direct

    def _subscribed(self, wishes: Wishes, candidates: Mapping[int, Candidate]) -> dict[int, RoomConfig]:
        if not wishes.subscriptions:
            return {}
        return {
            nid: wishes.subscriptions[one.history.room_id]
            for nid, one in candidates.items()
            if one.history.room_id in wishes.subscriptions
        }

    def _was_removed(self, user_id: str, history: History, change: Change) -> bool:
        """Whether somebody else took the user out of a room that they were in."""
        if not any(one.membership == "join" for one in history.changes):
            return False
        return change.membership == "ban" or self._store.event(change.event_nid).sender != user_id

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


def _window(members: list[int], wish: ListWish) -> list[int]:
    if wish.ranges is None:
        return members
    found: dict[int, None] = {}
    for first, last in wish.ranges:
        found.update(dict.fromkeys(members[first : last + 1]))
    return list(found)


def _name_is_like(facts: Facts, text: str) -> bool:
    name = facts.name or facts.canonical_alias or ""
    return text.lower() in name.lower()
