"""The one way by which an event that was made elsewhere comes into a room.

Server-server API, "Checks performed on receipt of a PDU": its format; its signatures; its hash (a mismatch keeps the
redacted form); whether the events that it names allow it; whether the state before it does; whether the present state
does, too. What fails the fourth or the fifth is kept as rejected, what fails the last as soft-failed; neither is shown
to clients or built upon. A rejected event is no part of any state; a soft-failed one is part of the state after it,
which counts when somebody elsewhere has built upon it.

An event whose parents or auth events are not here waits in the database and is taken up when they come, also after a
restart (``holding.py``).
"""

import asyncio
import enum
from typing import Any, Protocol

from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event
from appliance.rooms.appending import Appender, Draft, new_row, store_groups
from appliance.rooms.holding import Holding
from appliance.rooms.judging import Judging, NeedsEvents, Unacceptable
from appliance.rooms.placing import Placement
from appliance.rooms.room import Room, Rooms
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage.database import Database, Tx
from appliance.storage.numbers import Numbers

__all__ = ["Accepting", "NeedsEvents", "Unacceptable", "Verdict"]


class Verdict(enum.Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """It was here already; nothing changed."""
    REJECTED = "rejected"
    SOFT_FAILED = "soft failed"
    WAITING = "waiting"
    """It waits for events that it names."""


class Signatures(Protocol):
    """Checks signatures; federation knows the keys."""

    async def are_good(self, event: Event) -> bool:
        """Whether every server that must have signed an event did so with a key that was valid then."""
        ...


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
        event = await self._checked(room_id, pdu)
        try:
            verdict = await self._take(event)
        except NeedsEvents as needs:
            await self._holding.hold(event, pdu, origin, needs.missing)
            return Verdict.WAITING
        if verdict is not Verdict.KNOWN:
            await self._take_up(event.event_id)
        return verdict

    async def accept_outlier(self, room_id: str, pdu: dict[str, Any]) -> Verdict:
        """Keep an event that others name as allowing them, without a place in the graph.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: as ``accept``; ``NeedsEvents`` where what it names as allowing it is not here.
        """
        event = await self._checked(room_id, pdu)
        room = await self._room(room_id)
        async with room.lock:
            if event_rows.by_id(self._database, event.event_id) is not None:
                return Verdict.KNOWN
            auth = self._judging.known(room, event.auth_events, "auth events")
            verdict = Verdict.ACCEPTED
            try:
                self._judging.check_vouchers(room, event, auth)
            except NotAllowed:
                verdict = Verdict.REJECTED
            place = Placement(
                self._numbers.event(), (), tuple(row.nid for row in auth), event.depth, None, 0, 0, (), room.head, {}
            )
            row = new_row(room.nid, event, place, rejected=verdict is Verdict.REJECTED, outlier=True)
            stored = self._database.submit(lambda tx: event_rows.insert(tx, row, None), lane=room.lane)
        await stored
        await self._take_up(event.event_id)
        return verdict

    async def look(self) -> None:
        """Take up what waits for events that are here by now: after a start."""
        last = ""
        while found := self._holding.due(last):
            for waiting in found:
                last = waiting.event_id
                if await self._again(waiting.room_id, last, waiting.json):
                    await self._take_up(last)

    # Steps -------------------------------------------------------------------------------------------------------

    async def _checked(self, room_id: str, pdu: dict[str, Any]) -> Event:
        """An event whose format, room, signatures and hash are as they must be; redacted where the hash is not."""
        room = await self._room(room_id)
        event = Event.from_pdu(room.version, pdu)
        if event.room_id != room_id:
            raise Unacceptable("The event belongs to another room.")
        if not await self._signatures.are_good(event):
            raise Unacceptable("The event is not signed as it must be.")
        return event if event.has_valid_content_hash else event.redacted()

    async def _take(self, event: Event) -> Verdict:
        """Judge an event that was checked, and store what is to be stored of it."""
        while True:
            room = await self._room(event.room_id)
            async with room.lock:
                # What it names may be on its way into the database, or may fail on it: then the room is read anew.
                await room.settled()
                if self._rooms.loaded(event.room_id) is not room:
                    continue
                verdict, committed = await self._judged(room, event)
            if committed is not None:
                await committed
            return verdict

    async def _judged(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        judging = self._judging
        known = event_rows.by_id(self._database, event.event_id)
        if known is not None and not known.outlier:
            return Verdict.KNOWN, None
        parents = judging.parents(room, event)
        auth = judging.known(room, event.auth_events, "auth events")
        before = await judging.state_before(room, parents)
        nid = self._numbers.event() if known is None else known.nid
        self._store.hold(nid, event)
        nids = tuple(row.nid for row in auth)
        try:
            judging.check_vouchers(room, event, auth)
            allowed = judging.allows(room, event, before.state)
        except NotAllowed:
            allowed = False
        # What was rejected as an outlier stays rejected.
        if not allowed or (known is not None and known.rejected):
            place = judging.aside(room, event, nid, parents, nids, before, counts=False)
            return Verdict.REJECTED, self._keep_aside(room, event, place, Verdict.REJECTED)
        if not judging.allows(room, event, room.head.state):
            place = judging.aside(room, event, nid, parents, nids, before, counts=True)
            return Verdict.SOFT_FAILED, self._keep_aside(room, event, place, Verdict.SOFT_FAILED)
        place = await judging.placed(room, event, nid, parents, nids, before)
        draft = Draft(room, self._appender)
        draft.put(event, place)
        return Verdict.ACCEPTED, self._appender.commit(draft, lambda tx: self._holding.let_go(tx, event.event_id))

    def _keep_aside(self, room: Room, event: Event, place: Placement, verdict: Verdict) -> "asyncio.Future[None]":
        """Keep an event that was not accepted: in the graph, without a place in the timeline."""
        row = new_row(
            room.nid,
            event,
            place,
            rejected=verdict is Verdict.REJECTED,
            soft_failed=verdict is Verdict.SOFT_FAILED,
        )

        def unit(tx: Tx) -> None:
            event_rows.insert(tx, row, None)
            store_groups(tx, room.nid, place)
            self._holding.let_go(tx, event.event_id)

        return self._database.submit(unit, lane=room.lane)

    async def _take_up(self, event_id: str) -> None:
        """Take up what waited for an event, and for those in turn; a list and no recursion, since others choose it."""
        arrived = [event_id]
        while arrived:
            for waiting in self._holding.waiting_for(arrived.pop()):
                if await self._again(waiting.room_id, waiting.event_id, waiting.json):
                    arrived.append(waiting.event_id)

    async def _again(self, room_id: str, event_id: str, json: bytes) -> bool:
        """Judge an event that waited; whether it is here now."""
        try:
            event = await self._checked(room_id, self._holding.pdu(json))
            if await self._take(event) is Verdict.KNOWN:
                await self._holding.drop(event_id)
        except NeedsEvents as needs:
            await self._holding.wait_for(event_id, needs.missing)
            return False
        except Unacceptable:
            await self._holding.drop(event_id)
            return False
        return True

    async def _room(self, room_id: str) -> Room:
        room = await self._rooms.find(room_id)
        if room is None:
            raise Unacceptable("This server is not in that room.")
        return room
