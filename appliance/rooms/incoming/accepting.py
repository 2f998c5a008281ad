"""The one way by which an event that was made elsewhere comes into a room.

Server-server API, "Checks performed on receipt of a PDU": its format; its signatures; its hash (a mismatch keeps the
redacted form); then whether it is allowed, which ``settling.py`` finds out.

An event whose parents or auth events are not here waits in the database and is taken up when they come, also after a
restart (``holding.py``); so does one that cannot be checked, as a server that signed it does not tell its keys now.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.graph.endorsing import heard
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.naming import NeedsEvents, Unacceptable
from appliance.rooms.incoming.settling import Settling
from appliance.rooms.incoming.verdicts import NeedsKeys, Outcome, Signatures, Verdict, vouchers_first
from appliance.storage.errors import LaneBroken

T = TypeVar("T")
__all__ = ["Accepting", "NeedsEvents", "Signatures", "Unacceptable", "Verdict"]

log = logging.getLogger("hearth.rooms")

SLICE = 25
"""Events that are read and judged at one go, so that others get their turn: some twelve milliseconds. What they store
goes to the writer together."""


class Accepting:
    """Takes events in.

    Args:
        intake: what that takes.
        settling: judges and stores what was checked.

    Attributes:
        keys_wanted: called with a server for whose keys an event waits, and with the one that sent the event.
    """

    def __init__(self, intake: Intake, settling: Settling) -> None:
        self._intake = intake
        self._settling = settling
        self.keys_wanted: list[Callable[[str, str], None]] = []

    async def accept(
        self, room_id: str, pdu: dict[str, Any], origin: str = "", submitted: Callable[[Verdict], None] | None = None
    ) -> Verdict:
        """Judge an event and keep it as the verdict says; durable when this returns. Then take up what waited for it.

        Args:
            room_id: the room that it is said to belong to.
            pdu: the event as it was received.
            origin: the server that sent it.
            submitted: called once it is on its way into the database, for what can be done meanwhile; it may be judged
                anew afterwards.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: for an unknown room, bad signatures, and events of another room.
        """
        (outcome,) = await self.accept_many(room_id, (pdu,), origin, submitted)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def accept_many(
        self,
        room_id: str,
        pdus: Sequence[object],
        origin: str = "",
        submitted: Callable[[Verdict], None] | None = None,
    ) -> list[Outcome]:
        """Judge events of one room in the order in which they are given, as ``accept`` does; all are durable when this
        returns. They are committed together as far as each goes on from the one before it.

        Args:
            room_id: the room.
            pdus: the events as they were received.
            origin: the server that sent them.
            submitted: as for ``accept``, for each.

        Returns:
            for each what became of it, or why it was refused.
        """
        outcomes: list[Outcome] = []
        underway: list[tuple[int, Event, asyncio.Future[Any]]] = []
        for start in range(0, len(pdus), SLICE):
            if start:
                await asyncio.sleep(0)
            for read in await self._read(room_id, pdus[start : start + SLICE]):
                if not isinstance(read, Event):
                    outcomes.append(read)
                    continue
                try:
                    event = await self._new(read)
                    verdict, committed = (Verdict.KNOWN, None) if event is None else await self._begin(event, origin)
                except NeedsKeys as needs:
                    outcomes.append(await self._wait_for_keys(needs, origin))
                    continue
                except (InvalidEvent, Unacceptable) as refusal:
                    outcomes.append(refusal)
                    continue
                if event is not None and committed is not None:
                    underway.append((len(outcomes), event, committed))
                    if submitted is not None:
                        submitted(verdict)
                outcomes.append(verdict)
        await asyncio.gather(*(committed for _, _, committed in underway), return_exceptions=True)
        for number, event, committed in underway:
            outcomes[number] = await self._ended(event, origin, outcomes[number], committed)
        if self._intake.holding.may_wait():
            for _, event, _ in underway:
                await self.take_up(event.event_id)
        return outcomes

    async def accept_outlier(self, room_id: str, pdu: dict[str, Any]) -> Verdict:
        """Keep an event that others name as allowing them, without a place in the graph.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: as ``accept``; ``NeedsEvents`` where what it names as allowing it is not here.
        """
        room = await self._intake.room(room_id)
        event = self._intake.read(room, pdu)
        if self._intake.known(room, event) is not None:
            return Verdict.KNOWN
        event = await self._intake.checked(event)
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
        room = await self._intake.room(room_id)
        events: dict[str, Event] = {}
        for pdu in pdus:
            with suppress(InvalidEvent, Unacceptable):
                event = self._intake.read(room, pdu)
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
        while found := await self._intake.holding.due(last):
            for last in found:
                try:
                    if await self._again(last):
                        await self.take_up(last)
                except Exception:
                    log.exception("An event that waited could not be taken up; the others are.")

    # Steps -------------------------------------------------------------------------------------------------------

    async def _read(self, room_id: str, pdus: Sequence[object]) -> list[Event | InvalidEvent | Unacceptable]:
        """Events of which the format was checked, and why others are refused; which of them are new is looked up for
        all at once.
        """
        try:
            room = await self._intake.room(room_id)
        except Unacceptable as refusal:
            return [refusal] * len(pdus)
        found: list[Event | InvalidEvent | Unacceptable] = []
        for pdu in pdus:
            try:
                found.append(self._intake.read(room, pdu))
            except (InvalidEvent, Unacceptable) as refusal:
                found.append(refusal)
        self._settling.look_for([one.event_id for one in found if isinstance(one, Event)])
        return found

    async def _new(self, event: Event) -> Event | None:
        """An event that was checked; None for one that is here already."""
        room = await self._intake.room(event.room_id)
        if not self._settling.is_new(event):
            known = self._intake.known(room, event)
            if known is not None and not known.outlier:
                return None
        return await heard(self._intake.appender.endorsing, room, await self._intake.checked(event))

    async def _wait_for_keys(self, needs: NeedsKeys, origin: str) -> Verdict:
        """Put down an event that cannot be checked now."""
        await self._intake.holding.hold_for_keys(needs.event, origin, needs.server)
        for listener in self.keys_wanted:
            listener(needs.server, origin)
        return Verdict.WAITING

    async def _begin(self, event: Event, origin: str) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        """Judge an event and submit what is to be stored of it, or put it down to wait."""
        while True:
            try:
                return await self._settling.submit(event)
            except NeedsEvents as needs:
                await self._intake.holding.hold(event, origin, needs.missing)
                # What it waits for may have come just before it was put down, and found nobody waiting.
                if self._intake.naming.missing(event):
                    return Verdict.WAITING, None

    async def _ended(
        self, event: Event, origin: str, outcome: Outcome, committed: "asyncio.Future[Any] | None"
    ) -> Outcome:
        """What became of an event in the end."""
        try:
            return await _lasting((outcome, committed), lambda: self._begin(event, origin))
        except (InvalidEvent, Unacceptable) as refusal:
            return refusal

    async def _take(self, event: Event, *, as_outlier: bool = False) -> Verdict:
        """Judge an event that was checked, and store what is to be stored of it."""

        def submit() -> "Awaitable[tuple[Verdict, asyncio.Future[Any] | None]]":
            return self._settling.submit(event, as_outlier=as_outlier)

        return await _lasting(await submit(), submit)

    # What waited -------------------------------------------------------------------------------------------------

    async def take_up(self, event_id: str) -> None:
        """Take up what waited for an event, and for those in turn; a list and no recursion, since others choose it."""
        arrived = [event_id]
        while arrived:
            for waiting in await self._intake.holding.ready(arrived.pop()):
                if await self._again(waiting):
                    arrived.append(waiting)

    async def _again(self, event_id: str) -> bool:
        """Judge an event that waited; whether it is here now. What it is was checked before it was put down."""
        waiting = self._intake.holding.waiting(event_id)
        if waiting is None:
            return False
        try:
            room = await self._intake.room(waiting.room_id)
            verdict = await self._take(Event.from_json(room.version, waiting.json, event_id))
        except NeedsEvents as needs:
            await self._intake.holding.wait_for(event_id, needs.missing)
            return False
        except (InvalidEvent, Unacceptable):
            await self._intake.holding.drop(event_id)
            return False
        if verdict is Verdict.KNOWN:
            await self._intake.holding.drop(event_id)
        return True


async def _lasting(
    begun: "tuple[T, asyncio.Future[Any] | None]",
    again: "Callable[[], Awaitable[tuple[T, asyncio.Future[Any] | None]]]",
) -> T:
    """What came out of something once its unit, if it has one, is committed. Where what that was built upon failed on
    its way into the database, the room is read anew and all is done again, twice at most.
    """
    for last_try in (False, False, True):
        outcome, committed = begun
        try:
            if committed is not None:
                await committed
        except LaneBroken:
            if last_try:
                raise
        else:
            return outcome
        begun = await again()
    raise AssertionError("unreachable")
