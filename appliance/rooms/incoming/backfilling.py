"""Taking in the past of a room: events before a hole in its history, as another server tells them.

They are checked as all others are: format (without the limits on what they name), signatures, hash, the events that
they name, and the state before them. That is worked out from the state before the earliest of them, which the other
server is asked for, unless it is known here. They get places before all that is here: positions below zero, and
orderings below those of what stands on them. Nothing of what the room is now changes, and nobody is told.

Where the state before an event cannot be had, it is judged by the events that it names alone and has no state; who may
see it is then judged with caution (``reading/visibility.py``), and what is to be built upon it needs its state told.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.graph.appending import Statement
from appliance.rooms.graph.placing import NewGroup, Placement, changes_between
from appliance.rooms.graph.storing import new_row, store_groups
from appliance.rooms.incoming.accepting import Accepting
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.lineage import Lineage, lineage
from appliance.rooms.incoming.naming import NeedsEvents, Unacceptable
from appliance.rooms.incoming.states import State, new_groups
from appliance.rooms.incoming.stating import state_of
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity, Step
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.events import EventRow, NewEvent
from appliance.storage.state import StateMap

MOST = 500
"""Events of one answer that are looked at."""
QUESTIONS = 5
"""How often another server is asked for a state on account of one answer."""
SLICE = 25
"""Events that are read or judged at one go, so that others get their turn: some three milliseconds."""


class Asked(Protocol):
    """The server that tells of the past."""

    async def bring(self, room_id: str, event_ids: Sequence[str]) -> None:
        """Have events here that others name as allowing them, by ``Accepting.accept_outliers``, as far as they can be
        had.
        """
        ...

    async def state_before(self, room_id: str, event_id: str) -> Sequence[str] | None:
        """The ids of the events of the state before an event; None where the server does not say."""
        ...


@dataclass(frozen=True, slots=True)
class _Placed:
    """An event with its place; its position comes from the writer.

    Args:
        has_state: whether the states around it are known.
        holes: the ids of what is missing before it.
    """

    event: Event
    place: Placement
    row: NewEvent
    rejected: bool
    has_state: bool
    holes: Sequence[str]


class Backfilling:
    """Takes in the past.

    Args:
        intake: what that takes.
        accepting: takes up what waited for it.
    """

    def __init__(self, intake: Intake, accepting: Accepting) -> None:
        self._intake = intake
        self._accepting = accepting

    async def take_in(self, room_id: str, pdus: Sequence[object], asked: Asked) -> list[str]:
        """Take in what another server answered to the question for the past of a room; durable when this returns.

        Args:
            room_id: the room.
            pdus: the events as they were received, in any order. What does not lead on from a hole is passed over.
            asked: the server, for what else is needed.

        Returns:
            the ids of the events that have their place in the timeline now, the latest first.

        Raises:
            Unacceptable: for an unknown room.
        """
        room = await self._intake.room(room_id)
        candidates = await self._signed(room, await self._read(room, pdus))
        found = lineage(self._intake.database, room, candidates)
        if found.unvouched:
            await asked.bring(room_id, sorted(set(found.unvouched).difference(candidates)))
            found = lineage(self._intake.database, room, candidates)
        told = await self._told(room, found, asked)
        while True:
            room = await self._intake.room(room_id)
            async with room.lock:
                await room.settled()
                if self._intake.rooms.loaded(room_id) is not room:
                    continue
                placed = await self._judged(room, lineage(self._intake.database, room, candidates), told)
                if not placed:
                    return []
                committed = self._submit(room, placed)
            await committed
            break
        for one in placed:
            await self._accepting.take_up(one.event.event_id)
        return [one.event.event_id for one in placed if not one.rejected]

    # What is told ------------------------------------------------------------------------------------------------

    async def _read(self, room: Room, pdus: Sequence[object]) -> dict[str, Event]:
        """Those that are events of the room, by their ids."""
        found: dict[str, Event] = {}
        for number, pdu in enumerate(pdus[:MOST]):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            with suppress(InvalidEvent):
                event = Event.from_pdu(room.version, pdu, limit_references=False)
                is_create = event.type == "m.room.create"
                if event.room_id == room.room_id and is_create == (event.event_id == room.create.event_id):
                    found.setdefault(event.event_id, event)
        return found

    async def _signed(self, room: Room, events: Mapping[str, Event]) -> dict[str, Event]:
        """Those that are signed as they must be; redacted where their hash is not good."""
        good = set(await self._intake.signatures.good_among(list(events.values())))
        found: dict[str, Event] = {}
        for number, (event_id, event) in enumerate(events.items()):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            if event_id in good:
                found[event_id] = event if event.has_valid_content_hash else event.redacted()
        return found

    async def _told(self, room: Room, found: Lineage, asked: Asked) -> dict[str, StateMap]:
        """The states before those events of which they cannot be told from their parents', the earliest first."""
        told: dict[str, StateMap] = {}
        rootless = [event for event in reversed(found.events.values()) if found.is_rootless(event)]
        for event in rootless[:QUESTIONS]:
            event_ids = await asked.state_before(room.room_id, event.event_id)
            if event_ids is None:
                continue
            try:
                try:
                    told[event.event_id] = await state_of(self._intake.database, room, event_ids)
                except NeedsEvents as needs:
                    await asked.bring(room.room_id, needs.missing)
                    told[event.event_id] = await state_of(self._intake.database, room, event_ids)
            except Unacceptable:
                continue
        return told

    # Judging -----------------------------------------------------------------------------------------------------

    async def _judged(self, room: Room, found: Lineage, told: Mapping[str, StateMap]) -> list[_Placed]:
        """The events with their places, the latest first; with the room's lock held."""
        orderings = found.orderings()
        placed: dict[str, _Placed] = {}
        rows = dict(found.rows)
        after: dict[str, State | None] = {}
        for number, event in enumerate(reversed(found.events.values())):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            known = rows.get(event.event_id)
            try:
                event = event if known is None else self._intake.form(known, event)
            except Unacceptable:
                continue
            nid = self._intake.numbers.event() if known is None else known.nid
            self._intake.store.hold(nid, event)
            before = state = await self._before(room, found, event, told, placed, after)
            rejected = self._is_rejected(room, event, rows, before) or (known is not None and bool(known.rejected))
            if before is not None and not rejected:
                state = self._intake.states.with_event(event, nid, before)
            after[event.event_id] = state
            place = self._place(room, event, nid, orderings[event.event_id], rows, before, state)
            row = new_row(room.nid, event, place, rejected=rejected)
            one = _Placed(event, place, row, rejected, before is not None, _holes(found, event, placed))
            placed[event.event_id] = one
            rows[event.event_id] = _row(one)
        return list(placed.values())[::-1]

    async def _before(
        self,
        room: Room,
        found: Lineage,
        event: Event,
        told: Mapping[str, StateMap],
        placed: Mapping[str, _Placed],
        after: Mapping[str, State | None],
    ) -> State | None:
        """The state before an event; None where it is not known."""
        if event.event_id in told:
            return await self._as_told(room, found, event, told[event.event_id])
        groups: set[int] = set()
        states: dict[int, State] = {}
        for parent in event.prev_events:
            if parent in found.events:
                state = after.get(parent)
                if state is None:
                    return None
                states[state.nid] = state
            elif parent in found.after:
                groups.add(found.after[parent])
            else:
                return None
        if not event.prev_events:
            return State(0, {})
        for state in await self._intake.states.stored(room, groups - states.keys()):
            states[state.nid] = state
        fresh = {one.place.nid: (one.event, one.place.auth) for one in placed.values()}
        return await self._intake.states.resolved(room, list(states.values()), fresh)

    async def _as_told(self, room: Room, found: Lineage, event: Event, state: StateMap) -> State:
        """A state that was told, stored as what differs from the one above the nearest hole."""
        above = min((one for ones in found.above.values() for one in ones), default=None)
        groups = None if above is None else state_rows.groups_of(self._intake.database, above[1])
        base = (await self._intake.states.stored(room, [groups[0] if groups else room.head.group_nid]))[0]
        changes = changes_between(base.state, state)
        if not changes:
            return base
        group = NewGroup(self._intake.numbers.group(), base.nid or None, changes)
        return State(group.nid, state, (group,))

    def _is_rejected(self, room: Room, event: Event, rows: Mapping[str, EventRow], before: State | None) -> bool:
        """Whether what an event names, or the state before it, does not allow it."""
        auth = [rows[one] for one in dict.fromkeys(event.auth_events) if one in rows]
        if len(auth) != len(set(event.auth_events)):
            return True
        try:
            self._intake.judging.check_vouchers(room, event, auth)
        except NotAllowed:
            return True
        return before is not None and not self._intake.judging.allows(room, event, before.state)

    @staticmethod
    def _place(
        room: Room,
        event: Event,
        nid: int,
        ordering: int,
        rows: Mapping[str, EventRow],
        before: State | None,
        after: State | None,
    ) -> Placement:
        parents = [rows[one] for one in dict.fromkeys(event.prev_events) if one in rows and not rows[one].outlier]
        ends = tuple(Extremity(row.nid, row.event_id, row.ordering) for row in parents)
        auth = tuple(rows[one].nid for one in dict.fromkeys(event.auth_events) if one in rows)
        if before is None or after is None:
            return Placement(nid, ends, auth, ordering, None, 0, 0, (), room.head, {}, apart=True)
        replaces = None if event.state_key is None else before.state.get((event.type, event.state_key))
        groups = new_groups(before, after)
        return Placement(nid, ends, auth, ordering, replaces, before.nid, after.nid, groups, room.head, {}, apart=True)

    # Storing -----------------------------------------------------------------------------------------------------

    def _submit(self, room: Room, placed: Sequence[_Placed]) -> "asyncio.Future[Any]":
        """Store events with their places; with the room's lock held."""
        steps = {one.place.nid: self._step(room, one) for one in placed if not one.rejected}
        statements = self._statements(placed, steps)

        def unit(tx: Tx) -> dict[int, int]:
            positions = {one.place.nid: tx.past_position() for one in placed if not one.rejected}
            stored: set[int] = set()
            for one in reversed(placed):
                event_rows.insert(tx, one.row, positions.get(one.place.nid))
                if one.has_state:
                    store_groups(tx, room.nid, one.place, stored)
                gaps.pass_on(tx, room.nid, one.event.event_id, one.holes if one.rejected else ())
                if one.holes and not one.rejected:
                    gaps.note(tx, room.nid, one.place.nid, one.place.ordering, positions[one.place.nid], one.holes)
                self._intake.holding.let_go(tx, one.event.event_id)
            for nid, statement in statements:
                statement(tx, positions[nid])
            return positions

        def published(positions: Mapping[int, int]) -> None:
            for one in placed:
                # It may have been read while it had no place.
                self._intake.store.forget(one.place.nid)
                step = steps.get(one.place.nid)
                if step is not None:
                    for contributor in self._intake.appender.past_contributors:
                        contributor.published_past(step, positions[one.place.nid])

        return asyncio.shield(self._intake.rooms.submit(room, unit, published))

    def _statements(self, placed: Sequence[_Placed], steps: Mapping[int, Step]) -> list[tuple[int, Statement]]:
        """What others have to store with the events, the earliest first, and redactions behind what they may aim at."""
        events = {one.place.nid: one.event for one in placed}
        shown = sorted(
            (one for one in reversed(placed) if not one.rejected), key=lambda one: one.event.type == "m.room.redaction"
        )
        found = []
        with self._intake.store.knowing(events, {one.event.event_id: _row(one) for one in shown}):
            for one in shown:
                step = steps[one.place.nid]
                for contributor in self._intake.appender.past_contributors:
                    statement = contributor.prepare_past(step)
                    if statement is not None:
                        found.append((one.place.nid, statement))
        return found

    @staticmethod
    def _step(room: Room, one: _Placed) -> Step:
        head, place = room.head, one.place
        return Step(
            room.nid, room.room_id, place.nid, one.event, head, head, {}, place.replaces_nid, ordering=place.ordering
        )


def _holes(found: Lineage, event: Event, placed: Mapping[str, _Placed]) -> tuple[str, ...]:
    """The ids of what is missing before an event; what is missing before a rejected parent counts as well."""
    holes = dict.fromkeys(found.lacking(event))
    for parent in event.prev_events:
        if parent in placed and placed[parent].rejected:
            holes.update(dict.fromkeys(placed[parent].holes))
        elif parent in found.events and parent not in placed:
            holes[parent] = None
    return tuple(holes)


def _row(one: _Placed) -> EventRow:
    """An event as it will be in the database, as far as it matters to those that come after it in the same unit."""
    row = one.row
    return EventRow(
        row.nid,
        row.event_id,
        row.room_nid,
        row.ordering,
        None,
        one.rejected,
        False,
        False,
        True,
        row.replaces_nid,
        row.json,
    )
