"""Rooms that nobody here is in any more: taken out of the server whole.

The mark is durable and comes first (``storage/purge.py``). It is made under the room's lock with nothing of the room in
flight, and with it the room is gone: nobody finds or loads it, and what was being built on it fails. The rest goes in
slices, in the housekeeping's time. Only then can the room come back: whoever brings it back asks ``kept``.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from appliance.errors import OwnerError
from appliance.rooms.room import Room, Rooms
from appliance.storage import purge as rows
from appliance.storage.database import Database

log = logging.getLogger("hearth.rooms")

LOOKED_AT = 200
"""Rooms that are looked at in one go, to find out whether anybody still wants them."""
SLOTS = 500


class Forgets(Protocol):
    """Notes that users forgot rooms."""

    async def forget(self, user_id: str, room_nid: int) -> None:
        """A user forgot a room."""
        ...


class RoomInUse(OwnerError):  # noqa: N818 - a refusal
    """The room cannot be purged: somebody here is in it, is invited, or is just joining it."""


class Purging:
    """Takes rooms out.

    Args:
        database: where they are.
        rooms: the rooms in memory.
        standings: notes that users forgot rooms.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        gone: called on the loop with the number and the id of a room the moment it is gone, by those who keep something
            about rooms in memory.
    """

    def __init__(self, database: Database, rooms: Rooms, standings: Forgets, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._rooms = rooms
        self._standings = standings
        self._now_ms = now_ms
        self._marking = asyncio.Lock()
        self._kept: Counter[str] = Counter()
        self._steps = 0
        self.gone: list[Callable[[int, str], None]] = []

    # Marking -----------------------------------------------------------------------------------------------------

    async def purge(self, room_id: str) -> None:
        """Take a room out now, also where users who left it did not forget it: they cannot read it any more.

        Raises:
            RoomInUse: where a local user is in the room, invited, or knocks; nothing has changed then.
        """
        room = await self._rooms.find(room_id)
        if room is not None:
            if rows.is_lived_in(self._database, room.nid):
                raise RoomInUse(f"Somebody of this server is in {room_id}, or is invited: they must leave it first.")
            for user_id in rows.local_users(self._database, room.nid):
                await self._standings.forget(user_id, room.nid)
            if not await self.mark(room_id):
                raise RoomInUse(f"Somebody of this server is just joining {room_id}.")
        await self.finish(room_id)

    async def mark(self, room_id: str) -> bool:
        """Let a room be gone, and what is kept of it follow.

        Returns:
            False where a local user is in the room, invited, or just joining, or there is no such room.
        """
        async with self._marking:
            while not self._kept[room_id]:
                room = await self._rooms.find(room_id)
                if room is None:
                    return False
                async with room.lock:
                    await room.settled()
                    if self._rooms.loaded(room_id) is not room:
                        # A unit of it failed, or it made place for others: what is in memory now is another object.
                        continue
                    return not self._kept[room_id] and await self._mark(room)
            return False

    async def _mark(self, room: Room) -> bool:
        now_ms = self._now_ms()

        def published(marked: bool) -> None:
            if marked:
                # Whoever waits for the lock to build upon this room finds that nothing can be.
                room.lane.broken = RuntimeError(f"{room.room_id} has been purged.")
                self._rooms.drop(room)
                for listener in self.gone:
                    listener(room.nid, room.room_id)

        return await self._database.write(
            lambda tx: rows.mark(tx, room.nid, now_ms), lane=room.lane, published=published
        )

    @asynccontextmanager
    async def kept(self, room_id: str) -> AsyncIterator[None]:
        """Keep a room from being purged while somebody comes into it, from before anything of it is stored until they
        are in. What is still there of an earlier stay goes first. Not to be asked with a room's lock held.
        """
        self._kept[room_id] += 1
        try:
            async with self._marking:
                pass
            await self.finish(room_id)
            yield
        finally:
            self._kept[room_id] -= 1
            if not self._kept[room_id]:
                del self._kept[room_id]

    # Slices ------------------------------------------------------------------------------------------------------

    async def finish(self, room_id: str) -> None:
        """Take what is left of a room, if anything is, without waiting for a quiet time."""
        for room in await self._database.reading(rows.marked):
            while room.room_id == room_id and await self._step(room):
                pass

    async def _step(self, room: rows.MarkedRoom) -> bool:
        self._steps += 1
        return await self._database.write(partial(rows.step, room=room))

    async def left_rooms(self) -> AsyncIterator[None]:
        """Find the rooms that everybody left and forgot, and mark them; one step an item."""
        after: int | None = 0
        while after is not None:
            found, after = await self._database.reading(partial(rows.abandoned, after_nid=after, limit=LOOKED_AT))
            for room_id in found:
                if await self.mark(room_id):
                    log.info("Nobody here is in %s any more; what is kept of it goes.", room_id)
                yield

    async def marked_rooms(self) -> AsyncIterator[None]:
        """Take all that is left of marked rooms; one slice an item."""
        for room in await self._database.reading(rows.marked):
            while await self._step(room):
                yield

    async def slots(self) -> AsyncIterator[None]:
        """Drop the slots that only purged rooms had; one slice an item.

        A step of a purge in between may note slots that were not looked at: then it is left for the next time.
        """
        steps = self._steps
        if rows.marked(self._database) or not rows.has_unused_slots(self._database):
            return
        used = await self._database.reading(rows.slots_in_use)
        for start in range(0, len(used), SLOTS):
            yield
            if steps != self._steps:
                return
            await self._database.write(partial(rows.keep_slots, numbers=used[start : start + SLOTS]))
        while steps == self._steps:
            if not await self._database.write(rows.drop_unused_slots):
                return
            yield
