"""The one way by which an event that was made elsewhere comes into a room.

Server-server API, "Checks performed on receipt of a PDU": its format; its signatures; its hash (a mismatch keeps the
redacted form); whether the events that it names allow it; whether the state before it does; whether the present state
does, too. What fails the fourth or the fifth is kept as rejected, what fails the last as soft-failed; neither is shown
to clients, built upon, or becomes state.

An event may stand on any number of parents. Where their states are the same, that is the state before it; parents
whose states differ need state resolution, which this server has not learnt yet: such an event is refused, not guessed.
"""

import asyncio
import enum
from collections.abc import Sequence
from typing import Any, Protocol

from appliance.protocol.auth import NotAllowed, check_auth_events, check_event
from appliance.protocol.events import Event
from appliance.rooms.appending import Appender, Draft, new_row, ordering_after
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Tx
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers
from appliance.storage.state import StateMap


class Verdict(enum.Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """It was here already; nothing changed."""
    REJECTED = "rejected"
    SOFT_FAILED = "soft failed"


class Unacceptable(Exception):  # noqa: N818 - a verdict, not a mishap
    """An event that is not kept at all, with a sentence that says why."""


class NeedsEvents(Unacceptable):
    """Events that it names are not here.

    Args:
        missing: their ids.
    """

    def __init__(self, message: str, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class NeedsResolution(Unacceptable):
    """Its parents, or the ends of the room with it, have states that differ."""


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
        signatures: checks who signed.
    """

    def __init__(
        self,
        database: Database,
        numbers: Numbers,
        rooms: Rooms,
        store: EventStore,
        appender: Appender,
        signatures: Signatures,
    ) -> None:
        self._database = database
        self._numbers = numbers
        self._rooms = rooms
        self._store = store
        self._appender = appender
        self._signatures = signatures

    async def accept(self, room_id: str, pdu: dict[str, Any]) -> Verdict:
        """Judge an event and keep it as the verdict says; durable when this returns.

        Args:
            room_id: the room that it is said to belong to.
            pdu: the event as it was received.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: for an unknown room, bad signatures, events of another room, unknown parents or auth events,
                and states that would have to be resolved.
        """
        room = await self._room(room_id)
        event = Event.from_pdu(room.version, pdu)
        if event.room_id != room_id:
            raise Unacceptable("The event belongs to another room.")
        if not await self._signatures.are_good(event):
            raise Unacceptable("The event is not signed as it must be.")
        if not event.has_valid_content_hash:
            event = event.redacted()
        verdict, committed = await self._take(event)
        await committed
        return verdict

    async def _take(self, event: Event) -> "tuple[Verdict, asyncio.Future[Any]]":
        """Judge an event whose format, signatures and hash were checked, and submit what is to be stored of it."""
        while True:
            room = await self._room(event.room_id)
            async with room.lock:
                # What it names may be on its way into the database, or may fail on it: then the room is read anew.
                await room.settled()
                if self._rooms.loaded(event.room_id) is room:
                    return self._judged(room, event)

    def _judged(self, room: Room, event: Event) -> "tuple[Verdict, asyncio.Future[Any]]":
        if event_rows.by_id(self._database, event.event_id) is not None:
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return Verdict.KNOWN, done
        parents = self._parents(room, event)
        auth = self._known(room, event.auth_events, "auth events")
        before_nid, before = self._state_before(room, parents)
        verdict = self._judge(room, event, auth, before)
        nids = tuple(row.nid for row in auth)
        if verdict is not Verdict.ACCEPTED:
            return verdict, self._keep_aside(room, event, parents, nids, before_nid, verdict)
        self._refuse_forks_of_state(room, event, parents, before_nid)
        draft = Draft(room, self._appender)
        draft.put(event, parents, nids)
        return verdict, self._appender.commit(draft)

    async def _room(self, room_id: str) -> Room:
        room = await self._rooms.find(room_id)
        if room is None:
            raise Unacceptable("This server is not in that room.")
        return room

    # Judging -----------------------------------------------------------------------------------------------------

    def _judge(self, room: Room, event: Event, auth: Sequence[EventRow], before: StateMap) -> Verdict:
        auth_events = list(self._store.events(row.nid for row in auth).values())
        rejected = {row.event_id for row in auth if row.rejected}
        by_slot = {(one.type, one.state_key or ""): one for one in auth_events}
        try:
            check_auth_events(event, auth_events, room.create, rejected.__contains__)
            check_event(event, lambda event_type, key: by_slot.get((event_type, key)), room.create)
            self._check(room, event, before)
        except NotAllowed:
            return Verdict.REJECTED
        try:
            self._check(room, event, room.head.state)
        except NotAllowed:
            return Verdict.SOFT_FAILED
        return Verdict.ACCEPTED

    def _check(self, room: Room, event: Event, state: StateMap) -> None:
        def lookup(event_type: str, state_key: str) -> Event | None:
            nid = state.get((event_type, state_key))
            return None if nid is None else self._store.event(nid)

        check_event(event, lookup, room.create)

    def _state_before(self, room: Room, parents: Sequence[Extremity]) -> tuple[int, StateMap]:
        """The group and the state that the parents agree on."""
        head = room.head
        if {parent.nid for parent in parents} == {end.nid for end in head.extremities}:
            return head.group_nid, head.state
        groups = {state_rows.groups_of(self._database, parent.nid) for parent in parents}
        after = {group[1] for group in groups if group is not None}
        if len(after) != 1 or None in groups:
            raise NeedsResolution("The event's parents have states that differ, and this server cannot resolve them.")
        group_nid = after.pop()
        return group_nid, head.state if group_nid == head.group_nid else state_rows.group(self._database, group_nid)

    def _refuse_forks_of_state(self, room: Room, event: Event, parents: Sequence[Extremity], before_nid: int) -> None:
        """Refuse what leaves the room with ends whose states differ."""
        head = room.head
        covered = {parent.nid for parent in parents}
        if all(end.nid in covered for end in head.extremities):
            return
        if event.is_state or before_nid != head.group_nid:
            raise NeedsResolution("The event would fork the room's state, and this server cannot resolve that.")

    # What it names -----------------------------------------------------------------------------------------------

    def _parents(self, room: Room, event: Event) -> list[Extremity]:
        rows = self._known(room, event.prev_events, "parents")
        if not rows:
            raise Unacceptable("The event stands on nothing, and the room has its first event already.")
        if any(row.rejected and state_rows.groups_of(self._database, row.nid) is None for row in rows):
            raise Unacceptable("The event stands on one that has no place in the graph.")
        return [Extremity(row.nid, row.event_id, row.ordering) for row in rows]

    def _known(self, room: Room, event_ids: Sequence[str], what: str) -> list[EventRow]:
        """The rows of events that an event names, all of which must be here and of this room."""
        found = [row for row in (event_rows.by_id(self._database, one) for one in event_ids) if row is not None]
        missing = sorted(set(event_ids) - {row.event_id for row in found})
        if missing:
            raise NeedsEvents(f"The event's {what} are not all here.", missing)
        if any(row.room_nid != room.nid for row in found):
            raise Unacceptable(f"The event names {what} of another room.")
        return found

    # What is not accepted ----------------------------------------------------------------------------------------

    def _keep_aside(
        self,
        room: Room,
        event: Event,
        parents: Sequence[Extremity],
        auth: Sequence[int],
        before_nid: int,
        verdict: Verdict,
    ) -> "asyncio.Future[None]":
        """Keep an event that was not accepted: in the graph, without a place in timeline or state."""
        row = new_row(
            room.nid,
            self._numbers.event(),
            event,
            ordering_after(parents, event.depth),
            [parent.nid for parent in parents],
            auth,
            rejected=verdict is Verdict.REJECTED,
            soft_failed=verdict is Verdict.SOFT_FAILED,
        )

        def unit(tx: Tx) -> None:
            event_rows.insert(tx, row, None)
            state_rows.set_event_groups(tx, row.nid, before_nid, before_nid)

        return self._database.submit(unit, lane=room.lane)
