"""The sections of a sync for one room: joined, invited or knocking, left."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.protocol import canonical
from appliance.protocol.client_form import stripped
from appliance.protocol.filters import Filter, RoomEventRule
from appliance.protocol.paths import only, read_path
from appliance.push.counts import Counts
from appliance.rooms.reading.ends import Ends
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.reading.timeline import Timeline, passes
from appliance.rooms.snapshot import MEMBER, Snapshot
from appliance.rooms.standings import History
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import outside as outside_rows
from appliance.storage.database import Database
from appliance.storage.receipts import has_read_since
from appliance.storage.state import Slot
from appliance.storage.tokens import HistoryToken
from appliance.sync.lazy import Chain
from appliance.sync.summary import SUMMED_UP, summary

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
        anew: whether the client, which follows its tokens, is told of the room as if it knew nothing of it, since the
            asker came in.
        quiet: whether nothing happened in the room that would show in its timeline or its state.
    """

    history: History
    snapshot: Snapshot
    since: int | None
    upto: int
    position: int
    anew: bool = False
    quiet: bool = False


class Options(Struct, frozen=True):
    """How the client wants it.

    Args:
        filter: which events.
        full_state: the whole state of every room.
        state_after: the field in which the client reads the state after the timeline; empty for the state before it.
        anew: whether the client begins anew and does not know it: what it has may never have been (``lineage.py``).
    """

    filter: Filter
    full_state: bool = False
    state_after: str = ""
    anew: bool = False


class _Span(Struct, frozen=True):
    """The state that goes with a timeline.

    Args:
        window: what the sync is about.
        events: the timeline.
        whole: the whole state and not what changed of it.
        last: the last position whose state the asker may know.
        at: the position at which the state is told: before the timeline, or after it where the client asked for that.
        told: the numbers of the events in the timeline from which the client takes state too.
    """

    window: Window
    events: list[ClientEvent]
    whole: bool
    last: int
    at: int
    told: frozenset[int]


class Sections:
    """Makes the sections.

    Args:
        database: where everything is.
        store: the events in memory.
        ends: the ends of rooms.
        timeline: reads histories.
        serving: makes events ready for the asker.
        counts: says what is unread.
    """

    def __init__(
        self, database: Database, store: EventStore, ends: Ends, timeline: Timeline, serving: Serving, counts: Counts
    ) -> None:
        self._ends = ends
        self._counts = counts
        self._database = database
        self._store = store
        self._timeline = timeline
        self._serving = serving

    async def joined(
        self,
        window: Window,
        asker: Asker,
        options: Options,
        beside: Mapping[str, list[dict[str, Any]]],
        *,
        recount: bool = False,
        chain: Chain | None = None,
    ) -> dict[str, Any] | None:
        """A room that the asker is in; None where nothing happened that the filter wants.

        Args:
            window: what the sync is about.
            asker: who asks.
            options: how they want it.
            beside: further events, by the name of their part of the section.
            recount: whether what is unread may have changed by receipts, even if nothing else did.
            chain: which members the client was told of.
        """
        events: list[ClientEvent] = []
        limited = False
        if not window.quiet:
            events, limited = self._events(window, asker, options.filter.room.timeline, window.upto)
        limited = limited or options.anew
        whole = window.since is None or options.full_state
        span = self._span(window, options, events, whole, window.upto)
        slots = self._slots(span) if whole or not window.quiet else {}
        told = {}
        if (
            whole
            or limited
            or any(one.type in SUMMED_UP for one in events)
            or any(one in SUMMED_UP for one, _ in slots)
        ):
            told = summary(window.snapshot, asker.user_id, self._store)
        if options.filter.room.state.lazy_load_members:
            self._only_needed(slots, span, asker, told.get("m.heroes", ()), chain)
        state = await self._clients(slots, span, options)
        if chain is not None:
            for event in (*state, *events):
                if event.type == MEMBER and event.state_key is not None:
                    chain.tell(event.room_nid, event.state_key, event.nid, window.upto)
        if not (whole or events or state or limited or any(beside.values())) and not (
            recount and has_read_since(self._database, window.history.room_id, asker.user_id, window.since or 0)
        ):
            return None
        section = self._section(asker, options, events, limited, self._before(window, events, limited), state)
        if told:
            section["summary"] = told
        section.update((name, {"events": found}) for name, found in beside.items() if found)
        section.update(self._unread(window, asker, options))
        return section

    def _unread(self, window: Window, asker: Asker, options: Options) -> dict[str, Any]:
        """What is unread of a room that the asker is in."""
        history = window.history
        tally = self._counts.of(asker.user_id, history.room_nid, history.room_id, window.upto)
        if not options.filter.room.timeline.unread_thread_notifications:
            return {"unread_notifications": tally.all().told()}
        told: dict[str, Any] = {"unread_notifications": tally.main.told()}
        if tally.threads:
            told["unread_thread_notifications"] = {root: one.told() for root, one in tally.threads.items()}
        return told

    async def left(self, window: Window, asker: Asker, options: Options) -> dict[str, Any]:
        """A room that the asker left, was removed from, or whose invitation is over: up to that and not further."""
        left, since = window.history.left_at(window.upto), window.since or 0
        events: list[ClientEvent] = []
        limited = False
        if left is not None and left > since:
            events, limited = self._events(window, asker, options.filter.room.timeline, left)
        events, cut = self._then_own(window, options.filter.room.timeline, events, max(left or 0, since))
        span = self._span(window, options, events, window.since is None, left or 0)
        slots: dict[Slot, int] = {}
        if left is not None and left > since:
            slots = self._slots(span)
            if options.filter.room.state.lazy_load_members:
                self._only_needed(slots, span, asker, (), None)
        own = window.history.at(window.upto)
        if own is not None and own.event_nid not in span.told:
            # A ban, or the end of one, may have come after the leaving.
            slots[MEMBER, asker.user_id] = own.event_nid
        state = await self._clients(slots, span, options)
        return self._section(asker, options, events, limited or cut, self._before(window, events, limited), state)

    @staticmethod
    def forgotten(options: Options) -> dict[str, Any]:
        """A room that the asker left and forgot since the token: that it is gone, which other devices do not know."""
        return {"timeline": {"events": [], "limited": False}, options.state_after or "state": {"events": []}}

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
                "events": self._serve(events, asker, options, bundled=limited),
                "limited": limited,
                "prev_batch": str(prev_batch),
            },
            options.state_after or "state": {"events": self._serve(state, asker, options)},
        }

    def _serve(
        self, events: list[ClientEvent], asker: Asker, options: Options, *, bundled: bool = False
    ) -> orjson.Fragment | list[orjson.Fragment]:
        """Events in the form that the filter asks for."""
        served = self._serving.array(events, asker, bundled=bundled)
        wanted = options.filter
        if not events or (wanted.event_format == "client" and not wanted.event_fields):
            return served
        forms: list[dict[str, Any]] = orjson.loads(orjson.dumps(served))
        if wanted.event_format == "federation":
            originals = self._store.events(event.nid for event in events)
            forms = [
                {**originals[event.nid].pdu, "event_id": event.event_id, "unsigned": form["unsigned"]}
                for event, form in zip(events, forms, strict=True)
            ]
        if wanted.event_fields:
            paths = [read_path(field) for field in wanted.event_fields]
            forms = [only(form, paths) for form in forms]
        return [orjson.Fragment(canonical.encode(form)) for form in forms]

    def sender_of_own(self, window: Window) -> str | None:
        """Who sent the event that made the asker's membership."""
        change = window.history.at(window.upto)
        return None if change is None else self._store.event(change.event_nid).sender

    def offered(self, window: Window, user_id: str) -> dict[str, Any]:
        """The stripped state of a room that the asker is invited to or knocks at, their own membership last."""
        change = window.history.at(window.upto)
        if change is None:
            return {"events": []}
        # Not from the state, which lacks an invitation from elsewhere even while that is being taken back.
        own = self._store.event(change.event_nid)
        outside = outside_rows.shown(self._database, window.history.room_nid, user_id, change.event_nid)
        if outside is not None:
            return {"events": [*outside, stripped(own)]}
        state = window.snapshot.state
        slots: list[Slot] = [(event_type, "") for event_type in _STRIPPED]
        slots.append((MEMBER, own.sender))
        events = self._store.events(state[slot] for slot in dict.fromkeys(slots) if slot in state)
        shown = [stripped(event) for event in events.values() if event.event_id != own.event_id]
        return {"events": [*shown, stripped(own)]}

    def _events(self, window: Window, asker: Asker, rule: RoomEventRule, last: int) -> tuple[list[ClientEvent], bool]:
        """The timeline up to a position at which the asker was in the room or left it, and whether it is limited."""
        room_nid, limit = window.history.room_nid, _limit(rule)
        if rule.types == [] or not rule.allows_room(window.history.room_id):
            return [], False
        if window.since is not None:
            return self._timeline.arrived(room_nid, asker.user_id, window.since, last, limit, rule)
        # What a client knows of the state is that before the timeline with the timeline applied, so the timeline may
        # have no holes: what was there while the asker was away may be hidden.
        end = self._timeline.point_at(room_nid, last)
        page = self._timeline.page(
            room_nid, asker.user_id, end, limit, backwards=True, rule=rule, upto=last, unbroken=True
        )
        # Whoever comes back may know a part of this: the gap before it says that nothing fits together.
        return page.events[::-1], window.anew or page.end is not None

    def _then_own(
        self, window: Window, rule: RoomEventRule, events: list[ClientEvent], after: int
    ) -> tuple[list[ClientEvent], bool]:
        """The timeline of a room that the asker left, with what was done to them since: refused invitations, bans.

        Returns:
            the timeline, and whether something had no place in it.
        """
        if not rule.allows_room(window.history.room_id):
            return [], False
        nids = [change.event_nid for change in window.history.changes if after < change.position <= window.upto]
        clients = self._store.clients(nids)
        events = [*events, *(clients[nid] for nid in nids if passes(rule, clients[nid]))]
        limit = _limit(rule)
        return events[len(events) - limit :] if len(events) > limit else events, len(events) > limit

    def _before(self, window: Window, events: list[ClientEvent], limited: bool) -> HistoryToken:
        """The point before a timeline; the end of the window where that is empty.

        Where a timeline in the order of arrival leaves out what arrived earlier, that may stand behind its first event.
        """
        if events and limited and window.since is not None:
            return self._timeline.before_arrival(window.history.room_nid, events[0].position or 0)
        if events:
            return HistoryToken(events[0].ordering, (events[0].position or 0) - 1)
        return self._timeline.point_at(window.history.room_nid, window.upto)

    @staticmethod
    def _span(window: Window, options: Options, events: list[ClientEvent], whole: bool, last: int) -> _Span:
        if options.state_after:
            return _Span(window, events, whole, last, last, frozenset())
        start = min((event.position or 0 for event in events), default=window.upto + 1)
        return _Span(window, events, whole, last, min(start - 1, last), frozenset(event.nid for event in events))

    def _slots(self, span: _Span) -> dict[Slot, int]:
        """The state that goes with a timeline, or what changed of it.

        Changes that fall into the time of the timeline and that it leaves out, because of a filter or since they were
        not for the asker's eyes when they were made, are part of it: else nobody would tell of them.
        """
        since = span.at if span.whole else span.window.since or 0
        room_nid = span.window.history.room_nid
        found, missed = self._ends.changes(room_nid, since, span.at, span.last)
        if span.whole:
            found.update(span.window.snapshot.state)
            found.update(self._undone(span))
        found.update((slot, nid) for slot, nid in missed.items() if nid not in span.told)
        return {slot: nid for slot, nid in found.items() if nid is not None}

    def _undone(self, span: _Span) -> dict[Slot, int | None]:
        """What the present state must be brought back to in order to be the state of a span."""
        if span.at >= span.window.position:
            return {}
        return self._ends.undone(span.window.history.room_nid, span.at, span.window.position)

    def _only_needed(
        self, slots: dict[Slot, int], span: _Span, asker: Asker, named: Iterable[str], chain: Chain | None
    ) -> None:
        """Bring the memberships among the state to what lazy loading asks for.

        That is those of the senders and of whom the room is named after; with the whole state the asker's and no
        others, else those that the client was not told of yet, with all that changed.
        """
        wanted = {event.sender for event in span.events} | set(named)
        if span.whole:
            wanted.add(asker.user_id)
            for slot in [slot for slot in slots if slot[0] == MEMBER and slot[1] not in wanted]:
                del slots[slot]
            return
        undone = self._undone(span)
        for slot in ((MEMBER, user_id) for user_id in wanted):
            nid = undone.get(slot, span.window.snapshot.state.get(slot))
            if nid is not None and (chain is None or not chain.knows(span.window.history.room_nid, slot[1], nid)):
                slots.setdefault(slot, nid)

    async def _clients(self, slots: dict[Slot, int], span: _Span, options: Options) -> list[ClientEvent]:
        """The events of a state as the client wants them, without what the timeline before it tells already."""
        rule = options.filter.room.state
        if not slots or not rule.allows_room(span.window.history.room_id):
            return []
        clients = await self._store.many_clients(nid for nid in slots.values() if nid not in span.told)
        return [event for event in clients.values() if passes(rule, event)]


def _limit(rule: RoomEventRule) -> int:
    """How many events a timeline may have."""
    return max(0, min(TIMELINE if rule.limit is None else rule.limit, MOST_TIMELINE))
