"""What a user was notified of, the latest first (client-server API, ``GET /notifications``)."""

import heapq
from typing import Any

import orjson
from msgspec import Struct

from appliance.accounts.ignored import Ignored
from appliance.accounts.push_rules import PushRules
from appliance.push.counts import Counts, ReadPoints, came_in, spans
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.storage import notifications as rows
from appliance.storage.database import Database, Reads
from appliance.storage.notifications import Notified
from appliance.storage.tokens import notifications_token


class _Place(Struct, frozen=True):
    """A room that a user is in: its number, its id, and since when."""

    room_nid: int
    room_id: str
    since: int


class Notifications:
    """Lists notifications.

    Args:
        database: where they are.
        push_rules: everybody's rules.
        ignored: whom users ignore.
        standings: who is where.
        counts: says up to where rooms are read.
        store: the events in memory.
        serving: makes events ready for the asker.
    """

    def __init__(
        self,
        database: Database,
        push_rules: PushRules,
        ignored: Ignored,
        standings: Standings,
        counts: Counts,
        store: EventStore,
        serving: Serving,
    ) -> None:
        self._database = database
        self._push_rules = push_rules
        self._ignored = ignored
        self._standings = standings
        self._counts = counts
        self._store = store
        self._serving = serving

    async def page(self, asker: Asker, upto: int | None, limit: int, *, highlight: bool) -> dict[str, Any]:
        """One page.

        Args:
            asker: for whom.
            upto: the position at which to begin; None for the latest.
            limit: how many at most.
            highlight: whether only those are wanted that stand out.
        """
        published = self._database.position
        upto = published if upto is None else min(upto, published)
        user = self._standings.of(asker.user_id)
        places = [_Place(nid, history.room_id, came_in(history)) for nid, history in user.joined.items()]
        without = {asker.user_id, *self._ignored.of(asker.user_id)}
        found, end = await self._database.reading(
            lambda reader: self._found(reader, asker.user_id, places, upto, limit, without, highlight=highlight)
        )
        answer: dict[str, Any] = {"notifications": await self._told(found, asker)}
        if end is not None:
            answer["next_token"] = notifications_token(end)
        return answer

    def _found(
        self,
        reads: Reads,
        user_id: str,
        places: list[_Place],
        upto: int,
        limit: int,
        without: set[str],
        *,
        highlight: bool,
    ) -> tuple[list[Notified], int | None]:
        """The notifications of a page, and where to go on; in a thread."""
        shared: list[Notified] = []
        for place in places:
            wanted = limit + 1
            for rules, after, until in spans(
                reads, self._push_rules, user_id, place.room_id, min(place.since, upto), upto
            ):
                part = rows.shared_page(
                    reads, place.room_nid, rules, after, until, wanted, without=without, highlight=highlight
                )
                shared += part
                wanted -= len(part)
                if wanted <= 0:
                    break
        shared = heapq.nlargest(limit + 1, shared, key=lambda one: one.position)
        floor = shared[-1].position - 1 if len(shared) > limit else 0
        most = 4 * limit + 100
        personal = rows.personal_page(reads, user_id, floor, upto, most, without)
        if len(personal) == most:
            floor = max(floor, personal[-1].position - 1)
        # What is said to the user alone stands in the place of what is said to all.
        by_position = {one.position: one for one in (*shared, *personal) if one.position > floor}
        chosen = [one for one in by_position.values() if one.notify and (one.highlight or not highlight)]
        chosen.sort(key=lambda one: -one.position)
        if len(chosen) > limit:
            return chosen[:limit], chosen[limit].position
        return chosen, floor or None

    async def _told(self, found: list[Notified], asker: Asker) -> list[dict[str, Any]]:
        """Notifications as clients see them, as far as the asker may see their events."""
        clients = await self._store.many_clients(one.event_nid for one in found)
        user = self._standings.of(asker.user_id)
        points: dict[int, ReadPoints] = {}
        told: list[dict[str, Any]] = []
        for one in found:
            event, history = clients.get(one.event_nid), user.of(one.room_nid)
            if event is None or history is None or not self._serving.visible(event, asker.user_id):
                continue
            if one.room_nid not in points:
                points[one.room_nid] = self._counts.read_up_to(asker.user_id, one.room_nid, history.room_id)
            told.append(
                {
                    "actions": orjson.Fragment(one.actions),
                    "event": self._serving.serve((event,), asker)[0],
                    "read": one.position <= points[one.room_nid].of(one.thread),
                    "room_id": history.room_id,
                    "ts": event.timestamp,
                }
            )
        return told
