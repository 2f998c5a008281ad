"""Judging an event that was checked, and storing what is to be stored of it, under the lock of its room.

Server-server API, "Checks performed on receipt of a PDU", the last three: whether the events that it names allow it;
whether the state before it does; whether the present state does, too. What fails the first or the second is kept as
rejected, what fails the last as soft-failed; neither is shown to clients or built upon. A rejected event is no part of
any state; a soft-failed one is part of the state after it, which counts when somebody elsewhere has built upon it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event
from appliance.rooms.graph.appending import Draft
from appliance.rooms.graph.merging import Merging
from appliance.rooms.graph.placing import Placement
from appliance.rooms.graph.storing import gap_before, new_row, outlier_row, store_groups
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.naming import Named
from appliance.rooms.incoming.states import State
from appliance.rooms.incoming.verdicts import Verdict
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage.database import Tx
from appliance.storage.events import EventRow


class Settling:
    """Judges and stores.

    Args:
        intake: what that takes.

    Attributes:
        merging: joins the ends of the graph once there are many.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.merging = Merging(intake.appender)
        # The events that were found not to be here when last looked for, and how many batches had ended by then.
        self._unknown: frozenset[str] = frozenset()
        self._looked = 0

    def look_for(self, event_ids: Sequence[str]) -> None:
        """Find out at once which of a few events are not here: that is asked of each of them, twice."""
        database = self._intake.database
        self._unknown = frozenset(event_ids).difference(event_rows.nids_of(database, event_ids))
        self._looked = database.deliveries

    def is_new(self, event: Event) -> bool:
        """Whether it is known that an event is not here, without looking: it was not when it was last looked for, and
        no batch has ended since. It may be on its way.
        """
        return self._looked == self._intake.database.deliveries and event.event_id in self._unknown

    async def submit(self, event: Event, *, as_outlier: bool = False) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        """Judge an event that was checked, and submit what is to be stored of it; there may be nothing to wait for."""
        while True:
            room = await self._intake.room(event.room_id)
            async with room.lock:
                if self._intake.rooms.loaded(event.room_id) is not room:
                    continue
                named = None if as_outlier else self._at_the_end(room, event)
                if named is not None:
                    return await self.settle(room, event, None, named, State(room.head.group_nid, room.head.state))
                # What it names may be on its way into the database, or may fail on it: then the room is read anew.
                await room.settled()
                if self._intake.rooms.loaded(event.room_id) is not room:
                    continue
                return self._judged_outlier(room, event) if as_outlier else await self._judged(room, event)

    def _at_the_end(self, room: Room, event: Event) -> Named | None:
        """What an event names, where it goes on from the end of a room as it is in memory and is not here yet."""
        if room.closed_in_flight or self._intake.store.is_underway(event.event_id):
            return None
        named = self._intake.naming.at_the_end(room, event)
        if named is None or self.is_new(event):  # what is in flight is known to the store
            return named
        return named if self._intake.known(room, event) is None else None

    async def _judged(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        known = self._intake.known(room, event)
        if known is not None and not known.outlier:
            return Verdict.KNOWN, None
        named = self._intake.naming.named(room, event)
        before = await self._intake.states.before(room, named.parents)
        return await self.settle(room, event, known, named, before)

    async def settle(
        self, room: Room, event: Event, known: EventRow | None, named: Named, before: State
    ) -> "tuple[Verdict, asyncio.Future[Any]]":
        """Judge an event by a state before it, and submit what is to be stored of it; with the room's lock held.

        Args:
            room: the room, with nothing in flight but what the event stands on.
            event: the event, which was checked.
            known: its row, where it is here as an outlier.
            named: what it names.
            before: the state before it.

        Returns:
            the verdict, and a future that ends with the commit.
        """
        places = self._intake.places
        nid = self._intake.numbers.event() if known is None else known.nid
        event = event if known is None else self._intake.form(known, event)
        self._intake.store.hold(nid, event)
        verdict = self._verdict(room, event, named, before)
        # What was rejected as an outlier stays rejected.
        if verdict is Verdict.REJECTED or (known is not None and known.rejected):
            place = places.aside(room, event, nid, named, before, counts=False)
            return Verdict.REJECTED, self._keep_aside(room, event, place, Verdict.REJECTED)
        if verdict is Verdict.SOFT_FAILED:
            place = places.aside(room, event, nid, named, before, counts=True)
            return verdict, self._keep_aside(room, event, place, verdict)
        place = await places.placed(room, event, nid, named, before)
        draft = Draft(room, self._intake.appender)
        draft.put(event, place, gap=gap_before(room.nid, place, named.lacking))
        came = self._coming(room, event, may_fill=not named.at_the_end)
        committed = self._intake.appender.commit(draft, came, is_open=True)
        self.merging.look(room)
        return verdict, committed

    def _verdict(self, room: Room, event: Event, named: Named, before: State) -> Verdict:
        """What the events that an event names, the state before it and the current state say of it."""
        judging = self._intake.judging
        if named.of_the_end:
            # Both states hold what it names in all places that matter, and nothing else there: all three are one.
            if not judging.allows(room, event, room.head.state):
                return Verdict.REJECTED
            current = True
        else:
            try:
                judging.check_vouchers(room, event, named.auth)
            except NotAllowed:
                return Verdict.REJECTED
            if not judging.allows(room, event, before.state):
                return Verdict.REJECTED
            current = before.state is room.head.state or judging.allows(room, event, room.head.state)
        wanting = self._intake.appender.endorsing.wants(room, room.head, event)
        return Verdict.ACCEPTED if current and not wanting else Verdict.SOFT_FAILED

    def _judged_outlier(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        if self._intake.known(room, event) is not None:
            return Verdict.KNOWN, None
        named = self._intake.naming.named(room, event, as_outlier=True)
        verdict = Verdict.ACCEPTED
        try:
            self._intake.judging.check_vouchers(room, event, named.auth)
        except NotAllowed:
            verdict = Verdict.REJECTED
        nid, auth = self._intake.numbers.event(), tuple(named.auth_nids(room))
        row = outlier_row(room.nid, nid, event, auth, rejected=verdict is Verdict.REJECTED)
        stored = self._intake.rooms.submit(room, lambda tx: event_rows.insert(tx, row, None))
        return verdict, asyncio.shield(stored)

    def _keep_aside(self, room: Room, event: Event, place: Placement, verdict: Verdict) -> "asyncio.Future[None]":
        """Keep an event that was not accepted: in the graph, without a place in the timeline."""
        rejected, soft_failed = verdict is Verdict.REJECTED, verdict is Verdict.SOFT_FAILED
        row = new_row(room.nid, event, place, rejected=rejected, soft_failed=soft_failed)
        came = self._coming(room, event)

        def unit(tx: Tx) -> None:
            event_rows.insert(tx, row, None)
            store_groups(tx, room.nid, place)
            if came is not None:
                came(tx)

        return asyncio.shield(self._intake.rooms.submit(room, unit))

    def _coming(self, room: Room, event: Event, *, may_fill: bool = True) -> Callable[[Tx], None] | None:
        """What the unit that gives an event its place says to others: it waits no longer, and is missing no longer."""
        waits = self._intake.holding.may_wait()
        if not waits and not may_fill:
            return None

        def came(tx: Tx) -> None:
            if waits:
                self._intake.holding.let_go(tx, event.event_id)
            if may_fill:
                gaps.fill(tx, room.nid, event.event_id)

        return came
