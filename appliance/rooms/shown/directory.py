"""The published rooms: which they are, and lists of them (client-server API, "Published room directory").

The list is kept in memory in its order, the fullest rooms first, made when it is first asked for. An event only marks
its room, if at all; whoever asks next puts the marked rooms to their places. So a page costs what is on it, and a
search what it has to look at.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from appliance.errors import forbidden, not_found
from appliance.rooms.acts.aliases import may_name
from appliance.rooms.graph.appending import Statement
from appliance.rooms.room import Rooms
from appliance.rooms.shown.facts import Facts, RoomFacts
from appliance.rooms.snapshot import Step
from appliance.storage import directory as rows
from appliance.storage import rooms as room_rows
from appliance.storage.database import Database
from appliance.storage.tokens import DirectoryToken

MOST = 500
"""Rooms in one answer, also where the client sets no limit."""
SLICE = 20
"""Rooms whose facts are read at one go: some milliseconds of the loop's time at the most."""
MOST_MARKED = 10_000
"""Rooms to be looked at again; with more of them the list is made anew."""

Place = tuple[int, int]
"""Where a room stands: how many are in it and its number, both negative, so that full and new rooms come first."""


class Wanted(Struct, frozen=True):
    """Which rooms to list.

    Args:
        limit: how many at most.
        since: where to go on.
        term: what name, topic or alias must contain, in whatever case.
        room_types: the kinds of rooms, None among them for rooms without one; None for all.
        elsewhere: whether people of another server ask, who cannot come into rooms that are for this server alone.
    """

    limit: int = MOST
    since: DirectoryToken | None = None
    term: str = ""
    room_types: frozenset[str | None] | None = None
    elsewhere: bool = False

    def matches(self, facts: Facts) -> bool:
        """Whether a room is one of those; one that everybody has left is none."""
        if not facts.joined or (self.elsewhere and not facts.federated):
            return False
        if self.room_types is not None and facts.room_type not in self.room_types:
            return False
        texts = (facts.name, facts.topic, facts.canonical_alias)
        return not self.term or any(self.term.casefold() in text.casefold() for text in texts if text)


class Page(Struct, frozen=True):
    """The answer to ``/publicRooms``."""

    chunk: list[dict[str, Any]]
    total_room_count_estimate: int | UnsetType = UNSET
    next_batch: str | UnsetType = UNSET
    prev_batch: str | UnsetType = UNSET


class _Index:
    """Published rooms in their order."""

    __slots__ = ("_place_of", "_places", "_room_at")

    def __init__(self, found: Iterable[tuple[str, int, int]]) -> None:
        self._place_of: dict[str, Place] = {room_id: (-joined, -room_nid) for room_id, room_nid, joined in found}
        self._room_at = {place: room_id for room_id, place in self._place_of.items()}
        self._places = sorted(self._room_at)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, room_id: str) -> bool:
        return room_id in self._place_of

    def put(self, room_id: str, place: Place | None) -> None:
        """Give a room its place, or take it out."""
        before = self._place_of.pop(room_id, None)
        if before is not None:
            del self._room_at[before]
            del self._places[bisect_left(self._places, before)]
        if place is not None:
            self._place_of[room_id], self._room_at[place] = place, room_id
            insort(self._places, place)

    def beyond(self, place: Place | None, count: int, *, backwards: bool) -> list[tuple[Place, str]]:
        """The next rooms after a place, or before it with the nearest first."""
        if backwards:
            end = len(self._places) if place is None else bisect_left(self._places, place)
            places = self._places[max(0, end - count) : end][::-1]
        else:
            start = 0 if place is None else bisect_right(self._places, place)
            places = self._places[start : start + count]
        return [(one, self._room_at[one]) for one in places]


class Directory:
    """Publishes and lists rooms; a contributor, since rooms are made, replaced, filled and emptied by events.

    Args:
        database: where it is kept which rooms are published.
        rooms: the rooms in memory.
        facts: what is told of a room.
    """

    def __init__(self, database: Database, rooms: Rooms, facts: RoomFacts) -> None:
        self._database = database
        self._rooms = rooms
        self._facts = facts
        self._index: _Index | None = None
        self._making: asyncio.Task[None] | None = None
        self._marked: set[str] = set()
        facts.joined_listeners.append(self._joined_changed)

    def is_published(self, room_id: str) -> bool:
        """Whether a room is published.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that is not known.
        """
        listed = rows.is_listed(self._database, room_id)
        if listed is None:
            raise not_found("This server does not know that room.")
        return listed

    async def publish(self, user_id: str, owner: bool, room_id: str, listed: bool) -> None:
        """Publish a room or take it out of the directory.

        Args:
            user_id: the local user who asks.
            owner: whether that is an owner of this server, who may always do it.
            room_id: the room.
            listed: whether it shall be published.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that is not known, ``M_FORBIDDEN`` for somebody who may not set the
                room's main alias.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise not_found("This server does not know that room.")
        if not owner and not may_name(room, user_id):
            raise forbidden("You may not change whether this room is published.")
        await self._database.write(
            lambda tx: room_rows.set_listed(tx, room.nid, listed), published=lambda _: self._mark(room_id)
        )

    async def page(self, wanted: Wanted) -> Page:
        """A page of the published rooms, the fullest first, among those with as many members the newest."""
        index = await self._current()
        since = wanted.since
        backwards = since is not None and since.backwards
        place = None if since is None else (-since.joined, -since.room_nid)
        found: list[tuple[Place, Facts]] = []
        more = False
        # One room more than wanted says whether there is more.
        while not more:
            nearest = index.beyond(place, SLICE, backwards=backwards)
            for one in self._among(nearest, wanted):
                if len(found) == wanted.limit:
                    more = True
                    break
                found.append(one)
            if len(nearest) < SLICE:
                break
            place = nearest[-1][0]
            await asyncio.sleep(0)
        if backwards:
            found.reverse()
        return Page(
            chunk=[facts.entry() for _, facts in found],
            total_room_count_estimate=len(index),
            next_batch=_token(found[-1:], False) if more or backwards else UNSET,
            prev_batch=_token(found[:1], True) if (more if backwards else since is not None) else UNSET,
        )

    def forget(self, room_nid: int, room_id: str) -> None:
        """Look again at a room that is gone, and is therefore in no list."""
        self._mark(room_id)

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: whether a room is published is stored by those who decide it."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Look again at a room that was made, which may be published, or replaced, which no longer is."""
        if ("m.room.create", "") in step.changes or ("m.room.tombstone", "") in step.changes:
            self._mark(step.room_id)

    def _among(self, nearest: list[tuple[Place, str]], wanted: Wanted) -> Iterator[tuple[Place, Facts]]:
        for place, room_id in nearest:
            facts = self._facts.of(room_id)
            if facts is not None and wanted.matches(facts):
                yield place, facts

    def _place(self, room_id: str) -> Place | None:
        facts = self._facts.of(room_id) if rows.is_listed(self._database, room_id) else None
        return None if facts is None else (-facts.joined, -facts.room_nid)

    async def _current(self) -> _Index:
        """The list, made if need be, with every marked room in its place."""
        while self._index is None:
            if self._making is None:
                self._making = asyncio.ensure_future(self._make())
            await asyncio.shield(self._making)
        marked, self._marked = self._marked, set()
        for room_id in marked:
            self._index.put(room_id, self._place(room_id))
        return self._index

    async def _make(self) -> None:
        try:
            self._index = _Index(await self._database.reading(rows.listed))
        finally:
            self._making = None

    def _joined_changed(self, room_id: str) -> None:
        if self._index is None or room_id in self._index:
            self._mark(room_id)

    def _mark(self, room_id: str) -> None:
        """Look at a room again when somebody asks next; what the list does not hold yet, its making may have missed."""
        if self._index is None and self._making is None:
            return
        self._marked.add(room_id)
        if len(self._marked) > MOST_MARKED and self._making is None:
            self._index = None
            self._marked.clear()


def _token(found: list[tuple[Place, Facts]], backwards: bool) -> str | UnsetType:
    if not found:
        return UNSET
    joined, room_nid = found[0][0]
    return str(DirectoryToken(-joined, -room_nid, backwards))
