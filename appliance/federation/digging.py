"""Fetching the past of rooms from other servers, where somebody here reads as far as a hole (server-server API,
"Backfilling and retrieving missing events").
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from appliance.federation.access import RoomAccess
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Accepting, Unacceptable
from appliance.rooms.incoming.backfilling import Backfilling
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage.database import Database
from appliance.storage.lru import Lru

log = logging.getLogger("hearth.federation")

AT_ONCE = 100
"""Events that are asked for at a time."""
MOST_SERVERS = 4
MOST_SINGLE = 60
"""Events that are asked for one by one; of more, a whole state is asked for."""
TOGETHER = 8
SECONDS = 10.0
"""How long a reader waits."""
REST_SECONDS = 60.0
"""How long nobody is asked again about a hole that nobody could fill."""
HOLES_KEPT = 1_000
MOST_DIGS = 10
BEGINNING, END = (0, -(2**62)), (2**62, 2**62)


class Digging:
    """Fills holes.

    Args:
        database: where they are noted.
        access: which servers are in a room.
        backfilling: takes the past in.
        accepting: takes in what allows it.
        remote: asks other servers.
        identity: which server this is.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        database: Database,
        access: RoomAccess,
        backfilling: Backfilling,
        accepting: Accepting,
        remote: Remote,
        identity: Identity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._access = access
        self._backfilling = backfilling
        self._accepting = accepting
        self._remote = remote
        self._identity = identity
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[bool]] = {}
        self._resting: Lru[tuple[str, int], float] = Lru(HOLES_KEPT)

    async def dig(self, room: Room, event_nid: int) -> bool:
        """Fill the hole before an event, some way down; whether something came within some seconds.

        Args:
            room: the room.
            event_nid: the event.
        """
        until = self._resting.get((room.room_id, event_nid))
        if until is not None and until > self._clock():
            return False
        task = self._tasks.get(room.room_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._dig(room, event_nid))
            self._tasks[room.room_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(room.room_id, None))
        done, _ = await asyncio.wait((task,), timeout=SECONDS)
        return bool(done) and task.result()

    async def reach(self, room: Room, event_id: str) -> bool:
        """Dig until an event has its place, from the latest hole above it down; whether it has."""
        for _ in range(MOST_DIGS):
            row = event_rows.by_id(self._database, event_id)
            if row is not None and not row.outlier:
                return row.room_nid == room.nid
            hole = gaps.highest(self._database, room.nid, END, BEGINNING)
            if hole is None or not await self.dig(room, hole[0]):
                break
        return False

    async def stop(self) -> None:
        """Dig no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _dig(self, room: Room, event_nid: int) -> bool:
        missing = gaps.before(self._database, room.nid, event_nid)
        here = self._identity.server_name
        servers = [one for one in self._access.servers(room) if one != here][:MOST_SERVERS]
        for server in servers if missing else ():
            try:
                pdus = await self._remote.backfill(server, room.room_id, missing, AT_ONCE)
                asked = AskedServer(self._database, self._accepting, self._remote, server)
                if await self._backfilling.take_in(room.room_id, pdus, asked):
                    return True
                # Conduit tells what lies before the events that it is asked about, without these themselves.
                heads = await asked.events(missing[:TOGETHER])
                if heads and await self._backfilling.take_in(room.room_id, [*heads, *pdus], asked):
                    return True
                log.info("Of the past of %s, %s tells %d events, and none leads on.", room.room_id, server, len(pdus))
            except (Unreachable, Refused, Unacceptable) as problem:
                log.info("%s does not tell of the past of %s: %s", server, room.room_id, problem)
        self._resting.put((room.room_id, event_nid), self._clock() + REST_SECONDS)
        return False


class AskedServer:
    """The server that tells of the past, for what else is needed of it.

    Args:
        database: what is here already.
        accepting: takes in what allows events.
        remote: asks it.
        server: its name.
    """

    def __init__(self, database: Database, accepting: Accepting, remote: Remote, server: str) -> None:
        self._database = database
        self._accepting = accepting
        self._remote = remote
        self._server = server

    async def bring(self, room_id: str, event_ids: Sequence[str]) -> None:
        """Have events here that others name as allowing them, as far as they can be had."""
        for start in range(0, min(len(event_ids), MOST_SINGLE), TOGETHER):
            some = event_ids[start : start + TOGETHER]
            found = await asyncio.gather(*(self._event(room_id, one) for one in some))
            await self._accepting.accept_outliers(room_id, [pdu for listed in found for pdu in listed])

    async def events(self, event_ids: Sequence[str]) -> list[object]:
        """Some events, as far as they can be had."""

        async def one(event_id: str) -> list[object]:
            try:
                return [await self._remote.event(self._server, event_id)]
            except (Unreachable, Refused):
                return []

        return [pdu for found in await asyncio.gather(*map(one, event_ids)) for pdu in found]

    async def state_before(self, room_id: str, event_id: str) -> Sequence[str] | None:
        """The ids of the events of the state before an event; None where the server does not say."""
        try:
            state, chain = await self._remote.state_ids(self._server, room_id, event_id)
            wanted = list(dict.fromkeys((*chain, *state)))
            known = await self._database.reading(lambda reader: event_rows.slots_by_ids(reader, wanted))
            if len(wanted) - len(known) > MOST_SINGLE:
                pdus, auth = await self._remote.state(self._server, room_id, event_id)
                await self._accepting.accept_outliers(room_id, [*auth, *pdus])
            return state
        except (Unreachable, Refused) as problem:
            log.info("%s does not tell a state of %s: %s", self._server, room_id, problem)
            return None

    async def _event(self, room_id: str, event_id: str) -> list[object]:
        """An event with what allows it; nothing where it is not to be had."""
        try:
            chain = await self._remote.event_auth(self._server, room_id, event_id)
            return [*chain, await self._remote.event(self._server, event_id)]
        except (Unreachable, Refused):
            return []
