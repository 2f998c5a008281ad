"""Taking in a room through another server that is in it: what follows a join there (server-server API, "Joining
Rooms").

The other server tells the state before the join and what allows it. What of that is good is stored without places in
the graph, the join with its place on top of that state, and a gap before it, since what it stands on is not here. All
of it is one unit: after it the room is there as a whole, or nothing of it is.

A room that people of this server were in before is brought up to date so: the state is that which was told, and the
graph goes on from the join, mostly from that alone (``resuming.py``). Where somebody of this server is in the room
still, nothing is replaced: the event becomes one more end of the graph, on top of the state that was told. The same
helps where too much is missing between what is here and an event that comes in.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from appliance.protocol.auth import NotAllowed
from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.protocol.versions import RoomVersion
from appliance.rooms.acts.creation import EMPTY
from appliance.rooms.graph.appending import Identity
from appliance.rooms.graph.placing import NewGroup, changes_between
from appliance.rooms.graph.storing import outlier_row
from appliance.rooms.incoming.accepting import Accepting, Verdict
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.naming import NeedsEvents, Unacceptable
from appliance.rooms.incoming.resuming import Outliers, Resuming
from appliance.rooms.incoming.settling import Settling
from appliance.rooms.incoming.states import State
from appliance.rooms.incoming.vetting import Told, Vetted, Vetting
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import rooms as room_rows
from appliance.storage.database import Reader, Tx
from appliance.storage.events import NewEvent
from appliance.storage.rooms import RoomRow

log = logging.getLogger("hearth.federation")

SLICE = 500
"""Rows that are made at one go, so that others get their turn: some three milliseconds."""


class Arriving:
    """Takes rooms in.

    Args:
        intake: what that takes.
        settling: judges events in rooms that are here.
        accepting: takes up what waited for them.
        identity: whose users count as being here.
        kept: keeps a room from being purged meanwhile, and waits until an earlier purge of it is over.

    Attributes:
        keys_wanted: called as ``Accepting.keys_wanted`` is, for what was left out of a room.
    """

    def __init__(
        self,
        intake: Intake,
        settling: Settling,
        accepting: Accepting,
        identity: Identity,
        kept: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        self._intake = intake
        self._settling = settling
        self._accepting = accepting
        self._identity = identity
        self._vetting = Vetting(intake.signatures)
        self._resuming = Resuming(intake, identity)
        self._kept = kept
        self.keys_wanted: list[Callable[[str, str], None]] = []

    async def arrive(self, told: Told, pdu: dict[str, Any]) -> Room:
        """Take a room in after a join through another server; durable when this returns.

        Args:
            told: the state before the join, and what allows it.
            pdu: the join, with all signatures that it needs.

        Returns:
            the room, with the user in it.

        Raises:
            InvalidEvent: for a join that is none by its format.
            Unacceptable: where the join is not good or not allowed, or what was told cannot be believed.
        """
        async with self._kept(told.room_id):
            join = await self._join(told, pdu)
            vetted = await self._vet(told)
            try:
                vetted.check(join)
            except NotAllowed as refusal:
                raise Unacceptable(f"The join is not allowed: {refusal}") from refusal
            while (room := await self._arrived(told, vetted, join)) is None:
                pass
        self._want_keys(told.room_id, vetted)
        if self._intake.holding.may_wait():
            await self._accepting.look()
        return room

    async def bridge(self, told: Told, pdu: dict[str, Any]) -> Verdict:
        """Take in an event whose parents are not all here, on top of the state before it as another server tells it.

        Args:
            told: that state, and what allows it.
            pdu: the event.

        Raises:
            InvalidEvent: for what breaks the format of the room's version.
            Unacceptable: for an unknown room, bad signatures, or where what was told cannot be believed.
        """
        room = await self._intake.room(told.room_id)
        event = await self._intake.checked(self._intake.read(room, pdu))
        vetted = await self._vet(told)
        verdict = await self._bridged(told.room_id, vetted, event)
        self._want_keys(told.room_id, vetted)
        await self._accepting.take_up(event.event_id)
        return verdict

    # What was told -----------------------------------------------------------------------------------------------

    async def _join(self, told: Told, pdu: dict[str, Any]) -> Event:
        join = Event.from_pdu(told.version, pdu)
        if join.room_id != told.room_id or join.membership != "join" or join.state_key != join.sender:
            raise Unacceptable("The event is not a join to that room.")
        if not join.prev_events:
            raise Unacceptable("The join stands on nothing.")
        if not join.has_valid_content_hash or not await self._intake.signatures.are_good(join):
            raise Unacceptable("The join is not signed as it must be.")
        return join

    async def _vet(self, told: Told) -> Vetted:
        row = room_rows.by_id(self._intake.database, told.room_id)
        here = await self._intake.rooms.find(told.room_id)
        if row is not None and here is not None and row.version != told.version.identifier:
            raise Unacceptable("The room has another version than the other server says.")

        def read(reader: Reader, event_ids: Sequence[str]) -> dict[str, tuple[Event, bool] | None]:
            return {
                event_id: (Event.from_json(told.version, found.json, event_id), bool(found.rejected))
                if row is not None and found.room_nid == row.room_nid
                else None
                for event_id, found in event_rows.by_ids(reader, event_ids).items()
            }

        async def lookup(event_ids: Sequence[str]) -> dict[str, tuple[Event, bool] | None]:
            if row is None and _are_its_own(told.version):
                return {}
            return await self._intake.database.reading(lambda reader: read(reader, event_ids))

        vetted = await self._vetting.vet(told, lookup)
        room = await self._intake.rooms.find(told.room_id)
        if room is not None and room.create.event_id != vetted.create.event_id:
            raise Unacceptable("The room has another create event than the other server says.")
        return vetted

    async def _outliers(self, room: Room, vetted: Vetted, *, is_unheard_of: bool = False) -> Outliers:
        """What was told as rows with numbers, each higher than the numbers of what allows it.

        Args:
            room: the room.
            vetted: what was told.
            is_unheard_of: whether the room has no number yet, so that no event of it is here.
        """
        nids: dict[str, int] = {}
        if not (is_unheard_of and _are_its_own(room.version)):
            nids = await self._intake.database.reading(lambda reader: event_rows.nids_of(reader, list(vetted.events)))
        known = frozenset(nids)
        rows: list[NewEvent] = []
        events: dict[int, Event] = {}
        for number, (event_id, event) in enumerate(vetted.events.items()):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            if event_id in known:
                continue
            nid = nids[event_id] = self._intake.numbers.event()
            auth = tuple([nids[other] for other in event.auth_events])
            rows.append(outlier_row(room.nid, nid, event, auth, rejected=event_id in vetted.rejected))
            events[nid] = event
        return Outliers(nids, rows, events, {slot: nids[event_id] for slot, event_id in vetted.state.items()})

    # Places ------------------------------------------------------------------------------------------------------

    async def _arrived(self, told: Told, vetted: Vetted, join: Event) -> Room | None:
        """Take the room in; None where it came or went meanwhile, and all is to be looked at anew."""
        room = await self._intake.rooms.find(told.room_id)
        if room is None:
            return await self._made(told, vetted, join)
        async with room.lock:
            await room.settled()
            if self._intake.rooms.loaded(told.room_id) is not room:
                return None
            if not self._is_lived_in(room):
                known = self._intake.known(room, join)
                if known is not None and not known.outlier:
                    raise Unacceptable("The join has been used before.")
                outliers = await self._outliers(room, vetted)
                left_out = self._leaving_out(told.room_id, vetted)
                nid = None if known is None else known.nid
                if ends := self._resuming.unheard_of(room, vetted, join):
                    committed = await self._resuming.go_on_beside(room, ends, outliers, join, nid, left_out)
                else:
                    committed = self._resuming.go_on(room, outliers, join, nid, left_out)
                await committed
                return room
        await self._bridged(told.room_id, vetted, join)
        room = await self._intake.rooms.find(told.room_id)
        # It may be here already, and may have been refused then.
        if room is None or room.head.members.of(join.sender) != "join":
            raise Unacceptable("The join is not allowed by what is known of the room here.")
        return room

    def _is_lived_in(self, room: Room) -> bool:
        """Whether somebody of this server is in a room, so that it was followed until now."""
        here = self._identity.server_name
        return any(server_of(user_id) == here for user_id in room.head.members.having("join"))

    async def _made(self, told: Told, vetted: Vetted, join: Event) -> Room | None:
        """Take in a room that is not here."""
        create = vetted.create
        # Somebody may have been invited to it before: then it has a number.
        known = room_rows.by_id(self._intake.database, told.room_id)
        nid = self._intake.numbers.room() if known is None else known.room_nid
        row = RoomRow(nid, told.room_id, told.version.identifier, create.sender, create.origin_server_ts)
        room = Room(row, EMPTY, 0, self._intake.store, create)
        self._intake.store.know_room(room.nid, room.version)
        outliers = await self._outliers(room, vetted, is_unheard_of=known is None)
        # From here on there is no waiting until the room is in memory: nobody else can have taken it in.
        if (
            self._intake.rooms.loaded(told.room_id) is not None
            or room_rows.by_id(self._intake.database, told.room_id) != known
        ):
            return None
        self._intake.rooms.add(room)
        insert = room_rows.insert if known is None else room_rows.settle_in
        left_out = self._leaving_out(told.room_id, vetted)

        def first(tx: Tx) -> None:
            insert(tx, row)
            left_out(tx)

        await self._resuming.go_on(room, outliers, join, self._number(join), first)
        return room

    def _leaving_out(self, room_id: str, vetted: Vetted, *, anew: bool = True) -> Callable[[Tx], None]:
        """What keeps in the room's unit what was left out of it."""
        if vetted.left_out:
            self._intake.holding.leaves_out()
        return lambda tx: self._intake.holding.leave_out(tx, room_id, vetted.left_out, anew=anew)

    def _want_keys(self, room_id: str, vetted: Vetted) -> None:
        """Say whose keys what was left out waits for."""
        for server in dict.fromkeys(one.server for one in vetted.left_out):
            log.info("Some of the state of %s waits for the keys of %s.", room_id, server)
            for listener in self.keys_wanted:
                listener(server, server)

    def _number(self, join: Event) -> int | None:
        """The number of a join, where it is here already."""
        found = event_rows.by_id(self._intake.database, join.event_id)
        return None if found is None else found.nid

    async def _bridged(self, room_id: str, vetted: Vetted, event: Event) -> Verdict:
        """Judge an event by a state that was told, in a room that is followed, and store what is to be stored."""
        while True:
            room = await self._intake.room(room_id)
            async with room.lock:
                await room.settled()
                if self._intake.rooms.loaded(room_id) is not room:
                    continue
                verdict, committed = await self._set_upon(room, vetted, event)
            if committed is not None:
                await committed
            return verdict

    async def _set_upon(self, room: Room, vetted: Vetted, event: Event) -> "tuple[Verdict, asyncio.Future[Any] | None]":
        """Store what was told and set an event upon it, with the room's lock held."""
        known = self._intake.known(room, event)
        if known is not None and not known.outlier:
            return Verdict.KNOWN, None
        outliers = await self._outliers(room, vetted)
        left_out = self._leaving_out(room.room_id, vetted, anew=False)

        def unit(tx: Tx) -> None:
            left_out(tx)
            event_rows.insert_outliers(tx, outliers.rows)

        await asyncio.shield(self._intake.rooms.submit(room, unit))
        auth = event_rows.by_ids(self._intake.database, event.auth_events)
        missing = [event_id for event_id in event.auth_events if event_id not in auth]
        if missing:
            raise NeedsEvents("Not all that allows the event is here.", missing)
        changes = changes_between(room.head.state, outliers.state)
        group = NewGroup(self._intake.numbers.group(), room.head.group_nid or None, changes)
        before = State(group.nid, outliers.state, (group,))
        named = self._resuming.named(room, event, list(auth.values()))
        return await self._settling.settle(room, event, known, named, before)


def _are_its_own(version: RoomVersion) -> bool:
    """Whether no two rooms of a version can have events of the same id, as it is a hash of what they are."""
    return version.event_ids != "field"
