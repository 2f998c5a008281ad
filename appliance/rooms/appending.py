"""Putting events onto the end of a room: drafts, the unit that stores them, and who else has something to say.

A *draft* builds events one on another against the room's head and moves the head only when all of them passed. Their
rows, and whatever contributors add, are one unit of the writer. What follows from an event (memberships, transaction
ids, redactions) is a contributor's part of that unit; none of it can be lost by a kill.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from appliance.errors import bad_json, forbidden, too_large
from appliance.protocol.auth import NotAllowed, auth_event_slots, check_event
from appliance.protocol.client_form import client_bytes
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent, build_event
from appliance.protocol.signing import SigningKey
from appliance.rooms.placing import Placement, on_top
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MAX_PARENTS, Extremity, Snapshot, Step, Transaction
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import events as event_rows
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.errors import LaneBroken
from appliance.storage.events import NewEvent
from appliance.storage.numbers import Numbers

T = TypeVar("T")
Statement = Callable[[Tx, int], None]
"""Part of a unit: runs on the writer, is given the event's position."""

MAX_DEPTH = 2**53 - 1


class Contributor(Protocol):
    """Somebody who has rows of their own to store with an event."""

    def prepare(self, step: Step) -> Statement | None:
        """What to store in the event's unit; called on the loop, under the room's lock, before the commit."""
        ...

    def published(self, step: Step, position: int) -> None:
        """Told after the commit, in the order of positions; must not fail and must not wait."""
        ...


class Identity(Protocol):
    """As whom this server speaks."""

    @property
    def server_name(self) -> str:
        """The server's name."""
        ...

    @property
    def key(self) -> SigningKey:
        """The key that signs at present."""
        ...


@dataclass(frozen=True, slots=True)
class Pending:
    """A checked event on its way into the database."""

    step: Step
    client: ClientEvent
    statement: Callable[[Tx, int], None]


class Draft:
    """Events being built one on another, on the head of a room.

    Args:
        room: the room; its lock is held by the caller.
        appender: what the draft is built with.
    """

    def __init__(self, room: Room, appender: "Appender") -> None:
        self.room = room
        self.snapshot: Snapshot = room.head
        self.pending: list[Pending] = []
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
        event = self._appender.build(self.room, parents, auth, event_type, sender, content, state_key, redacts)
        self.judge(event)
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

    def put(self, event: Event, place: Placement, transaction: Transaction | None = None) -> None:
        """Put an event that was judged into its place."""
        pending = self._appender.pend(self.room, self.snapshot, event, place, transaction)
        self.snapshot = place.after
        self.pending.append(pending)


class Appender:
    """Builds events and brings them into the database.

    Args:
        numbers: gives row numbers.
        rooms: the rooms in memory.
        store: the events in memory.
        identity: as whom this server signs.
        now_ms: the time, milliseconds since 1970.
        contributors: who adds to an event's unit, in this order.
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
        self._rooms = rooms
        self._store = store
        self._identity = identity
        self._now_ms = now_ms
        self._contributors = contributors

    async def append(self, room_id: str, work: Callable[[Draft], T]) -> T:
        """Do some work on a draft of a room and make its events durable.

        Where another event of the room failed in the same commit, the room is read anew and the work done once more.

        Args:
            room_id: the room.
            work: adds events to the draft; whatever it returns is returned. It must not wait.

        Raises:
            MatrixError: what the work raises; ``M_FORBIDDEN`` for a room that is not known.
        """
        for last_try in (False, True):
            room = await self._rooms.find(room_id)
            if room is None:
                raise forbidden("You are not in this room.")
            async with room.lock:
                draft = Draft(room, self)
                result = work(draft)
                committed = self.commit(draft)
            try:
                await committed
            except LaneBroken:
                if last_try:
                    raise
            else:
                return result
        raise AssertionError("unreachable")

    def commit(self, draft: Draft, first: Callable[[Tx], None] | None = None) -> "asyncio.Future[Any]":
        """Move the room's head to the end of a draft and submit its unit.

        Args:
            draft: with its room's lock held.
            first: a statement that goes before the events, such as the room's own row.

        Returns:
            a future that ends with the commit; waiting for it may be given up without harm to the unit.
        """
        room, pending = draft.room, draft.pending
        if not pending:
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        room.head = draft.snapshot

        def unit(tx: Tx) -> list[int]:
            if first is not None:
                first(tx)
            positions = []
            for one in pending:
                position = tx.position()
                one.statement(tx, position)
                positions.append(position)
            return positions

        def published(positions: list[int]) -> None:
            for one, position in zip(pending, positions, strict=True):
                self._publish(room, one, position)

        future = self._rooms.submit(room, unit, published)
        future.add_done_callback(lambda done: self._settle(pending, done))
        return asyncio.shield(future)

    def build(
        self,
        room: Room,
        parents: Sequence[Extremity],
        auth: Sequence[int],
        event_type: str,
        sender: str,
        content: dict[str, Any],
        state_key: str | None,
        redacts: str | None = None,
    ) -> Event:
        """Build and sign an event; raises ``M_TOO_LARGE`` or ``M_BAD_JSON`` for what cannot be one."""
        try:
            return build_event(
                room.version,
                room_id=room.room_id,
                type=event_type,
                sender=sender,
                content=content,
                state_key=state_key,
                depth=min(MAX_DEPTH, 1 + max((parent.ordering for parent in parents), default=0)),
                prev_events=[parent.event_id for parent in parents],
                auth_events=[self._store.event(nid).event_id for nid in auth],
                origin_server_ts=self._now_ms(),
                redacts=redacts,
                server_name=self._identity.server_name,
                key=self._identity.key,
            )
        except EventTooLarge as error:
            raise too_large(str(error)) from error
        except InvalidEvent as error:
            raise bad_json(str(error)) from error

    def pend(
        self, room: Room, before: Snapshot, event: Event, place: Placement, transaction: Transaction | None = None
    ) -> Pending:
        """Gather all that the unit of an event will store, which was found good and has its place."""
        nid = place.nid
        step = Step(
            room.nid, room.room_id, nid, event, before, place.after, place.changes, place.replaces_nid, transaction
        )
        self._store.hold(nid, event)
        prepared = [contributor.prepare(step) for contributor in self._contributors]
        statements = [statement for statement in prepared if statement is not None]

        def store(tx: Tx, position: int) -> None:
            _store_event(tx, room.nid, event, place, before, position)
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
            timestamp=event.origin_server_ts,
            replaces_nid=place.replaces_nid,
            redacted_by=None,
            body=client_bytes(event),
        )
        return Pending(step, client, store)

    def _publish(self, room: Room, one: Pending, position: int) -> None:
        room.published = one.step.after
        room.position = position
        self._store.published(one.client.at(position))
        for contributor in self._contributors:
            contributor.published(one.step, position)

    def _settle(self, pending: Sequence[Pending], done: "asyncio.Future[Any]") -> None:
        """After the unit: where it failed, its events never came to be."""
        if done.cancelled() or done.exception() is not None:
            for one in pending:
                self._store.forget(one.step.nid)


def new_row(
    room_nid: int,
    event: Event,
    place: Placement,
    *,
    rejected: bool = False,
    soft_failed: bool = False,
    outlier: bool = False,
) -> NewEvent:
    """An event as it is stored."""
    return NewEvent(
        nid=place.nid,
        event_id=event.event_id,
        room_nid=room_nid,
        type=event.type,
        state_key=event.state_key,
        sender=event.sender,
        ordering=place.ordering,
        json=event.json,
        parents=tuple(parent.nid for parent in place.parents),
        auth=tuple(place.auth),
        replaces_nid=place.replaces_nid,
        rejected=rejected,
        soft_failed=soft_failed,
        outlier=outlier,
    )


def store_groups(tx: Tx, room_nid: int, place: Placement) -> None:
    """Store the states around an event."""
    for group in place.groups:
        state_rows.insert_changed(tx, group.nid, room_nid, group.base_nid, group.changes)
    state_rows.set_event_groups(tx, place.nid, place.before_nid, place.after_nid)


def _store_event(tx: Tx, room_nid: int, event: Event, place: Placement, before: Snapshot, position: int) -> None:
    """Store an event of the timeline, the ends of the graph after it, and the state around and after it."""
    event_rows.insert(tx, new_row(room_nid, event, place), position)
    ended, ends = ({end.nid for end in one.extremities} for one in (before, place.after))
    event_rows.move_extremities(tx, room_nid, ended - ends, place.nid if place.nid in ends else None)
    store_groups(tx, room_nid, place)
    for slot, (previous, now) in place.changes.items():
        state_rows.change_current(tx, room_nid, position, slot, now, previous)
    if len(ends) > 1 or len(ended) > 1:
        room_rows.set_state_group(tx, room_nid, place.after.group_nid if len(ends) > 1 else None)
