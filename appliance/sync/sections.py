"""The sections of a sync for one room: joined, invited or knocking, left."""

from typing import Any

from msgspec import Struct

from appliance.protocol.client_form import stripped
from appliance.protocol.filters import Filter, RoomEventRule
from appliance.rooms.reading import apply
from appliance.rooms.serving import Asker, Serving
from appliance.rooms.snapshot import MEMBER, Snapshot
from appliance.rooms.standings import History
from appliance.rooms.store import ClientEvent, EventStore
from appliance.rooms.timeline import Timeline, passes
from appliance.storage import state as state_rows
from appliance.storage.database import Database
from appliance.storage.state import Slot
from appliance.storage.tokens import HistoryToken
from appliance.sync.summary import heroes, summary

TIMELINE = 10
MOST_TIMELINE = 500
_STRIPPED = (
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.encryption",
)


class Window(Struct, frozen=True):
    """What part of a room's life a sync is about.

    Args:
        history: the asker's memberships of the room.
        snapshot: the room at the end.
        since: the position from which on the client knows nothing; None where it knows nothing of the room.
        upto: the last position that counts.
        position: the last position of the snapshot.
    """

    history: History
    snapshot: Snapshot
    since: int | None
    upto: int
    position: int


class Options(Struct, frozen=True):
    """How the client wants it.

    Args:
        filter: which events.
        full_state: the whole state of every room.
        state_after: the field in which the client reads the state after the timeline; empty for the state before it.
    """

    filter: Filter
    full_state: bool = False
    state_after: str = ""


class Sections:
    """Makes the sections.

    Args:
        database: where everything is.
        store: the events in memory.
        timeline: reads histories.
        serving: makes events ready for the asker.
    """

    def __init__(self, database: Database, store: EventStore, timeline: Timeline, serving: Serving) -> None:
        self._database = database
        self._store = store
        self._timeline = timeline
        self._serving = serving

    async def joined(
        self, window: Window, asker: Asker, options: Options, account_data: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """A room that the asker is in; None where nothing happened that the filter wants."""
        events, limited, prev_batch = self._events(window, asker, options.filter.room.timeline)
        whole = window.since is None or options.full_state
        state = await self._state(window, asker, options, events, whole)
        if not (whole or events or state or limited or account_data):
            return None
        section = self._section(asker, options, events, limited, prev_batch, state)
        if whole or self._members_changed(events, state, limited):
            section["summary"] = summary(window.snapshot, asker.user_id)
        if account_data:
            section["account_data"] = {"events": account_data}
        return section

    async def left(self, window: Window, asker: Asker, options: Options) -> dict[str, Any]:
        """A room that the asker left, was removed from, or whose invitation is over: up to that and not further."""
        events, limited, prev_batch = self._events(window, asker, options.filter.room.timeline)
        was_in = any(change.membership == "join" for change in window.history.changes)
        state = await self._state(window, asker, options, events, window.since is None) if was_in else []
        return self._section(asker, options, events, limited, prev_batch, state)

    def _section(
        self,
        asker: Asker,
        options: Options,
        events: list[ClientEvent],
        limited: bool,
        prev_batch: HistoryToken,
        state: list[ClientEvent],
    ) -> dict[str, Any]:
        return {
            "timeline": {
                "events": self._serving.serve(events, asker),
                "limited": limited,
                "prev_batch": str(prev_batch),
            },
            options.state_after or "state": {"events": self._serving.serve(state, asker)},
        }

    def offered(self, window: Window, user_id: str) -> dict[str, Any]:
        """The stripped state of a room that the asker is invited to or knocks at, their own membership last."""
        state = window.snapshot.state
        own = self._store.event(state[MEMBER, user_id])
        slots: list[Slot] = [(event_type, "") for event_type in _STRIPPED]
        slots.append((MEMBER, own.sender))
        events = self._store.events(state[slot] for slot in dict.fromkeys(slots) if slot in state)
        shown = [stripped(event) for event in events.values() if event.event_id != own.event_id]
        return {"events": [*shown, stripped(own)]}

    def _events(
        self, window: Window, asker: Asker, rule: RoomEventRule
    ) -> tuple[list[ClientEvent], bool, HistoryToken]:
        """The timeline, whether it is limited, and the point before it."""
        limit = max(0, min(TIMELINE if rule.limit is None else rule.limit, MOST_TIMELINE))
        nid = window.history.room_nid
        if window.since is None:
            end = self._timeline.point_at(nid, window.upto)
            page = self._timeline.page(nid, asker.user_id, end, limit, backwards=True, rule=rule, upto=window.upto)
            events, limited = page.events[::-1], page.end is not None
        else:
            events, limited = self._timeline.arrived(nid, asker.user_id, window.since, window.upto, limit, rule)
        if events:
            return events, limited, HistoryToken(events[0].ordering, (events[0].position or 0) - 1)
        return events, limited, self._timeline.point_at(nid, window.upto)

    async def _state(
        self, window: Window, asker: Asker, options: Options, events: list[ClientEvent], whole: bool
    ) -> list[ClientEvent]:
        """The state that goes with a timeline: before it, or after it where the client asked for that."""
        start = min((event.position or 0 for event in events), default=window.upto + 1) - 1
        at = window.upto if options.state_after else start
        room_nid, position = window.history.room_nid, window.position
        slots: dict[Slot, int | None] = {}
        state: dict[Slot, int] = {}
        rule = options.filter.room.state
        lazy = rule.lazy_load_members
        if whole or lazy:
            state = dict(window.snapshot.state)
            if at < position:
                apply(state, state_rows.undo_changes(self._database, room_nid, at, position))
        if whole:
            slots.update(state)
        else:
            slots.update(state_rows.changes(self._database, room_nid, window.since or 0, at))
        if lazy:
            wanted = {event.sender for event in events} | {asker.user_id}
            if window.since is None:
                wanted.update(heroes(window.snapshot, asker.user_id))
            if whole:
                slots = {slot: nid for slot, nid in slots.items() if slot[0] != MEMBER or slot[1] in wanted}
            else:
                wanted.discard(asker.user_id)
                members = ((MEMBER, user) for user in wanted)
                slots.update((slot, state[slot]) for slot in members if slot in state)
        told = set() if options.state_after else {event.nid for event in events}
        clients = await self._store.many_clients(nid for nid in slots.values() if nid is not None and nid not in told)
        return [event for event in clients.values() if passes(rule, event)]

    @staticmethod
    def _members_changed(events: list[ClientEvent], state: list[ClientEvent], limited: bool) -> bool:
        return limited or any(event.type == MEMBER for event in (*events, *state))
