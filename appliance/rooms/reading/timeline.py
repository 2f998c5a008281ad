"""A room's history in pages, backwards and forwards, as far as the asker may see it."""

import orjson
from msgspec import Struct

from appliance.protocol.filters import RoomEventRule
from appliance.rooms.reading.ends import Ends
from appliance.rooms.reading.serving import Ignores
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.standings import Standings
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import events as rows
from appliance.storage.database import Database
from appliance.storage.relations import related_to
from appliance.storage.tokens import HistoryToken, SyncToken

START = HistoryToken(0, -(10**17))
"""Before everything: where reading forwards begins without a token."""
MOST_ROUNDS, ROUND = 6, 100
"""How often more is read for one answer when a filter or the visibility passes over what was, and how much at least:
a hundred events are about two milliseconds of the loop's time."""


class Page(Struct, frozen=True):
    """Part of a history.

    Args:
        events: in the direction that was asked for.
        start: the point before the first.
        end: the point after the last, from which to go on; None where there is no more.
    """

    events: list[ClientEvent]
    start: HistoryToken
    end: HistoryToken | None


class Timeline:
    """Reads histories.

    Args:
        database: where they are.
        store: the events in memory.
        standings: who was where.
        visibility: the rooms' settings.
        ignored: whom users ignore.
        ends: the ends of rooms, in memory.
    """

    def __init__(
        self,
        database: Database,
        store: EventStore,
        standings: Standings,
        visibility: Visibility,
        ignored: Ignores,
        ends: Ends,
    ) -> None:
        self._ends = ends
        self._ignored = ignored
        self._database = database
        self._store = store
        self._standings = standings
        self._visibility = visibility

    def point(self, room_nid: int, token: SyncToken | HistoryToken | None) -> HistoryToken:
        """The point of a room's history that a token means; without one, the end of what is published."""
        if isinstance(token, HistoryToken):
            return token
        published = self._database.position
        return self.point_at(room_nid, published if token is None else min(token.position, published))

    def point_at(self, room_nid: int, upto: int) -> HistoryToken:
        """The end of a room's history as it was at a position of the stream."""
        return HistoryToken(*self._ends.latest(room_nid, upto))

    def before_arrival(self, room_nid: int, position: int) -> HistoryToken:
        """The end of a room's history as it was before something arrived, wherever that stands; read backwards from
        there, it stays without what arrived since.
        """
        return HistoryToken(*self._ends.latest(room_nid, position - 1), max(0, position - 1))

    def page(
        self,
        room_nid: int,
        user_id: str,
        start: HistoryToken,
        limit: int,
        *,
        backwards: bool,
        until: HistoryToken | None = None,
        rule: RoomEventRule | None = None,
        upto: int | None = None,
        unbroken: bool = False,
    ) -> Page:
        """One page by (ordering, position).

        Args:
            room_nid: the room.
            user_id: the asker.
            start: where to begin.
            limit: how many events at most.
            backwards: towards the past.
            until: a point to stop at.
            rule: which events are wanted; others are passed over.
            upto: the last position that counts; the published one where none is given.
            unbroken: end before an event that the asker may not see, and after one before which there is a hole, as if
                there were no place for more.
        """
        upto = self._database.position if upto is None else upto
        arrived = start.upto if backwards else None
        upto = upto if arrived is None else min(upto, arrived)
        open_to_all = self._sees_all(room_nid, user_id)
        found: list[ClientEvent] = []
        here: HistoryToken | None = start
        holes = set(self._ends.holes(room_nid)) if unbroken else set()
        for size in _sizes(limit):
            if here is None or len(found) >= limit:
                break
            clients, more = self._chunk(room_nid, here, upto, size, backwards)
            wanted = self._wanted(clients, user_id, rule)
            if wanted is None and until is None and not holes and clients and self._are_open(open_to_all, clients):
                # Most histories: all of it is for everybody.
                taken = clients[: limit - len(found)]
                found += taken
                here = HistoryToken(taken[-1].ordering, (taken[-1].position or 0) - backwards, arrived)
                if not more and len(taken) == len(clients):
                    here = None
                continue
            for client in clients:
                point = (client.ordering, client.position or 0)
                if until is not None and _beyond(point, until, backwards):
                    more = False
                    break
                if len(found) == limit:
                    more = True
                    break
                visible = self._is_open(open_to_all, client) or self.visible(client, user_id)
                if unbroken and not visible and not client.withheld:
                    return Page(found, start, here)
                here = HistoryToken(client.ordering, (client.position or 0) - backwards, arrived)
                if visible and (wanted is None or client.nid in wanted):
                    found.append(client)
                if point in holes:
                    return Page(found, start, here)
            if not more:
                here = None
        return Page(found, start, here)

    def arrived(
        self, room_nid: int, user_id: str, since: int, upto: int, limit: int, rule: RoomEventRule
    ) -> tuple[list[ClientEvent], bool]:
        """The latest events that arrived in ``since < position <= upto``, earliest first, without those before a hole.

        Returns:
            the events, and whether there are earlier ones for which there was no place, or that are not here.
        """
        hole = max((position for _, position in self._ends.holes(room_nid) if position <= upto), default=0)
        if hole > since:
            events, _ = self._arrived(room_nid, user_id, hole - 1, upto, limit, rule)
            return events, True
        return self._arrived(room_nid, user_id, since, upto, limit, rule)

    def _arrived(
        self, room_nid: int, user_id: str, since: int, upto: int, limit: int, rule: RoomEventRule
    ) -> tuple[list[ClientEvent], bool]:
        open_to_all = self._sees_all(room_nid, user_id)
        found: list[ClientEvent] = []
        here = upto
        for size in _sizes(limit):
            clients = self._chunk_arrived(room_nid, since, here, size)
            wanted = self._wanted(clients, user_id, rule)
            for client in clients:
                if wanted is not None and client.nid not in wanted:
                    continue
                if self._is_open(open_to_all, client) or self.visible(client, user_id):
                    if len(found) == limit:
                        return found[::-1], True
                    found.append(client)
            if len(clients) < size:
                return found[::-1], False
            here = (clients[-1].position or 0) - 1
        return found[::-1], True

    def visible(self, event: ClientEvent, user_id: str) -> bool:
        """Whether a user may see an event."""
        history = self._standings.of(user_id).remembered(event.room_nid)
        return self._visibility.sees(event, user_id, history)

    @staticmethod
    def _is_open(open_to_all: bool, event: ClientEvent) -> bool:
        """Whether it goes without asking that a reader sees an event."""
        return open_to_all and not event.apart and not event.withheld

    @staticmethod
    def _are_open(open_to_all: bool, events: list[ClientEvent]) -> bool:
        """Whether that goes for all of them."""
        return open_to_all and not any(event.apart or event.withheld for event in events)

    def _sees_all(self, room_nid: int, user_id: str) -> bool:
        return self._visibility.sees_all(room_nid, self._standings.of(user_id).remembered(room_nid))

    def _wanted(self, events: list[ClientEvent], user_id: str, rule: RoomEventRule | None) -> set[int] | None:
        """The numbers of those of some events of one room that a reader wants: by a filter, and by nobody whom they
        ignore, unless it is state; None for all.
        """
        ignored = self._ignored.of(user_id)
        if not events or ((rule is None or rule.trivial) and not ignored):
            return None
        wanted = [
            event
            for event in events
            if (event.sender not in ignored or event.state_key is not None) and (rule is None or passes(rule, event))
        ]
        return self._with_children(wanted, rule)

    def wanted(self, events: list[ClientEvent], rule: RoomEventRule) -> set[int]:
        """The numbers of those of some events, of one room or several, that a filter wants."""
        wanted = [event for event in events if passes(rule, event)]
        rooms = {event.room_nid for event in wanted} if rule.by_children else {0}
        return {
            nid
            for room_nid in rooms
            for nid in self._with_children([one for one in wanted if room_nid in (0, one.room_nid)], rule)
        }

    def _with_children(self, events: list[ClientEvent], rule: RoomEventRule | None) -> set[int]:
        """The numbers of those of some events of one room that have the children that a filter asks for."""
        if rule is None or not rule.by_children:
            return {event.nid for event in events}
        if not events:
            return set()
        parents = related_to(
            self._database,
            events[0].room_nid,
            [event.event_id for event in events],
            rule.related_by_rel_types,
            rule.related_by_senders,
        )
        return {event.nid for event in events if event.event_id in parents}

    def last_seen(self, room_nid: int, user_id: str) -> HistoryToken | None:
        """The point after which somebody who is not in a room sees nothing; None where they may see all there is."""
        history = self._standings.of(user_id).remembered(room_nid)
        published = self._database.position
        change = None if history is None else history.at(published)
        if change is None or change.membership == "join" or self._visibility.of(room_nid).was("world_readable"):
            return None
        return self.point_at(room_nid, change.position)

    def _chunk(
        self, room_nid: int, here: HistoryToken, upto: int, size: int, backwards: bool
    ) -> tuple[list[ClientEvent], bool]:
        """Events from a point on, one fewer than ``size`` at most, and whether there are more."""
        nids = self._ends.back(room_nid, here.ordering, here.position, upto, size) if backwards else None
        if nids is not None:
            return self._kept(nids[: size - 1]), len(nids) == size
        read = rows.page_back if backwards else rows.page_forward
        chunk = read(self._database, room_nid, here.ordering, here.position, upto, size)
        return self._store.clients_of_rows(chunk[: size - 1]), len(chunk) == size

    def _chunk_arrived(self, room_nid: int, since: int, upto: int, size: int) -> list[ClientEvent]:
        nids = self._ends.arrived(room_nid, since, upto, size)
        if nids is not None:
            return self._kept(nids)
        return self._store.clients_of_rows(rows.page_arrived(self._database, room_nid, since, upto, size))

    def _kept(self, nids: list[int]) -> list[ClientEvent]:
        clients = self._store.clients(nids)
        return [clients[nid] for nid in nids if nid in clients]


def _sizes(limit: int) -> list[int]:
    """How much to read in each round: at first what will do if all of it is wanted, and one to see whether there is
    more.
    """
    return [limit + 1, *[max(limit, ROUND) + 1] * (MOST_ROUNDS - 1)]


def earlier(one: HistoryToken, other: HistoryToken) -> HistoryToken:
    """The earlier of two points of a room's history."""
    return min(one, other, key=lambda point: (point.ordering, point.position))


def passes(rule: RoomEventRule, event: ClientEvent) -> bool:
    """Whether a filter wants an event, as far as the event alone shows."""
    return rule.trivial or rule.allows_event(event.type, event.sender, lambda: orjson.loads(event.body)["content"])


def _beyond(point: tuple[int, int], until: HistoryToken, backwards: bool) -> bool:
    limit = (until.ordering, until.position)
    return point <= limit if backwards else point > limit
