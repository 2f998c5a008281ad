"""Search in what was said (client-server API, module "Server side search"): only what the asker may see.

Edits stand for what they edit: what is found in the last of them is told as the original, what is found in a text that
was edited since is not told.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from appliance.protocol.filters import RoomEventRule
from appliance.protocol.relations import REPLACE, relation_of
from appliance.rooms.graph.indexing import Index
from appliance.rooms.reading.aggregations import Aggregations
from appliance.rooms.reading.serving import Ignores
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.room import Rooms
from appliance.rooms.standings import Standings
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import search as rows
from appliance.storage.database import Database
from appliance.storage.tokens import SearchToken

AT_A_TIME, MOST_ROUNDS = 100, 10
"""Matches that are looked at in one go, and how often."""
MOST_RANKED = 5_000
"""Matches among which the best are found, the latest; and up to which all are counted."""
COUNTED = 200
"""Matches, the latest, that are looked at to say about how many of all of them the asker may see."""
MOST_PREDECESSORS = 20


class Sought(Struct, frozen=True):
    """What is searched for.

    Args:
        term: what the asker typed.
        columns: where: body, name, topic.
        best_first: the best first rather than the latest.
        rule: which events.
        limit: how many at most.
        start: where to go on; None for the beginning.
    """

    term: str
    columns: Sequence[str]
    best_first: bool
    rule: RoomEventRule
    limit: int
    start: SearchToken | None = None


class Hit(Struct, frozen=True):
    """A result: the event, and how well it fits, compared with the best that was found beside it."""

    event: ClientEvent
    room_id: str
    rank: float


class Found(Struct, frozen=True):
    """Results, about how many there are in all, and where to go on; None where there is no more."""

    hits: list[Hit]
    count: int
    next: SearchToken | None


NOTHING = Found([], 0, None)


class Searching:
    """Searches.

    Args:
        database: where the index is.
        store: the events in memory.
        rooms: the rooms in memory.
        standings: who was where.
        timeline: judges visibility, and what a filter wants.
        aggregations: knows edits.
        ignored: whom users ignore.
        index: brings the index up to date.
    """

    def __init__(
        self,
        database: Database,
        store: EventStore,
        rooms: Rooms,
        standings: Standings,
        timeline: Timeline,
        aggregations: Aggregations,
        ignored: Ignores,
        index: Index,
    ) -> None:
        self._database = database
        self._store = store
        self._rooms = rooms
        self._standings = standings
        self._timeline = timeline
        self._aggregations = aggregations
        self._ignored = ignored
        self._index = index

    async def search(self, user_id: str, sought: Sought) -> Found:
        """Find events.

        Args:
            user_id: the asker.
            sought: what they look for.
        """
        await self._index.follow()
        start = sought.start or SearchToken(self._database.position + 1)
        rooms = await self._searched(user_id, sought.rule)
        if start.room_nid:
            rooms = {nid: room_id for nid, room_id in rooms.items() if nid == start.room_nid}
        asked = rows.question(sought.term, sought.columns, list(rooms))
        if asked is None or not rooms:
            return NOTHING
        found = await self._best(asked, start) if sought.best_first else None
        count = await self._count(user_id, asked, rooms, sought.rule, start.sender)
        hits: dict[int, Hit] = {}
        below, offset = start.below, start.offset
        for _ in range(MOST_ROUNDS):
            if found is not None:
                chunk = found[offset : offset + AT_A_TIME]
            else:
                chunk = await self._latest(asked, below)
            best = max((fit for _, fit in found or chunk), default=0.0)
            seen = self._seen(user_id, chunk, rooms, sought.rule, start.sender, best)
            for place, (position, _) in enumerate(chunk):
                below, offset = position, offset + 1
                if position in seen:
                    hits.setdefault(seen[position].event.nid, seen[position])
                # A full page names the next one, which may be empty: clients and Complement count on it.
                if len(hits) == sought.limit:
                    return Found(list(hits.values()), count, self._after(start, sought, below, offset))
                if place == len(chunk) - 1 and len(chunk) < AT_A_TIME:
                    return Found(list(hits.values()), count, None)
            if not chunk:
                return Found(list(hits.values()), count, None)
        return Found(list(hits.values()), count, self._after(start, sought, below, offset))

    @staticmethod
    def _after(start: SearchToken, sought: Sought, below: int, offset: int) -> SearchToken:
        if sought.best_first:
            return SearchToken(start.below, offset, start.room_nid, start.sender)
        return SearchToken(below, 0, start.room_nid, start.sender)

    async def _count(self, user_id: str, asked: str, rooms: dict[int, str], rule: RoomEventRule, sender: str) -> int:
        """About how many results there are. What the asker may not see must not count: the number alone would say which
        words were said.
        """
        latest = await self._latest(asked, self._database.position + 1, COUNTED)
        if not latest:
            return 0
        seen = {hit.event.nid for hit in self._seen(user_id, latest, rooms, rule, sender).values()}
        if len(latest) < COUNTED:
            return len(seen)
        matches = await self._database.reading(lambda reader: rows.count(reader, asked, MOST_RANKED))
        return matches * len(seen) // len(latest)

    async def _latest(self, asked: str, below: int, most: int = AT_A_TIME) -> list[tuple[int, float]]:
        return await self._database.reading(lambda reader: rows.find(reader, asked, below, most))

    async def _best(self, asked: str, start: SearchToken) -> list[tuple[int, float]]:
        found = await self._database.reading(lambda reader: rows.find(reader, asked, start.below, MOST_RANKED))
        return sorted(found, key=lambda match: (-match[1], -match[0]))

    async def _searched(self, user_id: str, rule: RoomEventRule) -> dict[int, str]:
        """The rooms to look in, by number: those that the asker is in, and of those that a filter names also what was
        before them and those that the asker has left, as far as they may still read there.
        """
        user = self._standings.of(user_id)
        upto = self._database.position
        if rule.rooms is None:
            found = {nid: one.room_id for nid, one in user.histories.items() if one.membership_at(upto) == "join"}
        else:
            named = set(rule.rooms)
            known = {one.room_id for one in user.histories.values()}
            for room_id in [one for one in rule.rooms if one in known][:MOST_PREDECESSORS]:
                named |= await self._predecessors(room_id)
            found = {
                nid: one.room_id
                for nid, one in user.histories.items()
                if one.room_id in named and nid not in user.forgotten
            }
        return {nid: room_id for nid, room_id in found.items() if room_id not in rule.not_rooms}

    async def _predecessors(self, room_id: str) -> set[str]:
        """The rooms that a room came after."""
        found: set[str] = set()
        here: object = room_id
        while isinstance(here, str) and len(found) < MOST_PREDECESSORS:
            room = await self._rooms.find(here)
            before = None if room is None else room.create.content.get("predecessor")
            here = before.get("room_id") if isinstance(before, dict) else None
            if not isinstance(here, str) or here in found:
                break
            found.add(here)
        return found

    def _seen(
        self,
        user_id: str,
        matches: Iterable[tuple[int, float]],
        rooms: dict[int, str],
        rule: RoomEventRule,
        sender: str,
        best: float = 0.0,
    ) -> dict[int, Hit]:
        """Those of the matches that the asker is told, by position.

        How well each fits is told as a part of ``best`` alone: the index weighs a word by how often it was said
        anywhere on the server, which is not for anybody to know.
        """
        fits = dict(matches)
        nids = rows.nids_at(self._database, list(fits))
        events = self._store.clients(nids.values())
        ignored = self._ignored.of(user_id)
        found: dict[int, Hit] = {}
        for position, nid in nids.items():
            match = events.get(nid)
            event = None if match is None or match.room_nid not in rooms else self._told(match)
            if event is None or (sender and event.sender != sender) or not self._timeline.visible(event, user_id):
                continue
            # The words of an edit that the asker may not see are not theirs to look for.
            if match is not event and match is not None and not self._timeline.visible(match, user_id):
                continue
            if event.sender not in ignored or event.state_key is not None:
                found[position] = Hit(event, rooms[event.room_nid], fits[position] / best if best > 0 else 1.0)
        wanted = self._timeline.wanted([hit.event for hit in found.values()], rule)
        return {position: hit for position, hit in found.items() if hit.event.nid in wanted}

    def _told(self, match: ClientEvent) -> ClientEvent | None:
        """The event that is told for one that was found: for the last edit its original, for what is outdated none."""
        relation = relation_of(self._store.event(match.nid).content)
        original = match
        if relation is not None and relation.rel_type == REPLACE:
            parent = self._store.find(relation.parent_id)
            if parent is None or parent[0].room_nid != match.room_nid or parent[0].position is None:
                return None
            (original,) = self._store.clients_of_rows((parent[0],))
        if original.redacted_by is not None:
            return None
        last = self._aggregations.last_edit(original)
        return original if (match.nid if original is not match else None) == last else None
