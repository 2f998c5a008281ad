"""Transactions of other servers (server-server API, "Transactions" and "Checks performed on receipt of a PDU").

Each event is judged on its own; a bad one harms no other. Rooms are worked on at the same time, each in the order in
which its events came. An answer comes within some seconds: what could not be looked at by then is kept in the database
and looked at later, also after a restart. So is what waits for events that are not here (``catching.py``).

An answer is kept for whoever sends a transaction again. Where a kill may lose it without harm, as a second time all of
the transaction would be known or come to the same, it is written a little later together with others: that saves every
other commit.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from msgspec import Struct

from appliance.errors import MatrixError, bad_json, limit_exceeded
from appliance.federation.access import RoomAccess
from appliance.federation.retracting import Retracting
from appliance.later import Later
from appliance.protocol import canonical
from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Accepting, Verdict
from appliance.rooms.room import Rooms
from appliance.storage import inbox as rows
from appliance.storage.database import Database, Tx
from appliance.storage.inbox import UnreadEvent

log = logging.getLogger("hearth.federation")

MOST_PDUS, MOST_EDUS = 50, 100
SECONDS = 8.0
"""After which a transaction is answered, whatever is left to do."""
MOST_AT_ONCE = 3
"""Transactions of one server that are worked on together; who sends more is asked to wait."""
MOST_UNREAD = 1_000
"""Events of one server that wait to be looked at."""
KEPT_MS = 24 * 3600 * 1000
"""How long an answer is kept for those who send a transaction again."""
SLICE = 200
AGAIN_SECONDS = 60.0
"""Until events are looked at again that could not be, through no fault of theirs."""
NOTED_SECONDS, MOST_NOTED = 1.0, 100
"""After which answers that may be lost are written, and how many wait for it at most."""
REPEATABLE = frozenset({"m.typing", "m.presence", "m.receipt"})
"""EDUs that may come twice."""


class Edus(Protocol):
    """Takes what is no event."""

    async def receive(self, origin: str, edus: Sequence[Mapping[str, Any]]) -> None:
        """Take the EDUs of one transaction; bad ones are passed over."""
        ...


class Seeking(Protocol):
    """Looks for events that others wait for."""

    def seek(self, room_id: str, origin: str) -> None:
        """Look for what events of a room wait for, beginning with the server that sent them."""
        ...


class Came(Struct, frozen=True):
    """An event of a transaction whose room is known here."""

    event: Event
    pdu: dict[str, Any]


class Inbox:
    """Takes transactions.

    Args:
        database: where they are noted.
        rooms: the rooms in memory.
        access: which servers may take part in a room.
        accepting: judges events.
        edus: takes what is no event.
        seeking: looks for what is missing.
        retracting: takes in the end of invitations to rooms that nobody here is in.
        identity: which server this is.
        now_ms: the time, milliseconds since 1970.
        seconds: after which a transaction is answered.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        access: RoomAccess,
        accepting: Accepting,
        edus: Edus,
        seeking: Seeking,
        retracting: Retracting,
        identity: Identity,
        now_ms: Callable[[], int],
        seconds: float = SECONDS,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._access = access
        self._accepting = accepting
        self._edus = edus
        self._seeking = seeking
        self._retracting = retracting
        self._identity = identity
        self._now_ms = now_ms
        self._seconds = seconds
        self._answering: dict[tuple[str, str], asyncio.Task[bytes]] = {}
        self._by_origin: dict[str, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._noted: dict[tuple[str, str], tuple[int, bytes]] = {}
        """Answers that are not written yet, each with its time."""
        self._noting = Later(NOTED_SECONDS, self._write_noted)
        self._behind = rows.unread_rooms(database)
        """Rooms of which something was taken that nobody looks at: nothing of them is to overtake it."""
        self._again = Later(AGAIN_SECONDS, self._look_again)
        self._looking: asyncio.Task[None] | None = None

    async def receive(self, origin: str, transaction_id: str, transaction: dict[str, Any]) -> bytes:
        """Take a transaction; the same one again is answered as it was.

        Args:
            origin: the server that signed the request.
            transaction_id: its id, the sender's choice.
            transaction: the body.

        Returns:
            the body of the answer.

        Raises:
            MatrixError: ``M_BAD_JSON`` for what is no transaction or holds too much; ``M_LIMIT_EXCEEDED`` for a server
                that sends faster than its events can be worked on.
        """
        key = (origin, transaction_id)
        running = self._answering.get(key)
        if running is None:
            noted = self._noted.get(key)
            kept = rows.answer(self._database, origin, transaction_id) if noted is None else noted[1]
            if kept is not None:
                return kept
            pdus, edus = _parts(transaction)
            busy = self._by_origin.get(origin, 0) >= MOST_AT_ONCE
            if busy or rows.unread_count(self._database, origin) > MOST_UNREAD:
                raise limit_exceeded(5_000)
            running = asyncio.get_running_loop().create_task(self._answer(origin, transaction_id, pdus, edus))
            self._answering[key] = running
            self._by_origin[origin] = self._by_origin.get(origin, 0) + 1
            running.add_done_callback(lambda _: self._answered(key))
        return await asyncio.shield(running)

    async def look(self) -> None:
        """Look at what was taken and not looked at: before a restart, or as the disk was full then."""
        for room_id in sorted(self._behind):
            async with self._lock(room_id):
                await self._catch_up(room_id)

    async def prune(self) -> int:
        """Forget old answers, a few at a time; answers how many those were."""
        before = self._now_ms() - KEPT_MS
        return await self._database.write(lambda tx: rows.drop_answers(tx, before, SLICE))

    async def stop(self) -> None:
        """Write what is not written yet, and look at nothing more."""
        self._again.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._noted:
            await self._write_noted()

    async def settled(self) -> None:
        """Wait until all that was taken has been looked at."""
        while self._working:
            await asyncio.wait(set(self._working))

    # A transaction -----------------------------------------------------------------------------------------------

    def _answered(self, key: tuple[str, str]) -> None:
        del self._answering[key]
        left = self._by_origin[key[0]] - 1
        if left:
            self._by_origin[key[0]] = left
        else:
            del self._by_origin[key[0]]

    async def _answer(
        self, origin: str, transaction_id: str, pdus: Sequence[Any], edus: Sequence[Mapping[str, Any]]
    ) -> bytes:
        verdicts: dict[str, dict[str, Any]] = {}
        by_room: dict[str, list[Came]] = {}
        for pdu in pdus:
            await self._sort(origin, pdu, verdicts, by_room)
        tasks = [self._start(origin, room_id, came, verdicts) for room_id, came in by_room.items()]
        taking = [asyncio.get_running_loop().create_task(self._edus.receive(origin, edus))] if edus else []
        if tasks or taking:
            await asyncio.wait([*tasks, *taking], timeout=self._seconds)
            for task in (*tasks, *taking):
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        if not all(task.done() for task in taking):
            # Messages to devices may be among them: what is not kept must not be acknowledged.
            taking[0].cancel()
            log.warning("What %s told beside events took too long.", origin)
            raise MatrixError("M_UNKNOWN", "This server is too busy to take all of this in. Send it again.", 503)
        left = [came for listed in by_room.values() for came in listed if came.event.event_id not in verdicts]
        answer = orjson.dumps({"pdus": {**{came.event.event_id: {} for came in left}, **verdicts}})
        now = self._now_ms()
        if not left and all(edu.get("edu_type") in REPEATABLE for edu in edus):
            self._note((origin, transaction_id), now, answer)
            return answer
        unread = [
            UnreadEvent(one.event.event_id, one.event.room_id, origin, now, canonical.encode(one.pdu)) for one in left
        ]

        def unit(tx: Tx) -> None:
            for one in unread:
                rows.put_unread(tx, one)
            rows.keep_answer(tx, origin, transaction_id, now, answer)

        await self._database.write(unit)
        for room_id, task in zip(by_room, tasks, strict=True):
            task.add_done_callback(lambda done, room_id=room_id: self._failed_late(room_id, done))  # type: ignore[misc]
        for one in left:
            # What was looked at while that was written waits no longer.
            if one.event.event_id in verdicts:
                await self._done(one.event.event_id)
        return answer

    def _note(self, key: tuple[str, str], now: int, answer: bytes) -> None:
        """Keep an answer, for the moment in memory."""
        self._noted[key] = (now, answer)
        if len(self._noted) >= MOST_NOTED:
            self._write_noted()
        else:
            self._noting.want()

    def _write_noted(self) -> "asyncio.Future[None]":
        """Write the answers that are not written yet."""
        self._noting.cancel()
        noted = dict(self._noted)

        def unit(tx: Tx) -> None:
            for (origin, transaction_id), (received_ts, answer) in noted.items():
                rows.keep_answer(tx, origin, transaction_id, received_ts, answer)

        def written(done: "asyncio.Future[None]") -> None:
            for key, one in noted.items():
                if self._noted.get(key) is one:
                    del self._noted[key]
            if not done.cancelled() and (error := done.exception()) is not None:
                log.warning("What some servers were answered could not be noted: %s", error)

        future = self._database.submit(unit)
        future.add_done_callback(written)
        return future

    async def _sort(
        self, origin: str, pdu: Any, verdicts: dict[str, dict[str, Any]], by_room: dict[str, list[Came]]
    ) -> None:
        """Put an event to the others of its room, or refuse it."""
        room_id = pdu.get("room_id") if isinstance(pdu, dict) else None
        if not isinstance(room_id, str):
            return
        room = await self._rooms.find(room_id)
        if room is None or not self._access.is_in(room, self._identity.server_name):
            event_id = await self._retracting.take(origin, room_id, pdu)
            if event_id is not None:
                verdicts[event_id] = {}
            return
        try:
            event = Event.from_pdu(room.version, pdu)
        except InvalidEvent as problem:
            log.info("%s sent an event that is none: %s", origin, problem)
            return
        if not self._access.is_allowed(room, origin):
            verdicts[event.event_id] = {"error": "This room's access control list keeps your server out."}
            return
        by_room.setdefault(room_id, []).append(Came(event, pdu))

    def _start(
        self, origin: str, room_id: str, came: Sequence[Came], verdicts: dict[str, dict[str, Any]]
    ) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(self._work(origin, room_id, came, verdicts))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    def _lock(self, room_id: str) -> asyncio.Lock:
        """The lock of a room in which events are looked at one after the other; kept while somebody has it."""
        lock = self._locks.get(room_id)
        if lock is None:
            if len(self._locks) > SLICE:
                self._locks = {one: lock for one, lock in self._locks.items() if lock.locked()}
            lock = self._locks[room_id] = asyncio.Lock()
        return lock

    async def _work(self, origin: str, room_id: str, came: Sequence[Came], verdicts: dict[str, dict[str, Any]]) -> None:
        """Look at the events of one room, one after the other."""
        async with self._lock(room_id):
            if room_id in self._behind:
                await self._catch_up(room_id)
            told = await self._judge(origin, room_id, [one.pdu for one in came])
            for one, verdict in zip(came, told, strict=True):
                verdicts[one.event.event_id] = verdict
                await self._done(one.event.event_id)

    async def _judge(self, origin: str, room_id: str, pdus: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Judge events of one room; for each what the transaction is answered."""
        outcomes = await self._accepting.accept_many(room_id, pdus, origin)
        if Verdict.WAITING in outcomes:
            self._seeking.seek(room_id, origin)
        told: list[dict[str, Any]] = []
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                log.info("An event of %s in %s is not taken: %s", origin, room_id, outcome)
                told.append({"error": str(outcome)})
            else:
                told.append({})
        return told

    async def _catch_up(self, room_id: str) -> None:
        """Look at the events of a room that were taken earlier, with its lock held. What fails through no fault of an
        event keeps none of the others; it is done again later.
        """
        self._behind.discard(room_id)
        last, failed = 0, False
        while found := rows.unread(self._database, room_id, last, SLICE):
            for last, one in found:  # noqa: B007 - where to go on
                try:
                    await self._judge(one.origin, room_id, [canonical.decode(one.json, max_depth=1000)])
                    await self._done(one.event_id, always=True)
                except Exception:
                    log.exception("An event of %s in %s could not be looked at yet.", one.origin, room_id)
                    failed = True
        if failed:
            self._look_later(room_id)

    def _failed_late(self, room_id: str, done: "asyncio.Task[None]") -> None:
        """After a transaction was answered: its events of a room were looked at, or could not be."""
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("Events of %s could not be looked at yet.", room_id, exc_info=error)
            self._look_later(room_id)

    def _look_later(self, room_id: str) -> None:
        self._behind.add(room_id)
        self._again.want()

    def _look_again(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self.look(), name="looking at what was taken")

    async def _done(self, event_id: str, *, always: bool = False) -> None:
        if always or rows.is_unread(self._database, event_id):
            await self._database.write(lambda tx: rows.drop_unread(tx, event_id))


def _parts(transaction: dict[str, Any]) -> tuple[list[Any], list[Mapping[str, Any]]]:
    """The events and the rest of a transaction."""
    pdus, edus = transaction.get("pdus", []), transaction.get("edus", [])
    if not isinstance(pdus, list) or not isinstance(edus, list):
        raise bad_json("pdus and edus must be lists.")
    if len(pdus) > MOST_PDUS or len(edus) > MOST_EDUS:
        raise bad_json(f"A transaction may hold {MOST_PDUS} PDUs and {MOST_EDUS} EDUs.")
    return pdus, [one for one in edus if isinstance(one, dict)]
