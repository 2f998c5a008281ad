"""Taking into a room what was left out of a state that was told of it, for want of keys to check it with: when the room
was taken in, or when an event was set upon such a state.

The room went on meanwhile. What is good now takes its place in the present state, and in the states after the ends of
the graph, on which all that comes stands; unless something has that place by now that it does not follow. Older states
stay as they are: where one of them meets the present one, resolution finds it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event
from appliance.rooms.graph.appending import Draft
from appliance.rooms.graph.placing import members_after
from appliance.rooms.graph.storing import outlier_row
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.judging import check_vouchers
from appliance.rooms.incoming.verdicts import vouchers_first
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.events import NewEvent
from appliance.storage.state import Changes, Slot
from appliance.storage.waiting import LeftOut


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was left out, by what its signatures say now.

    Args:
        good: the events that are signed as they must be, those that allow others first.
        waiting: the ids of those that need the keys of yet another server, and which.
        in_state: the ids of those of the state.
        ids: the ids of all.
    """

    good: Sequence[Event]
    waiting: Mapping[str, str]
    in_state: frozenset[str]
    ids: Sequence[str]


class Completing:
    """Takes it in.

    Args:
        intake: what that takes.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def complete(self, room_id: str, server: str) -> list[str]:
        """Take in what was left out of a room for want of the keys of a server, which are here now.

        Returns:
            servers whose keys some of it needs besides.
        """
        left_out = await self._intake.holding.left_out(room_id, server)
        room = await self._intake.rooms.find(room_id)
        if not left_out or room is None:
            for one in left_out:
                await self._intake.holding.drop(one.event_id)
            return []
        checked = await self._check(room, left_out)
        while True:
            room = await self._intake.rooms.find(room_id)
            if room is None:
                return []
            async with room.lock:
                await room.settled()
                if self._intake.rooms.loaded(room_id) is not room:
                    continue
                committed = await self._take_in(room, checked)
            await committed
            return list(dict.fromkeys(checked.waiting.values()))

    async def _check(self, room: Room, left_out: Sequence[LeftOut]) -> _Checked:
        events = {one.event_id: Event.from_json(room.version, one.json, one.event_id) for one in left_out}
        signed = set(await self._intake.signatures.good_among(list(events.values())))
        good: dict[str, Event] = {}
        waiting: dict[str, str] = {}
        for event_id, event in events.items():
            if event_id in signed:
                good[event_id] = event if event.has_valid_content_hash else event.redacted()
            elif other := self._intake.signatures.lacking(event):
                waiting[event_id] = other
        in_state = frozenset(one.event_id for one in left_out if one.in_state)
        return _Checked(vouchers_first(good), waiting, in_state, list(events))

    async def _take_in(self, room: Room, checked: _Checked) -> "asyncio.Future[object]":
        """Submit what is good, with the room's lock held and nothing of it in flight."""
        events = {event.event_id: event for event in checked.good}
        wanted = events.keys() | {one for event in checked.good for one in event.auth_events}
        known = await self._intake.database.reading(lambda reader: event_rows.by_ids(reader, list(wanted)))
        here = {
            event_id: (row.nid, Event.from_json(room.version, row.json, event_id), bool(row.rejected))
            for event_id, row in known.items()
            if row.room_nid == room.nid
        }
        rows: list[NewEvent] = []
        changes: dict[Slot, tuple[int | None, int]] = {}
        came: dict[int, Event] = {}
        for event in checked.good:
            if event.event_id not in here:
                if event.event_id in known or any(one not in here for one in event.auth_events):
                    continue
                row = self._row(room, event, [here[one] for one in event.auth_events])
                rows.append(row)
                here[event.event_id] = (row.nid, event, row.rejected)
            nid, form, rejected = here[event.event_id]
            slot = (event.type, event.state_key or "")
            if event.event_id in checked.in_state and not rejected and self._may_have(room, slot, event, events):
                changes[slot] = (room.head.state.get(slot), nid)
                came[nid] = form
        return await self._submit(room, checked, rows, changes, came)

    def _may_have(self, room: Room, slot: Slot, event: Event, others: Mapping[str, Event]) -> bool:
        """Whether an event may have its place in the present state: nothing has it, or what it comes after, by what it
        and others that come with it name as allowing them, and the present state allows it.
        """
        nid = room.head.state.get(slot)
        if nid is None:
            return True
        present = self._intake.store.event(nid).event_id
        line, seen = [event], {event.event_id}
        for one in line:  # grows while it is walked
            if present in one.auth_events:
                return self._intake.judging.allows(room, event, room.head.state)
            line.extend(others[name] for name in one.auth_events if name in others and name not in seen)
            seen.update(one.auth_events)
        return False

    def _row(self, room: Room, event: Event, auth: Sequence[tuple[int, Event, bool]]) -> NewEvent:
        """An event as it is stored: without a place in the graph, rejected where what it names does not allow it."""
        bad = {one.event_id for _, one, rejected in auth if rejected}
        rejected = False
        try:
            check_vouchers(event, [one for _, one, _ in auth], room.create, bad.__contains__)
        except NotAllowed:
            rejected = True
        nids = tuple(nid for nid, _, _ in auth)
        return outlier_row(room.nid, self._intake.numbers.event(), event, nids, rejected=rejected)

    async def _submit(
        self, room: Room, checked: _Checked, rows: Sequence[NewEvent], changes: Changes, came: Mapping[int, Event]
    ) -> "asyncio.Future[object]":
        def settle(tx: Tx) -> None:
            event_rows.insert_outliers(tx, rows)
            for event_id in checked.ids:
                if event_id in checked.waiting:
                    self._intake.holding.still_left_out(tx, event_id, checked.waiting[event_id])
                else:
                    self._intake.holding.let_go(tx, event_id)

        if not changes:
            return asyncio.shield(self._intake.rooms.submit(room, settle))
        after = await self._states_after(room, changes)
        head, group_nid = room.head, self._intake.numbers.group()
        draft = Draft(room, self._intake.appender)
        with self._intake.store.knowing(came):
            state = {**head.state, **{slot: nid for slot, (_, nid) in changes.items() if nid is not None}}
            members = members_after(head.members, changes, self._intake.store)
            nid, event = next(iter(came.items()))
            draft.put_state(event, nid, head.with_state(group_nid, state, members), changes)

        def unit(tx: Tx) -> None:
            settle(tx)
            state_rows.insert_changed(tx, group_nid, room.nid, head.group_nid or None, changes)
            for end_nid, (after_nid, base_nid, lacking) in after.items():
                if base_nid != head.group_nid:
                    state_rows.insert_changed(tx, after_nid, room.nid, base_nid, lacking)
                state_rows.change_after(tx, end_nid, group_nid if base_nid == head.group_nid else after_nid)
            if len(head.extremities) > 1:
                room_rows.set_state_group(tx, room.nid, group_nid)

        return self._intake.appender.commit(draft, unit)

    async def _states_after(self, room: Room, changes: Changes) -> dict[int, tuple[int, int, Changes]]:
        """For each end of the graph: a number for the state after it, the number of that until now, and what is to be
        added to it.
        """
        found: dict[int, tuple[int, int, Changes]] = {}
        for end in room.head.extremities:
            groups = state_rows.groups_of(self._intake.database, end.nid)
            if groups is None:
                continue
            base = groups[1]
            held = (
                await self._intake.database.reading(lambda reader, nid=base: state_rows.group(reader, nid))  # type: ignore[misc]
                if base != room.head.group_nid
                else {}
            )
            lacking = {
                slot: (held.get(slot), nid)
                for slot, (before, nid) in changes.items()
                if held.get(slot) in (None, before)
            }
            found[end.nid] = (self._intake.numbers.group(), base, lacking)
        return found
