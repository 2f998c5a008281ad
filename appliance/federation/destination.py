"""What is on its way to one other server, and the transactions that carry it (server-server API, "Transactions").

While a server keeps up, what it is to be sent is here in memory alone. One that fails is *behind*: of what it lacks
only the newest event of each room is noted, which is what it is told when it is back; the rest it asks for by itself.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import orjson
from msgspec import Struct

from appliance.federation.client import FederationClient, path_of
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.signs import Signs
from appliance.federation.standing import Standing
from appliance.protocol import canonical
from appliance.storage import destinations as rows
from appliance.storage.database import Database, Tx

log = logging.getLogger("hearth.federation.outbox")

MOST_PDUS, MOST_EDUS = 50, 100
"""Of one transaction (server-server API, "Transactions")."""
MOST_EDU_BYTES = 1024 * 1024
UNTAKEN = (400, 413)
"""What a server answers that refuses a transaction for what is in it."""
SECONDS = 60.0
"""For one transaction: the other server may have to look for what it lacks."""
MOST_PENDING = 2000
"""Events that wait in memory for a server that answers but is slow; with more it counts as behind."""
KEPT_PENDING = 50
"""Events that stay in memory for a server that fails, to be sent in order should it be back soon."""


class Queue(Protocol):
    """EDUs that a server must get; whoever makes them keeps them in the database."""

    def servers(self) -> Collection[str]:
        """For which servers something waits; asked at the start."""
        ...

    def take(self, server: str, limit: int) -> tuple[Sequence[bytes], Any]:
        """The first EDUs for a server, as canonical JSON, and what ``sent`` wants to know of them."""
        ...

    def sent(self, tx: Tx, server: str, mark: Any) -> None:
        """In a unit: they arrived."""
        ...

    def arrived(self, server: str, mark: Any) -> None:
        """On the loop, after that unit."""
        ...


class Waiting(Struct, frozen=True):
    """An event that is to be sent."""

    position: int
    room_nid: int
    nid: int


class Needs(Struct, frozen=True):
    """What all destinations need.

    Args:
        database: where what is lacking is noted.
        client: sends.
        standing: how it goes with the servers.
        queues: EDUs that must arrive.
        bodies: events as JSON by their numbers; those that are not there any more are left out.
        server_name: as whom we send, asked at each use.
        now_ms: the time, milliseconds since 1970.
        moved: called when something has left the memory, so that the mark may move.
        transaction_id: makes ids.
        may_send: whether anything is to be sent yet.
    """

    database: Database
    client: FederationClient
    standing: Standing
    queues: Sequence[Queue]
    bodies: Callable[[Sequence[int]], Mapping[int, bytes]]
    server_name: Callable[[], str]
    now_ms: Callable[[], int]
    moved: Callable[[], None]
    transaction_id: Callable[[], str]
    may_send: Callable[[], bool]


class _Load(Struct, frozen=True):
    """What one transaction carries.

    Args:
        events: from memory.
        rooms: room to event, of what is noted for a server that is behind.
        edus: everything that is no event.
        marks: what the queues want to know when it has arrived.
    """

    events: Sequence[Waiting]
    rooms: Mapping[int, int]
    edus: Sequence[bytes]
    marks: Sequence[tuple[Queue, Any]]


class Destination:
    """One server.

    Args:
        server: its name.
        needs: what all need.
        behind: whether it was behind when this server stopped last.
    """

    __slots__ = (
        "_again",
        "_most",
        "_needs",
        "_task",
        "_timer",
        "_whole",
        "behind",
        "newest",
        "pending",
        "server",
        "signs",
        "stopped",
    )

    def __init__(self, server: str, needs: Needs, *, behind: bool = False) -> None:
        self.server = server
        self.behind = behind
        self.pending: deque[Waiting] = deque()
        self.newest: dict[int, int] = {}
        """While it is behind: room to the newest event that it lacks, as far as that is not noted yet."""
        self.signs = Signs()
        self.stopped = False
        self._needs = needs
        self._most = MOST_EDUS
        """Of each kind in the next transaction; less for a server that refused more."""
        self._whole = not behind
        """Whether ``pending`` is all that it lacks."""
        self._again = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What comes ----------------------------------------------------------------------------------------------------

    def put(self, waiting: Waiting) -> None:
        """Send an event, at once or when the server is back."""
        if self.behind:
            self.newest[waiting.room_nid] = waiting.nid
            if self._whole and len(self.pending) < KEPT_PENDING:
                self.pending.append(waiting)
            else:
                self._forget()
        else:
            self.pending.append(waiting)
            if len(self.pending) > MOST_PENDING:
                self._fall_behind()
        self.work()

    def work(self) -> None:
        """See whether there is something to send, unless that is going on or the server is left alone."""
        if self._task is not None:
            self._again = True
        elif self._timer is None and not self.stopped and self._needs.may_send():
            self._again = False
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"to {self.server}")
            self._task.add_done_callback(self._ended)

    def wake(self) -> None:
        """Try again now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.work()

    async def try_now(self, seconds: float) -> None:
        """Try to send what waits, and wait until that is over, so many seconds at most; it may not arrive."""
        self.wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    def rest(self) -> None:
        """Try again when the server has been left alone for long enough."""
        if self._timer is None and not self.stopped:
            seconds = self._needs.standing.wait_ms(self.server) / 1000
            self._timer = asyncio.get_running_loop().call_later(seconds + 0.001, self.wake)

    async def stop(self) -> None:
        """Send no more."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def idle(self) -> bool:
        """Whether there is nothing about it to remember."""
        return not (self.behind or self.pending or self._task or self._timer or self.signs)

    @property
    def oldest(self) -> int | None:
        """The position of the first event that waits here and is noted nowhere else."""
        return self.pending[0].position if self.pending and not self.behind else None

    def noted(self, newest: Mapping[int, int]) -> None:
        """What was ``newest`` is in the database now."""
        for room_nid, nid in newest.items():
            if self.newest.get(room_nid) == nid:
                del self.newest[room_nid]

    # The work ------------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self.stopped:
            load = self._load()
            if load.events or load.rooms or load.edus:
                if not await self._carry(load):
                    return
            elif not self.behind:
                return
            elif not self.newest:
                self._caught_up()

    def _ended(self, done: "asyncio.Task[None]") -> None:
        self._task = None
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("What was to be sent to %s could not be.", self.server, exc_info=error)
            self._needs.standing.note_failure(self.server, "Something is wrong in this server; its log says what.")
            self._fall_behind()
            self.rest()
        elif self._again:  # something came when the last look had been taken
            self.work()
        self._needs.moved()

    def _load(self) -> _Load:
        """What goes into the next transaction."""
        events: Sequence[Waiting] = ()
        noted: dict[int, int] = {}
        most = min(MOST_PDUS, self._most)
        if not self.behind or self._whole:
            events = [self.pending[place] for place in range(min(most, len(self.pending)))]
        if self.behind and not events:
            noted = rows.lacking(self._needs.database, self.server, most)
            fresh = list(self.newest.items())[:most]
            noted = dict([*fresh, *((room, nid) for room, nid in noted.items() if room not in self.newest)][:most])
        most = 0 if self._most == 1 and (events or noted) else self._most
        edus: list[bytes] = []
        marks = []
        for queue in self._needs.queues:
            if len(edus) >= most:
                break
            found, mark = queue.take(self.server, most - len(edus))
            if found:
                edus.extend(found)
                marks.append((queue, mark))
        if not self.behind:
            edus.extend(self.signs.take(most - len(edus)))
        return _Load(events, noted, edus, marks)

    async def _carry(self, load: _Load) -> bool:
        """Send a transaction; whether it arrived."""
        needs = self._needs
        nids = [event.nid for event in load.events] or list(load.rooms.values())
        bodies = needs.bodies(nids)
        try:
            answer = await self._send([bodies[nid] for nid in nids if nid in bodies], load.edus)
        except Unreachable as error:
            if error.local:
                needs.standing.note_failure(self.server, error.sentence)
        except Refused as error:
            if error.status in UNTAKEN and await self._may_take_less(load, error):
                return True
            if not error.is_fault:
                needs.standing.note_failure(self.server, f"It refused what was sent: {error.status} {error.error}")
        else:
            _look_at(self.server, answer)
            self._most = min(MOST_EDUS, 2 * self._most)
            await self._arrived(load)
            return True
        self._fall_behind()
        self.rest()
        return False

    async def _send(self, pdus: Sequence[bytes], edus: Sequence[bytes]) -> Mapping[str, Any]:
        needs = self._needs
        transaction = _transaction(pdus, edus, needs.server_name(), needs.now_ms())
        path = path_of("federation", "v1", "send", needs.transaction_id())
        return await needs.client.request(self.server, "PUT", path, content=transaction, timeout=SECONDS, urgent=True)

    async def _may_take_less(self, load: _Load, refusal: Refused) -> bool:
        """After a transaction was refused for what is in it: whether to go on at once, with half of it, or without the
        one thing that is refused, so that this keeps nothing else away for ever.

        A server that refuses a transaction that holds nothing, too, refuses everything: nothing is given up then.
        """
        most = max(len(load.events), len(load.rooms), len(load.edus))
        if len(load.events) + len(load.rooms) + len(load.edus) > 1:
            self._most = max(1, most // 2)
            return True
        try:
            await self._send((), ())
        except (Unreachable, Refused):
            return False
        log.warning("%s refuses what it is sent, and will not get it: %s", self.server, refusal)
        await self._arrived(load)
        return True

    async def _arrived(self, load: _Load) -> None:
        for event in load.events:
            if self.pending and self.pending[0] is event:
                self.pending.popleft()
        rooms = {event.room_nid: event.nid for event in load.events} if self.behind else {}
        rooms.update(load.rooms)
        for room_nid, nid in rooms.items():
            if self.newest.get(room_nid) == nid:
                del self.newest[room_nid]
        if not rooms and not load.marks:
            self._needs.moved()
            return

        def unit(tx: Tx) -> None:
            rows.told(tx, self.server, rooms)
            for queue, mark in load.marks:
                queue.sent(tx, self.server, mark)

        await self._needs.database.write(unit)
        for queue, mark in load.marks:
            queue.arrived(self.server, mark)
        self._needs.moved()

    # Behind --------------------------------------------------------------------------------------------------------

    def _fall_behind(self) -> None:
        """Note what it lacks instead of holding on to it."""
        standing = self._needs.standing
        self.signs.clear()
        if not self.behind:
            self.behind = True
            for event in self.pending:
                self.newest[event.room_nid] = event.nid
            row = standing.row(self.server)
            row.behind = True
            standing.keep(row)
        if len(self.pending) > KEPT_PENDING:
            self._forget()
        self._needs.moved()

    def _forget(self) -> None:
        self._whole = False
        self.pending.clear()

    def _caught_up(self) -> None:
        """It lacks nothing any more: from here on it keeps up."""
        self.behind = False
        self._whole = True
        standing = self._needs.standing
        row = standing.row(self.server)
        row.behind = False
        standing.keep(row)
        log.info("%s has all that it lacked.", self.server)


def _transaction(pdus: Sequence[bytes], edus: Sequence[bytes], origin: str, now_ms: int) -> bytes:
    """A transaction as canonical JSON, joined from what is canonical already."""
    head = b'{"edus":[' + b",".join(edus) + b"]," if edus else b"{"
    return b"".join(
        (
            head,
            b'"origin":',
            canonical.encode(origin),
            b',"origin_server_ts":%d,"pdus":[' % now_ms,
            b",".join(pdus),
            b"]}",
        )
    )


def _look_at(server: str, answer: Mapping[str, Any]) -> None:
    """Say what of a transaction the other server did not take; there is nothing to be done about it."""
    pdus = answer.get("pdus")
    for event_id, verdict in pdus.items() if isinstance(pdus, dict) else ():
        if isinstance(verdict, dict) and verdict.get("error"):
            log.info("%s does not take the event %s: %s", server, event_id, orjson.dumps(verdict["error"])[:300])
