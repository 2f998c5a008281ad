"""Events that are sent later unless somebody says otherwise before (MSC4140): a call's last will.

Kept in the database with the moment at which they are sent, and in memory as far as it takes to send them in time. Who
may send what is judged at that moment. What was due while the server was down is sent when it comes back, in order. A
pending state event is cancelled when somebody else changes that state, and all of a user's when they leave the room;
so this is a contributor.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from msgspec import Struct
from msgspec.structs import replace

from appliance.errors import MatrixError, invalid_param, limit_exceeded, not_found
from appliance.protocol import canonical
from appliance.rooms.acts.pending import Pending
from appliance.rooms.acts.sending import Sending
from appliance.rooms.graph.appending import Statement
from appliance.rooms.graph.transactions import DELAYED, check_transaction
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import Step, Transaction
from appliance.storage import delayed_events as rows
from appliance.storage.database import Database, Tx
from appliance.storage.delayed_events import CANCELLED, DelayedEvent
from appliance.storage.errors import StorageError

log = logging.getLogger("hearth.rooms")

LONGEST_MS = 7 * 24 * 3600 * 1000
"""The longest delay."""
MOST_OF_USER = 100
"""Pending events of one user."""
AGAIN_MS = 5_000
"""After which the next is sent, where nothing could be stored."""
KEPT_MS = 24 * 3600 * 1000
"""How long it is remembered what became of one."""


class Wish(Struct, frozen=True):
    """What is to be sent later.

    Args:
        room_id: the room.
        type: the event's type.
        state_key: its state key; None for no state.
        content: its content.
        delay_ms: in how many milliseconds.
    """

    room_id: str
    type: str
    state_key: str | None
    content: dict[str, Any]
    delay_ms: int


class Delayed:
    """Keeps and sends delayed events.

    Args:
        database: where they are.
        rooms: the rooms in memory.
        now_ms: the time, milliseconds since 1970.
        may_write: whether a user's account allows them to send anything now.

    Attributes:
        sending: sends what is due; set before anything can be.
    """

    sending: Sending

    def __init__(
        self, database: Database, rooms: Rooms, now_ms: Callable[[], int], may_write: Callable[[str], bool]
    ) -> None:
        self._may_write = may_write
        self._database = database
        self._rooms = rooms
        self._now_ms = now_ms
        self._pending = Pending()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._busy: dict[str, _Busy] = {}
        self._sending: dict[str, list[DelayedEvent]] = {}
        self._settling: WeakKeyDictionary[Step, list[str]] = WeakKeyDictionary()
        self._stopped = False
        self._not_before = 0

    # The life of the whole -------------------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Know what is pending, before anybody can ask for it or make it void."""
        for event in rows.pending(self._database):
            self._pending.put(event)

    def start(self) -> None:
        """Begin to send; what was due meanwhile is sent now."""
        self._arrange()

    async def stop(self) -> None:
        """Send nothing any more; what is being sent is finished."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait((self._task,))

    # What users ask --------------------------------------------------------------------------------------------------

    async def schedule(self, wish: Wish, transaction: Transaction | None, asker: tuple[str, str]) -> str:
        """Keep an event for later.

        Args:
            wish: what, where and when.
            transaction: the client's request, if it has an id: made again, it answers the same.
            asker: the user and the device.

        Returns:
            the name by which it can be cancelled, started anew or sent at once; whoever knows it may do so.

        Raises:
            MatrixError: 400 ``M_INVALID_PARAM`` or ``M_UNKNOWN`` (the delay), 403 ``M_FORBIDDEN`` for somebody who is
                not in the room, 429 ``M_LIMIT_EXCEEDED`` for too many.
        """
        before = self.of_transaction(transaction)
        if before is not None:
            return before
        _check_delay(wish.delay_ms)
        if transaction is not None:
            check_transaction(transaction.transaction_id)
        user_id, device_id = asker
        await self._rooms.joined(wish.room_id, user_id)
        own, now = self._pending.of_user(user_id), self._now_ms()
        if len(own) >= MOST_OF_USER:
            raise limit_exceeded(max(1, own[0].send_ts - now))
        event = DelayedEvent(
            delay_id=f"delay_{secrets.token_urlsafe(18)}",
            user_id=user_id,
            device_id=device_id,
            room_id=wish.room_id,
            type=wish.type,
            state_key=wish.state_key,
            content=canonical.encode(wish.content).decode(),
            delay_ms=wish.delay_ms,
            since_ts=now,
            send_ts=now + wish.delay_ms,
            scope=transaction.scope if transaction else None,
            transaction_id=transaction.transaction_id if transaction else None,
        )

        def work(tx: Tx) -> str:
            if transaction is not None:
                known = rows.of_transaction(tx, user_id, device_id, transaction.scope, transaction.transaction_id)
                if known is not None:
                    return known
            rows.forget_before(tx, now - KEPT_MS)
            rows.insert(tx, event)
            return event.delay_id

        def published(delay_id: str) -> None:
            if delay_id == event.delay_id:
                self._pending.put(event)
                self._arrange()

        return await self._database.write(work, published=published)

    def of_transaction(self, transaction: Transaction | None) -> str | None:
        """What a request made before, if it did."""
        if transaction is None:
            return None
        return rows.of_transaction(
            self._database, transaction.user_id, transaction.device_id, transaction.scope, transaction.transaction_id
        )

    def of_user(self, user_id: str) -> list[DelayedEvent]:
        """A user's pending events, the next one first."""
        return self._pending.of_user(user_id)

    def get(self, user_id: str, delay_id: str) -> DelayedEvent:
        """One event of a user's, settled or not; 404 ``M_NOT_FOUND`` for any other."""
        event = rows.find(self._database, delay_id)
        if event is None or event.user_id != user_id:
            raise _unknown()
        return event

    async def cancel(self, delay_id: str) -> None:
        """Never send an event; 404 where there is none, 409 where it was sent."""
        async with self._alone(delay_id):
            if delay_id not in self._pending:
                self._settled(delay_id, cancelled=True)
                return
            await self._finalise(delay_id, None, CANCELLED)

    async def restart(self, delay_id: str) -> None:
        """Let an event's time begin anew; 404 where there is none, 409 where it is settled."""
        async with self._alone(delay_id):
            event = self._pending.get(delay_id)
            if event is None:
                self._settled(delay_id, cancelled=None)
                return
            now = self._now_ms()

            def published(done: bool) -> None:
                known = self._pending.get(delay_id)
                if done and known is not None:
                    self._pending.put(replace(known, since_ts=now, send_ts=now + known.delay_ms))
                    self._arrange()

            await self._database.write(
                lambda tx: rows.restart(tx, delay_id, now, now + event.delay_ms), published=published
            )

    async def send(self, delay_id: str) -> None:
        """Send an event now; 404 where there is none, 409 where it was cancelled.

        Raises:
            MatrixError: what the sending raises, which settles it all the same.
        """
        async with self._alone(delay_id):
            if delay_id not in self._pending:
                self._settled(delay_id, cancelled=False)
                return
            refusal = await self._send(delay_id)
            if refusal is not None:
                raise refusal

    def _settled(self, delay_id: str, *, cancelled: bool | None) -> None:
        """Say nothing where an event was settled in the way that is asked for, and refuse otherwise."""
        event = rows.find(self._database, delay_id)
        if event is None:
            raise _unknown()
        if cancelled is None or (event.error is not None) != cancelled:
            raise MatrixError("M_UNKNOWN", "This event was sent or cancelled already.", 409)

    # As a contributor ------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Settle in the event's unit what it is the sending of, and cancel what it makes void."""
        sent = [one.delay_id for one in self._sending.get(step.room_id, ()) if _is_sending_of(step, one)]
        void = self._void(step)
        if not void and not sent:
            return None
        self._settling[step] = sent + void
        now, event_id = self._now_ms(), step.event.event_id

        def statement(tx: Tx, position: int) -> None:
            rows.finalise(tx, sent, now, event_id=event_id, error=None)
            rows.finalise(tx, void, now, error=CANCELLED)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Forget what was settled."""
        for delay_id in self._settling.pop(step, ()):
            self._pending.drop(delay_id)

    def _void(self, step: Step) -> list[str]:
        known = self._pending.of_room(step.room_id)
        if not known:
            return []
        gone = {user_id for user_id in step.members_changed if step.after.members.of(user_id) != "join"}
        void = []
        for event in known:
            others = event.state_key is not None and step.event.sender != event.user_id
            if event.user_id in gone or (others and (event.type, event.state_key) in step.changes):
                void.append(event.delay_id)
        return void

    # Sending ---------------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Wait for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped or (self._task is not None and not self._task.done()):
            return
        due_ts = self._pending.next_ts()
        if due_ts is not None:
            seconds = max(0.0, (max(due_ts, self._not_before) - self._now_ms()) / 1000)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._send_due(), name="delayed events")
        self._task.add_done_callback(lambda _: self._arrange())

    async def _send_due(self) -> None:
        while not self._stopped and (event := self._pending.take(self._now_ms())) is not None:
            async with self._alone(event.delay_id):
                if self._pending.get(event.delay_id) is not event:
                    continue  # settled or begun anew meanwhile
                try:
                    await self._send(event.delay_id)
                except StorageError as error:
                    # It is still to be sent: a full disk is no reason to forget somebody's last will.
                    log.warning("A delayed event cannot be sent yet: %s", error)
                    self._not_before = self._now_ms() + AGAIN_MS
                    if event.delay_id in self._pending:
                        self._pending.put(event)
                    return

    async def _send(self, delay_id: str) -> MatrixError | None:
        """Send one event and settle it; answers what refused it. A repetition after a kill makes no second event.

        Raises:
            StorageError: where nothing can be stored; it is still pending then, but perhaps was sent.
        """
        event = self._pending[delay_id]
        content = orjson.loads(event.content)
        event_id, refusal = None, None
        sending = self._sending.setdefault(event.room_id, [])
        sending.append(event)
        try:
            if content and not self._may_write(event.user_id):
                # Nothing new is said; what takes something back, such as a place in a call, is.
                raise MatrixError("M_USER_SUSPENDED", "This account is suspended or locked.", 403)
            if event.state_key is not None:
                event_id = await self.sending.set_state(
                    event.user_id, event.room_id, event.type, event.state_key, content
                )
            else:
                transaction = Transaction(event.user_id, event.device_id, DELAYED, delay_id)
                event_id = await self.sending.send(event.user_id, event.room_id, event.type, content, transaction)
        except MatrixError as error:
            refusal = error
        except StorageError:
            raise
        except Exception as error:
            log.exception("A delayed event could not be sent.")
            refusal = MatrixError("M_UNKNOWN", f"It could not be sent: {type(error).__name__}.", 500)
        finally:
            sending.remove(event)
            if not sending:
                self._sending.pop(event.room_id, None)
        if delay_id not in self._pending:
            return None  # settled in the unit of the event
        await self._finalise(delay_id, event_id, None if refusal is None else refusal.message)
        return refusal

    async def _finalise(self, delay_id: str, event_id: str | None, error: str | None) -> None:
        now = self._now_ms()
        await self._database.write(
            lambda tx: rows.finalise(tx, (delay_id,), now, event_id=event_id, error=error),
            published=lambda _: self._pending.drop(delay_id),
        )
        self._arrange()

    @asynccontextmanager
    async def _alone(self, delay_id: str) -> AsyncIterator[None]:
        """One thing at a time for one event; a lock is kept while somebody holds it or waits for it."""
        busy = self._busy.setdefault(delay_id, _Busy())
        busy.users += 1
        try:
            async with busy.lock:
                yield
        finally:
            busy.users -= 1
            if not busy.users:
                self._busy.pop(delay_id, None)


class _Busy:
    """A lock, and how many hold it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _check_delay(delay_ms: int) -> None:
    if delay_ms <= 0:
        raise invalid_param("The delay must be a number of milliseconds above 0.")
    if delay_ms > LONGEST_MS:
        # The shape in which clients look for the longest delay, to try again with that.
        extra = {f"{DELAYED}.errcode": "M_MAX_DELAY_EXCEEDED", f"{DELAYED}.max_delay": LONGEST_MS}
        raise MatrixError("M_UNKNOWN", "This delay is too long.", 400, **extra)


def _is_sending_of(step: Step, delayed: DelayedEvent) -> bool:
    """Whether an event is the one that is being sent."""
    event, transaction = step.event, step.transaction
    if delayed.state_key is None:
        return transaction is not None and (transaction.scope, transaction.transaction_id) == (
            DELAYED,
            delayed.delay_id,
        )
    return (event.sender, event.type, event.state_key) == (delayed.user_id, delayed.type, delayed.state_key)


def _unknown() -> MatrixError:
    return not_found("There is no such delayed event.")
