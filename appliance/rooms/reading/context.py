"""What was said around an event, and which event was nearest to a time (client-server API, ``/context``)."""

from collections.abc import Iterable

from msgspec import Struct

from appliance.protocol.events import Event
from appliance.protocol.filters import RoomEventRule
from appliance.rooms.reading.lookup import Reading, View
from appliance.rooms.reading.timeline import Timeline, passes
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import event_times
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.state import StateMap
from appliance.storage.tokens import HistoryToken

CHUNK, MOST_ROUNDS = 50, 5
"""Events that are looked at in one go for one near a time that the asker may see, and how often."""


class Surroundings(Struct, frozen=True):
    """What is around an event.

    Args:
        event: the event.
        before: what was before it, the nearest first.
        after: what came after it, the nearest first.
        start: the point before all of that.
        end: the point after all of it.
    """

    event: ClientEvent
    before: list[ClientEvent]
    after: list[ClientEvent]
    start: HistoryToken
    end: HistoryToken

    @property
    def all(self) -> list[ClientEvent]:
        """All of it, in the order of the history."""
        return [*self.before[::-1], self.event, *self.after]


class Context:
    """Looks around.

    Args:
        database: where everything is.
        store: the events in memory.
        reading: admits readers.
        timeline: reads histories.
    """

    def __init__(self, database: Database, store: EventStore, reading: Reading, timeline: Timeline) -> None:
        self._database = database
        self._store = store
        self._reading = reading
        self._timeline = timeline

    def around(
        self,
        user_id: str,
        room: Room,
        event: ClientEvent,
        before: int,
        after: int,
        rule: RoomEventRule | None = None,
    ) -> Surroundings:
        """What is around an event that the asker may see.

        Args:
            user_id: the asker.
            room: the room.
            event: the event, which has a place in the history.
            before: how many events before it at most.
            after: how many after it at most.
            rule: which of them are wanted.
        """
        position = event.position or 0
        here, next_ = HistoryToken(event.ordering, position - 1), HistoryToken(event.ordering, position)
        earlier, later, start, end = [], [], here, next_
        if rule is None or rule.allows_room(room.room_id):
            if before:
                page = self._timeline.page(room.nid, user_id, here, before, backwards=True, rule=rule)
                earlier, start = page.events, page.end or _before(page.events, here)
            if after:
                last = self._timeline.last_seen(room.nid, user_id)
                page = self._timeline.page(room.nid, user_id, next_, after, backwards=False, until=last, rule=rule)
                later, end = page.events, page.end or _after(page.events, next_)
        return Surroundings(event, earlier, later, start, end)

    async def state(
        self, user_id: str, room: Room, surroundings: Surroundings, rule: RoomEventRule | None
    ) -> list[ClientEvent]:
        """The state of the room at the last event that is told, as far as a filter wants it.

        With lazily loaded members these are those of the senders of what is told.
        """
        state = await self._state_after(user_id, room, surroundings.all[-1])
        if rule is not None and rule.lazy_load_members:
            senders = {event.sender for event in surroundings.all}
            state = {slot: nid for slot, nid in state.items() if slot[0] != MEMBER or slot[1] in senders}
        if rule is not None and not rule.allows_room(room.room_id):
            return []
        events = await self._store.many_clients(state.values())
        return [event for event in events.values() if rule is None or passes(rule, event)]

    def members_then(self, event: ClientEvent, user_ids: Iterable[str]) -> dict[str, Event]:
        """The membership events of some users as they were after an event; without those who had none."""
        groups = state_rows.groups_of(self._database, event.nid)
        if groups is None or not groups[1]:
            return {}
        slots = state_rows.lookup(self._database, groups[1], [(MEMBER, user_id) for user_id in user_ids])
        events = self._store.events(slots.values())
        return {user_id: events[nid] for (_, user_id), nid in slots.items() if nid in events}

    async def near(self, user_id: str, room_id: str, timestamp: int, *, backwards: bool) -> ClientEvent | None:
        """The event nearest to a time in one direction, among those that the asker may see; None where there is none.

        Args:
            user_id: the asker.
            room_id: the room.
            timestamp: milliseconds since 1970.
            backwards: whether to look before the time rather than after it.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who may not read in the room.
        """
        room, _ = await self._reading.admitted(user_id, room_id)
        upto = self._database.position
        point: tuple[int, int] | None = None
        for _ in range(MOST_ROUNDS):
            found = event_times.near(self._database, room.nid, timestamp, CHUNK, backwards=backwards, after=point)
            events = self._store.clients(nid for _, position, nid in found if position <= upto)
            for _, _, nid in found:
                if nid in events and self._timeline.visible(events[nid], user_id):
                    return events[nid]
            if len(found) < CHUNK:
                break
            point = found[-1][:2]
        return None

    async def _state_after(self, user_id: str, room: Room, event: ClientEvent) -> StateMap:
        """The state after an event; where none is stored with it, what the asker may see of the present one."""
        groups = state_rows.groups_of(self._database, event.nid)
        if groups is None or not groups[1]:
            view: View = await self._reading.view(user_id, room.room_id)
            return view.state
        return await self._database.reading(lambda reader: state_rows.group(reader, groups[1]))


def _before(events: list[ClientEvent], otherwise: HistoryToken) -> HistoryToken:
    last = events[-1] if events else None
    return otherwise if last is None else HistoryToken(last.ordering, (last.position or 0) - 1)


def _after(events: list[ClientEvent], otherwise: HistoryToken) -> HistoryToken:
    last = events[-1] if events else None
    return otherwise if last is None else HistoryToken(last.ordering, last.position or 0)
