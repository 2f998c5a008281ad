"""The one way by which an event that was made elsewhere comes into a room.

Server-server API, "Checks performed on receipt of a PDU": its format; its signatures; its hash (a mismatch keeps the
redacted form); whether the events that it names allow it; whether the state before it does; whether the present state
does, too. What fails the fourth or the fifth is kept as rejected, what fails the last as soft-failed; neither is shown
to clients or built upon. A rejected event is no part of any state; a soft-failed one is part of the state after it,
which counts when somebody elsewhere has built upon it.

An event whose parents or auth events are not here waits in the database and is taken up when they come, also after a
restart (``holding.py``); so does one that cannot be checked, as a server that signed it does not tell its keys now.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from appliance.protocol import hashes
from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.graph.appending import Appender, Draft
from appliance.rooms.graph.endorsing import heard
from appliance.rooms.graph.merging import Merging
from appliance.rooms.graph.placing import Placement
from appliance.rooms.graph.storing import gap_before, new_row, store_groups
from appliance.rooms.incoming.holding import Holding
from appliance.rooms.incoming.judging import Judging, Named, NeedsEvents, State, Unacceptable
from appliance.rooms.incoming.verdicts import NeedsKeys, Outcome, Signatures, Verdict, vouchers_first
from appliance.rooms.room import Room, Rooms
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage.database import Database, Tx
from appliance.storage.errors import LaneBroken
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers

__all__ = ["Accepting", "NeedsEvents", "Signatures", "Unacceptable", "Verdict"]

SLICE = 25
"""Events that are read and judged at one go, so that others get their turn: some twelve milliseconds. What they store
goes to the writer together."""


class Accepting:
    """Takes events in.

    Args:
        database: where they go.
        numbers: gives row numbers.
        rooms: the rooms in memory.
        store: the events in memory.
        appender: brings accepted events into the database.
        judging: finds and judges what events name.
        holding: keeps events that wait.
        signatures: checks who signed.

    Attributes:
        keys_wanted: called with a server for whose keys an event waits, and with the one that sent the event.
    """

    def __init__(
        self,
        database: Database,
        numbers: Numbers,
        rooms: Rooms,
        store: EventStore,
        appender: Appender,
        judging: Judging,
        holding: Holding,
        signatures: Signatures,
    ) -> None:
        self._database = database
        self._numbers = numbers
        self._rooms = rooms
        self._store = store
        self._appender = appender
        self._judging = judging
        self._holding = holding
        self._signatures = signatures
        self._merging = Merging(appender)
        self.keys_wanted: list[Callable[[str, str], None]] = []
        self._unknown = ("", 0)  # the last event that was found not to be here, and how many batches had ended by then

    async def accept(self, room_id: str, pdu: dict[str, Any], origin: str = "") -> Verdict:
        """Judge an event and keep it as the verdict says; durable when this returns. Then take up what waited for it.

        Args:
            room_id: the room that it is said to belong to.
            pdu: the event as it was received.
            origin: the server that sent it.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: for an unknown room, bad signatures, and events of another room.
        """
        (outcome,) = await self.accept_many(room_id, (pdu,), origin)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def accept_many(self, room_id: str, pdus: Sequence[object], origin: str = "") -> list[Outcome]:
        """Judge events of one room in the order in which they are given, as ``accept`` does; all are durable when this
        returns. They are committed together as far as each goes on from the one before it.

        Args:
            room_id: the room.
            pdus: the events as they were received.
            origin: the server that sent them.

        Returns:
            for each what became of it, or why it was refused.
        """
        outcomes: list[Outcome] = []
        underway: list[tuple[int, Event, asyncio.Future[Any]]] = []
        for number, pdu in enumerate(pdus):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            try:
                event = await self._new(room_id, pdu)
                verdict, committed = (Verdict.KNOWN, None) if event is None else await self._begin(event, origin)
            except NeedsKeys as needs:
                outcomes.append(await self._wait_for_keys(needs, origin))
                continue
            except (InvalidEvent, Unacceptable) as refusal:
                outcomes.append(refusal)
                continue
            outcomes.append(verdict)
            if event is not None and committed is not None:
                underway.append((number, event, committed))
        await asyncio.gather(*(committed for _, _, committed in underway), return_exceptions=True)
        for number, event, committed in underway:
            outcomes[number] = await self._ended(event, origin, outcomes[number], committed)
        for _, event, _ in underway:
            await self.take_up(event.event_id)
        return outcomes

    async def accept_outlier(self, room_id: str, pdu: dict[str, Any]) -> Verdict:
        """Keep an event that others name as allowing them, without a place in the graph.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: as ``accept``; ``NeedsEvents`` where what it names as allowing it is not here.
        """
        room = await self._room(room_id)
        event = self.read(room, pdu)
        if self.known(room, event) is not None:
            return Verdict.KNOWN
        event = await self.checked(event)
        verdict = await self._take(event, as_outlier=True)
        if verdict is not Verdict.KNOWN:
            await self.take_up(event.event_id)
        return verdict

    async def accept_outliers(self, room_id: str, pdus: Sequence[object]) -> int:
        """Keep events that others name as allowing them, in any order; what cannot be kept is passed over.

        Args:
            room_id: the room.
            pdus: the events as they were received.

        Returns:
            how many of them are here now.

        Raises:
            Unacceptable: for an unknown room.
        """
        room = await self._room(room_id)
        events: dict[str, Event] = {}
        for pdu in pdus:
            with suppress(InvalidEvent, Unacceptable):
                event = self.read(room, pdu)
                events.setdefault(event.event_id, event)
        here = 0
        for event in vouchers_first(events):
            with suppress(InvalidEvent, Unacceptable):
                await self.accept_outlier(room_id, event.pdu)
                here += 1
        return here

    async def look(self) -> None:
        """Take up what waits for events that are here by now: after a start."""
        last = ""
        while found := await self._holding.due(last):
            for last in found:
                if await self._again(last):
                    await self.take_up(last)

    # Steps -------------------------------------------------------------------------------------------------------

    @staticmethod
    def read(room: Room, pdu: object) -> Event:
        """An event whose format is that of the room's version, and which belongs to the room."""
        event = Event.from_pdu(room.version, pdu)
        if event.room_id != room.room_id:
            raise Unacceptable("The event belongs to another room.")
        return event

    async def checked(self, event: Event) -> Event:
        """An event that is signed as it must be; redacted where its hash is not."""
        if not await self._signatures.are_good(event):
            server = self._signatures.lacking(event)
            raise NeedsKeys(event, server) if server else Unacceptable("The event is not signed as it must be.")
        return event if event.has_valid_content_hash else event.redacted()

    async def _new(self, room_id: str, pdu: object) -> Event | None:
        """An event that was checked; None for one that is here already."""
        room = await self._room(room_id)
        event = self.read(room, pdu)
        known = self.known(room, event)
        if known is None:
            self._unknown = (event.event_id, self._database.deliveries)
        elif not known.outlier:
            return None
        return await heard(self._appender.endorsing, room, await self.checked(event))

    async def _wait_for_keys(self, needs: NeedsKeys, origin: str) -> Verdict:
        """Put down an event that cannot be checked now."""
        await self._holding.hold_for_keys(needs.event, origin, needs.server)
        for listener in self.keys_wanted:
            listener(needs.server, origin)
        return Verdict.WAITING

    async def _begin(self, event: Event, origin: str) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        """Judge an event and submit what is to be stored of it, or put it down to wait."""
        while True:
            try:
                return await self._submit(event)
            except NeedsEvents as needs:
                await self._holding.hold(event, origin, needs.missing)
                # What it waits for may have come just before it was put down, and found nobody waiting.
                if self._judging.missing(event):
                    return Verdict.WAITING, None

    async def _ended(
        self, event: Event, origin: str, outcome: Outcome, committed: "asyncio.Future[Any] | None"
    ) -> Outcome:
        """What became of an event in the end.

        Where what it was built upon failed on its way into the database, the room is read anew and all is done again.
        """
        for last_try in (False, False, True):
            try:
                if committed is not None:
                    await committed
            except LaneBroken:
                if last_try:
                    raise
            else:
                return outcome
            try:
                outcome, committed = await self._begin(event, origin)
            except (InvalidEvent, Unacceptable) as refusal:
                return refusal
        raise AssertionError("unreachable")

    async def _take(self, event: Event, *, as_outlier: bool = False) -> Verdict:
        """Judge an event that was checked, and store what is to be stored of it, more than once if need be."""
        for last_try in (False, False, True):
            verdict, committed = await self._submit(event, as_outlier=as_outlier)
            try:
                if committed is not None:
                    await committed
            except LaneBroken:
                if last_try:
                    raise
            else:
                return verdict
        raise AssertionError("unreachable")

    async def _submit(self, event: Event, *, as_outlier: bool = False) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        """Judge an event that was checked, and submit what is to be stored of it; there may be nothing to wait for."""
        while True:
            room = await self._room(event.room_id)
            async with room.lock:
                if self._rooms.loaded(event.room_id) is not room:
                    continue
                named = None if as_outlier else self._at_the_end(room, event)
                if named is not None:
                    return await self.settle(room, event, None, named, State(room.head.group_nid, room.head.state))
                # What it names may be on its way into the database, or may fail on it: then the room is read anew.
                await room.settled()
                if self._rooms.loaded(event.room_id) is not room:
                    continue
                return self._judged_outlier(room, event) if as_outlier else await self._judged(room, event)

    def _at_the_end(self, room: Room, event: Event) -> Named | None:
        """What an event names, where it goes on from the end of a room as it is in memory and is not here yet."""
        if room.closed_in_flight or self._store.is_underway(event.event_id):
            return None
        named = self._judging.at_the_end(room, event)
        # What was not here before still is not: nothing has ended since, and what is in flight is known to the store.
        is_new = self._unknown == (event.event_id, self._database.deliveries)
        return named if named is not None and (is_new or self.known(room, event) is None) else None

    async def _judged(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        known = self.known(room, event)
        if known is not None and not known.outlier:
            return Verdict.KNOWN, None
        named = self._judging.named(room, event)
        before = await self._judging.state_before(room, named.parents)
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
        judging = self._judging
        nid = self._numbers.event() if known is None else known.nid
        event = event if known is None else self.form(known, event)
        self._store.hold(nid, event)
        verdict = self._verdict(room, event, named, before)
        # What was rejected as an outlier stays rejected.
        if verdict is Verdict.REJECTED or (known is not None and known.rejected):
            place = judging.aside(room, event, nid, named, before, counts=False)
            return Verdict.REJECTED, self._keep_aside(room, event, place, Verdict.REJECTED)
        if verdict is Verdict.SOFT_FAILED:
            place = judging.aside(room, event, nid, named, before, counts=True)
            return verdict, self._keep_aside(room, event, place, verdict)
        place = await judging.placed(room, event, nid, named, before)
        draft = Draft(room, self._appender)
        draft.put(event, place, gap=gap_before(room.nid, place, named.lacking))
        came = self._coming(room, event, may_fill=not named.at_the_end)
        committed = self._appender.commit(draft, came, is_open=True)
        self._merging.look(room)
        return verdict, committed

    def _verdict(self, room: Room, event: Event, named: Named, before: State) -> Verdict:
        """What the events that an event names, the state before it and the current state say of it."""
        judging = self._judging
        try:
            judging.check_vouchers(room, event, named.auth)
        except NotAllowed:
            return Verdict.REJECTED
        # At the end both states hold what it names in all places that matter, and that allows it.
        if not named.of_the_end and not judging.allows(room, event, before.state):
            return Verdict.REJECTED
        current = named.of_the_end or before.state is room.head.state or judging.allows(room, event, room.head.state)
        wanting = self._appender.endorsing.wants(room, room.head, event)
        return Verdict.ACCEPTED if current and not wanting else Verdict.SOFT_FAILED

    def _judged_outlier(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        if self.known(room, event) is not None:
            return Verdict.KNOWN, None
        named = self._judging.named(room, event, as_outlier=True)
        verdict = Verdict.ACCEPTED
        try:
            self._judging.check_vouchers(room, event, named.auth)
        except NotAllowed:
            verdict = Verdict.REJECTED
        auth = named.auth_nids(room)
        place = Placement(self._numbers.event(), (), auth, event.depth, None, 0, 0, (), room.head, {})
        row = new_row(room.nid, event, place, rejected=verdict is Verdict.REJECTED, outlier=True)
        stored = self._rooms.submit(room, lambda tx: event_rows.insert(tx, row, None))
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

        return asyncio.shield(self._rooms.submit(room, unit))

    def _coming(self, room: Room, event: Event, *, may_fill: bool = True) -> Callable[[Tx], None] | None:
        """What the unit that gives an event its place says to others: it waits no longer, and is missing no longer."""
        waits = self._holding.may_wait()
        if not waits and not may_fill:
            return None

        def came(tx: Tx) -> None:
            if waits:
                self._holding.let_go(tx, event.event_id)
            if may_fill:
                gaps.fill(tx, room.nid, event.event_id)

        return came

    # What is here ------------------------------------------------------------------------------------------------

    def known(self, room: Room, event: Event) -> EventRow | None:
        """The stored row of an event. In room versions 1 and 2 servers choose the ids of their events themselves."""
        known = event_rows.by_id(self._database, event.event_id)
        if known is not None and known.room_nid != room.nid:
            raise Unacceptable("Another room has an event of the same id.")
        return known

    def form(self, known: EventRow, event: Event) -> Event:
        """The form in which an outlier gets its place: the stored one, unless that was spoilt on its way to us.

        Raises:
            Unacceptable: where it is another event under the same id.
        """
        stored = Event.from_json(event.version, known.json, event.event_id)
        if hashes.reference_hash(event.version, stored.pdu) != hashes.reference_hash(event.version, event.pdu):
            raise Unacceptable("The event has the id of another one.")
        spoilt = not stored.has_valid_content_hash and event.has_valid_content_hash
        return event if spoilt and not event_rows.redactions_of(self._database, [event.event_id]) else stored

    async def _room(self, room_id: str) -> Room:
        room = await self._rooms.find(room_id)
        if room is None:
            raise Unacceptable("This server is not in that room.")
        return room

    # What waited -------------------------------------------------------------------------------------------------

    async def take_up(self, event_id: str) -> None:
        """Take up what waited for an event, and for those in turn; a list and no recursion, since others choose it."""
        arrived = [event_id]
        while arrived:
            for waiting in await self._holding.ready(arrived.pop()):
                if await self._again(waiting):
                    arrived.append(waiting)

    async def _again(self, event_id: str) -> bool:
        """Judge an event that waited; whether it is here now. What it is was checked before it was put down."""
        waiting = self._holding.waiting(event_id)
        if waiting is None:
            return False
        try:
            room = await self._room(waiting.room_id)
            verdict = await self._take(Event.from_json(room.version, waiting.json, event_id))
        except NeedsEvents as needs:
            await self._holding.wait_for(event_id, needs.missing)
            return False
        except Unacceptable:
            await self._holding.drop(event_id)
            return False
        if verdict is Verdict.KNOWN:
            await self._holding.drop(event_id)
        return True
