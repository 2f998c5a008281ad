"""Keeping events that name others which are not here yet, or that are signed with keys which cannot be had now."""

import asyncio
from collections.abc import Callable, Sequence

from appliance.protocol.events import Event
from appliance.storage import waiting as rows
from appliance.storage.database import Database, Tx
from appliance.storage.waiting import LeftOut, WaitingEvent

MOST_OF_ROOM = 1_000
MOST_OF_ORIGIN = 2_000
AT_ONCE = 100
FOR_KEYS_AT_ONCE = 20
MOST_LEFT_OUT = 500
"""Of a room, for want of keys."""
LONGEST_MS = 7 * 24 * 3600 * 1000
"""How long an event waits. What it stands on has been asked for many times by then."""


class Holding:
    """The events that wait.

    Args:
        database: where they are.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._on_their_way = 0
        self._any = rows.is_any(database)

    def may_wait(self) -> bool:
        """Whether any event may be waiting for anything; mostly none is, and nothing needs to be looked for."""
        return self._any

    async def hold(self, event: Event, origin: str, missing: Sequence[str]) -> None:
        """Let an event wait.

        Args:
            event: the event.
            origin: the server that sent it.
            missing: the ids of what it waits for.
        """
        waiting = WaitingEvent(event.event_id, event.room_id, origin, self._now_ms(), event.json)
        self._any = True
        self._on_their_way += 1
        put = self._database.submit(lambda tx: rows.put(tx, waiting, missing, MOST_OF_ROOM, MOST_OF_ORIGIN))
        put.add_done_callback(self._is_put)
        await asyncio.shield(put)

    async def hold_for_keys(self, event: Event, origin: str, server: str) -> None:
        """Let an event wait for the keys of a server; one that was checked and waits already is left as it is."""
        mark = rows.keys_of(server)
        if rows.by_id(self._database, event.event_id) is None:
            await self.hold(event, origin, [mark])
        elif rows.is_unchecked(self._database, event.event_id) and not rows.is_left_out(self._database, event.event_id):
            await self.wait_for(event.event_id, [mark])

    async def waiting_for_keys(self, server: str, after: str) -> list[WaitingEvent]:
        """Some of the events that wait for the keys of a server, in the order of their ids, from one id on."""
        return await self._database.reading(lambda reader: rows.for_keys(reader, server, after, FOR_KEYS_AT_ONCE))

    async def servers_wanted(self) -> list[tuple[str, str]]:
        """The servers for whose keys events wait, each with one that sent such an event."""
        return await self._database.reading(rows.servers_wanted)

    def leave_out(self, tx: Tx, room_id: str, events: Sequence[LeftOut], *, anew: bool) -> None:
        """In the unit that stores a state which was told: keep what was left out of it for want of keys; ``anew`` where
        the room is as it was told from then on.
        """
        rows.put_left_out(tx, room_id, events, self._now_ms(), MOST_LEFT_OUT, MOST_OF_ORIGIN, anew=anew)

    def leaves_out(self) -> None:
        """Before such a unit is submitted: something may be waiting from now on."""
        self._any = True

    async def left_out(self, room_id: str, server: str) -> list[LeftOut]:
        """What was left out of a room for want of the keys of a server."""
        return await self._database.reading(lambda reader: rows.left_out(reader, room_id, server))

    async def rooms_without(self, server: str) -> list[str]:
        """The ids of the rooms out of which something was left for want of the keys of a server."""
        return await self._database.reading(lambda reader: rows.rooms_without(reader, server))

    def is_waited_for(self, server: str) -> bool:
        """Whether anything waits for the keys of a server."""
        return self._any and rows.is_awaited(self._database, rows.keys_of(server))

    def still_left_out(self, tx: Tx, event_id: str, server: str) -> None:
        """In a unit: let what was left out wait for the keys of another server."""
        rows.still_left_out(tx, event_id, server)

    def _is_put(self, done: "asyncio.Future[None]") -> None:
        self._on_their_way -= 1

    async def wait_for(self, event_id: str, missing: Sequence[str]) -> None:
        """Let an event that waits already wait for these from now on."""
        await self._database.write(lambda tx: rows.wait_for(tx, event_id, missing))

    async def drop(self, event_id: str) -> None:
        """Give up an event that waits."""
        await self._database.write(lambda tx: rows.remove(tx, event_id))

    async def prune(self) -> int:
        """Give up, a few at a time, what waited too long; answers how many those were."""
        before = self._now_ms() - LONGEST_MS
        dropped = await self._database.write(lambda tx: rows.drop_older(tx, before, AT_ONCE))
        if not self._on_their_way:
            self._any = rows.is_any(self._database)
        return dropped

    def let_go(self, tx: Tx, event_id: str) -> None:
        """In the unit that stores an event: it waits no longer."""
        rows.remove(tx, event_id)

    def waiting(self, event_id: str) -> WaitingEvent | None:
        """The event of that id, if it waits."""
        return rows.by_id(self._database, event_id)

    async def ready(self, event_id: str) -> list[str]:
        """The ids of what waited for this event and has all that it needs now."""
        if not self._any or not rows.is_awaited(self._database, event_id):
            return []
        return await self._database.reading(lambda reader: rows.ready(reader, event_id))

    async def due(self, after: str) -> list[str]:
        """The ids of some of what has all that it needs, in the order of ids, from one id on."""
        return await self._database.reading(lambda reader: rows.due(reader, after, AT_ONCE))

    async def missing(self, room_id: str, limit: int) -> list[str]:
        """The ids of what events of a room wait for: what other servers are to be asked for."""
        return await self._database.reading(lambda reader: rows.missing(reader, room_id, limit))
