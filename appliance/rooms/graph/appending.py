"""Putting events onto the end of a room: drafts, the unit that stores them, and who else has something to say.

A *draft* builds events one on another against the room's head and moves the head only when all of them passed. Their
rows, and whatever contributors add, are one unit of the writer. What follows from an event (memberships, transaction
ids, redactions) is a contributor's part of that unit; none of it can be lost by a kill.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from appliance.errors import MatrixError, forbidden
from appliance.protocol.auth import NotAllowed, auth_event_slots, check_event
from appliance.protocol.client_form import client_bytes
from appliance.protocol.events import Event
from appliance.rooms.graph.building import Builder, Identity
from appliance.rooms.graph.contributing import Contributor, PastContributor, Statement
from appliance.rooms.graph.endorsing import MOST_TIMES, Endorsing, NeedsEndorsement, NobodyEndorses, endorsed_form
from appliance.rooms.graph.placing import Placement, on_top
from appliance.rooms.graph.storing import store_event
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MAX_PARENTS, Extremity, Snapshot, Step, Transaction
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.errors import LaneBroken
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers
from appliance.storage.state import Changes

__all__ = ["Appender", "Beside", "Contributor", "Draft", "Identity", "PastContributor", "Pending", "Statement"]

log = logging.getLogger("hearth.rooms")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pending:
    """A checked event on its way into the database; without a client form where it is only what one brings along.

    Args:
        is_open: whether all that it does to the room can be seen from the head and the event; not so for redactions.
    """

    step: Step
    client: ClientEvent | None
    statement: Statement
    is_open: bool = False


class Draft:
    """Events being built one on another, on the head of a room.

    Args:
        room: the room; its lock is held by the caller.
        appender: what the draft is built with.
        endorsed: events that were built before, and that the room's policy server has spoken well of since.

    Attributes:
        beside: what goes before it in the same unit: a room that is only being made.
    """

    def __init__(self, room: Room, appender: "Appender", endorsed: Sequence[Event] = ()) -> None:
        self.room = room
        self._endorsed = endorsed
        self.snapshot: Snapshot = room.head
        self.pending: list[Pending] = []
        self.beside: Beside | None = None
        self._appender = appender

    def state_event(self, event_type: str, state_key: str = "") -> Event | None:
        """The event in a slot of the state as drafted so far."""
        return self.room.state_event(self.snapshot, event_type, state_key)

    def add(
        self,
        event_type: str,
        sender: str,
        content: dict[str, Any],
        state_key: str | None = None,
        *,
        redacts: str | None = None,
        transaction: Transaction | None = None,
    ) -> Event:
        """Build an event, judge it by the state it comes after, and put it into the draft.

        Args:
            event_type: its type.
            sender: who sends it, a local user.
            content: its content.
            state_key: its state key, for a state event.
            redacts: the event that it redacts.
            transaction: the client's request that it answers.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the authorisation rules refuse it, ``M_TOO_LARGE``, ``M_BAD_JSON``.
        """
        parents = self.snapshot.extremities[:MAX_PARENTS]
        slots = auth_event_slots(
            self.room.version, type=event_type, sender=sender, state_key=state_key, content=content
        )
        auth = tuple(self.snapshot.state[slot] for slot in slots if slot in self.snapshot.state)
        event = self._appender.builder.build(self.room, parents, auth, event_type, sender, content, state_key, redacts)
        self.judge(event)
        event = endorsed_form(self._appender.endorsing, self.room, self.snapshot, event, self._endorsed)
        self.put_on_top(event, parents, auth, transaction)
        return event

    def judge(self, event: Event) -> None:
        """Refuse an event that the state as drafted so far does not allow; raises as ``add``."""
        try:
            check_event(event, self.state_event, self.room.create)
        except NotAllowed as refusal:
            raise forbidden(str(refusal)) from refusal

    def put_on_top(
        self,
        event: Event,
        parents: Sequence[Extremity] = (),
        auth: Sequence[int] = (),
        transaction: Transaction | None = None,
    ) -> None:
        """Put an event that was judged onto the end of the draft.

        Args:
            event: the event.
            parents: the ends of the graph that it stands on.
            auth: the numbers of the events that it names as those that allow it.
            transaction: the client's request that it answers.
        """
        numbers = self._appender.numbers
        self.put(event, on_top(self.snapshot, event, numbers.event(), parents, auth, numbers.group), transaction)

    def put(
        self, event: Event, place: Placement, transaction: Transaction | None = None, gap: Statement | None = None
    ) -> None:
        """Put an event that was judged into its place.

        Args:
            event: the event.
            place: where it stands.
            transaction: the client's request that it answers.
            gap: what notes that events that it names as its parents are not here, if any are not.
        """
        pending = self._appender.pend(self.room, self.snapshot, event, place, transaction, gap)
        self.snapshot = place.after
        self.pending.append(pending)

    def put_state(self, event: Event, nid: int, after: Snapshot, changes: Changes) -> None:
        """Put the state that an event brings along from elsewhere before the event itself.

        Args:
            event: the event.
            nid: its number.
            after: the room with that state; the ends of the graph are as they were.
            changes: the slots that differ.
        """
        self.pending.append(self._appender.pend_state(self.room, self.snapshot, event, nid, after, changes))
        self.snapshot = after


@dataclass(frozen=True, slots=True)
class Beside:
    """A draft of a room that is only being made, and what goes before its events, such as the room's own row."""

    draft: Draft
    first: Callable[[Tx], None]


class Appender:
    """Builds events and brings them into the database.

    Args:
        numbers: gives row numbers.
        rooms: the rooms in memory.
        store: the events in memory.
        identity: as whom this server signs.
        now_ms: the time, milliseconds since 1970.
        contributors: who adds to an event's unit, in this order.

    Attributes:
        builder: builds our own events.
        endorsing: asks the policy servers of rooms.
        form: gives the form in which an event is stored: emptied where it was redacted before it came.
    """

    def __init__(
        self,
        numbers: Numbers,
        rooms: Rooms,
        store: EventStore,
        identity: Identity,
        now_ms: Callable[[], int],
        contributors: Sequence[Contributor],
    ) -> None:
        self.numbers = numbers
        self.builder = Builder(store, identity, now_ms)
        self._rooms = rooms
        self._store = store
        self._identity = identity
        self._contributors = contributors
        self.endorsing: Endorsing = NobodyEndorses()
        self.form: Callable[[Event], Event] = lambda event: event
        self.past_contributors = [one for one in contributors if isinstance(one, PastContributor)]

    @property
    def server_name(self) -> str:
        """As whom events are made here."""
        return self._identity.server_name

    async def append(self, room_id: str, work: Callable[[Draft], T]) -> T:
        """Do some work on a draft of a room and make its events durable.

        Where another event of the room failed in the same commit, the room is read anew and the work done once more.

        Args:
            room_id: the room.
            work: adds events to the draft; whatever it returns is returned. It must not wait.

        Raises:
            MatrixError: what the work raises; ``M_FORBIDDEN`` for a room that is not known.
        """
        endorsed: list[Event] = []
        broken = 0
        while broken < 2 and len(endorsed) <= MOST_TIMES:
            room = await self._rooms.find(room_id)
            if room is None:
                raise forbidden("You are not in this room.")
            try:
                async with room.lock:
                    if self._rooms.loaded(room_id) is not room:
                        continue  # it made place for others, or failed, while its lock was waited for
                    draft = Draft(room, self, endorsed)
                    result = work(draft)
                    committed = self.commit(draft)
                await committed
            except NeedsEndorsement as needs:
                endorsed.append(await self.endorsing.endorse(room, needs.event))
            except LaneBroken:
                broken += 1
                if broken == 2:
                    raise
            else:
                return result
        raise MatrixError("M_UNKNOWN", "The room moved on while its policy server was asked: please try again.", 503)

    def commit(
        self, draft: Draft, first: Callable[[Tx], None] | None = None, *, is_open: bool | None = None
    ) -> "asyncio.Future[Any]":
        """Move the room's head to the end of a draft and submit its unit.

        Args:
            draft: with its room's lock held.
            first: a statement that goes before the events, such as the room's own row.
            is_open: whether that changes nothing that others look for; see ``Rooms.submit``.

        Returns:
            a future that ends with the commit; waiting for it may be given up without harm to the unit.
        """
        if not draft.pending:
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        room, beside = draft.room, draft.beside
        drafts = [draft] if beside is None else [beside.draft, draft]
        pending = [(each.room, one) for each in drafts for one in each.pending]
        for each in drafts:
            each.room.head = each.snapshot

        def unit(tx: Tx) -> list[int]:
            if first is not None:
                first(tx)
            if beside is not None:
                beside.first(tx)
            positions = []
            for _, one in pending:
                position = tx.position()
                one.statement(tx, position)
                positions.append(position)
            return positions

        def published(positions: list[int]) -> None:
            for (where, one), position in zip(pending, positions, strict=True):
                self._publish(where, one, position)

        for _, one in pending:
            if one.client is not None:
                self._store.under_way(_row(one.client, one.step.event))
        is_open = (first is None and beside is None if is_open is None else is_open) and all(
            one.is_open for _, one in pending
        )
        future = self._rooms.submit(room, unit, published, is_open=is_open)
        if beside is not None:
            self._rooms.add(beside.draft.room)
            self._rooms.follow(beside.draft.room, future)
        future.add_done_callback(lambda done: self._settle([one for _, one in pending], done))
        return asyncio.shield(future)

    def pend(
        self,
        room: Room,
        before: Snapshot,
        event: Event,
        place: Placement,
        transaction: Transaction | None = None,
        gap: Statement | None = None,
    ) -> Pending:
        """Gather all that the unit of an event will store, which was found good and has its place."""
        nid, event = place.nid, self.form(event)
        step = Step(
            room.nid,
            room.room_id,
            nid,
            event,
            before,
            place.after,
            place.changes,
            place.replaces_nid,
            transaction,
            place.ordering,
            gap is not None,
        )
        self._store.hold(nid, event)
        statements = self._prepared(step)
        if gap is not None:
            statements.append(gap)

        def store(tx: Tx, position: int) -> None:
            store_event(tx, room.nid, event, place, before, position)
            for statement in statements:
                statement(tx, position)

        client = ClientEvent(
            nid=nid,
            event_id=event.event_id,
            room_nid=room.nid,
            type=event.type,
            state_key=event.state_key,
            sender=event.sender,
            ordering=place.ordering,
            position=None,
            apart=place.apart,
            timestamp=event.origin_server_ts,
            replaces_nid=place.replaces_nid,
            redacted_by=None,
            body=client_bytes(event),
        )
        return Pending(step, client, store, gap is None and event.type != "m.room.redaction")

    def pend_state(
        self, room: Room, before: Snapshot, event: Event, nid: int, after: Snapshot, changes: Changes
    ) -> Pending:
        """Gather what the unit of an event will store of the state that it brings along."""
        step = Step(room.nid, room.room_id, nid, event, before, after, changes, None)
        statements = self._prepared(step)

        def store(tx: Tx, position: int) -> None:
            state_rows.change_current(tx, room.nid, position, changes)
            for statement in statements:
                statement(tx, position)

        return Pending(step, None, store)

    def _prepared(self, step: Step) -> list[Statement]:
        prepared = [contributor.prepare(step) for contributor in self._contributors]
        return [statement for statement in prepared if statement is not None]

    def _publish(self, room: Room, one: Pending, position: int) -> None:
        room.published = one.step.after
        room.position = position
        if one.client is not None:
            self._store.published(one.client.at(position))
        for contributor in self._contributors:
            try:
                contributor.published(one.step, position)
            except Exception:
                # What the others keep in memory must not suffer for it: it would differ from the database for good.
                log.exception("What follows the event %s failed.", one.step.event.event_id)

    def _settle(self, pending: Sequence[Pending], done: "asyncio.Future[Any]") -> None:
        """After the unit: where it failed, its events never came to be."""
        failed = done.cancelled() or done.exception() is not None
        for one in pending:
            self._store.settled(one.step.event.event_id)
            if failed:
                self._store.forget(one.step.nid)


def _row(client: ClientEvent, event: Event) -> EventRow:
    """The row of an event on its way."""
    return EventRow(
        client.nid,
        client.event_id,
        client.room_nid,
        client.ordering,
        None,
        False,
        False,
        False,
        client.apart,
        client.replaces_nid,
        event.json,
    )
