"""Receipts and fully-read markers: up to where a user has read a room (client-server API, modules "Receipts", "Read and
unread markers").

Receipts are rows of the stream that the room's members are told of, private ones only their user's own devices. The
fully-read marker is room account data. Neither moves backwards.
"""

from collections.abc import Callable
from typing import Any

import orjson

from appliance.accounts.account_data import AccountData
from appliance.errors import invalid_param
from appliance.protocol.relations import THREAD, relation_of
from appliance.rooms.room import Room, Rooms
from appliance.rooms.signs.threads import MAIN, MOST_HOPS
from appliance.rooms.store import EventStore
from appliance.storage.database import Database, Tx
from appliance.storage.receipts import PRIVATE, Receipt, is_later, put_receipt

READ, FULLY_READ = "m.read", "m.fully_read"
MOST_THREADS = 500
"""Threads of a room in which a user of another server has read, as their server can name threads that there are not."""


class Receipts:
    """Takes the receipts and markers of local users.

    Args:
        database: where receipts are.
        rooms: the rooms in memory.
        store: the events in memory.
        account_data: where markers are.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        changed: called on the loop after the commit of a receipt, with it, its room and its position.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        store: EventStore,
        account_data: AccountData,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._store = store
        self._account_data = account_data
        self._now_ms = now_ms
        self.changed: list[Callable[[Receipt, Room, int], None]] = []

    async def read(self, user_id: str, room_id: str, kind: str, event_id: str, thread_id: str = "") -> None:
        """Note that a user has read up to an event. One that is not known in the room changes nothing.

        Args:
            user_id: the local user.
            room_id: the room.
            kind: ``m.read`` or ``m.read.private``.
            event_id: the event.
            thread_id: the root of a thread, ``main`` for what is in no thread, or empty for everything.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who is not in the room, ``M_INVALID_PARAM`` for an event that has
                nothing to do with the thread.
        """
        room = await self._rooms.joined(room_id, user_id)
        if not self._is_known(room, event_id):
            return
        if thread_id and not self._belongs(event_id, thread_id):
            raise invalid_param("This event has nothing to do with the thread that thread_id names.")
        data: dict[str, Any] = {"ts": self._now_ms()}
        if thread_id:
            data["thread_id"] = thread_id
        await self.keep(room, Receipt(room_id, user_id, kind, thread_id, event_id, orjson.dumps(data).decode()))

    async def keep(self, room: Room, receipt: Receipt, most: int | None = None) -> None:
        """Keep a receipt that was found good, unless there is a later one; of so many threads at most."""

        def published(position: int | None) -> None:
            if position is not None:
                for callback in self.changed:
                    callback(receipt, room, position)

        await self._database.write(lambda tx: put_receipt(tx, receipt, most), published=published)

    async def take(self, room: Room, user_id: str, event_id: str, thread_id: str, data: dict[str, Any]) -> None:
        """Take in the public receipt of a user of another server, who is in the room.

        Args:
            room: the room.
            user_id: the user.
            event_id: up to where they have read; it need not be here yet.
            thread_id: the root of a thread, ``main``, or empty.
            data: ``ts``, and ``thread_id`` where there is one.
        """
        receipt = Receipt(room.room_id, user_id, READ, thread_id, event_id, orjson.dumps(data).decode())
        await self.keep(room, receipt, MOST_THREADS if thread_id else None)

    async def mark(self, user_id: str, room_id: str, event_id: str, *, backwards: bool = False) -> None:
        """Move a user's fully-read marker. An event that is not known in the room changes nothing.

        Args:
            user_id: the local user.
            room_id: the room.
            event_id: the event.
            backwards: whether the marker may move backwards too, where its user explicitly wants that (MSC4446).

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who is not in the room.
        """
        room = await self._rooms.joined(room_id, user_id)
        if not self._is_known(room, event_id):
            return

        def work(tx: Tx, content: dict[str, Any]) -> dict[str, Any] | None:
            before = content.get("event_id")
            if before == event_id:
                return None
            if not backwards and isinstance(before, str) and not is_later(tx, room_id, event_id, before):
                return None
            return {"event_id": event_id}

        await self._account_data.alter(user_id, FULLY_READ, room_id, work)

    def _is_known(self, room: Room, event_id: str) -> bool:
        found = self._store.find(event_id)
        return found is not None and found[0].room_nid == room.nid and found[0].position is not None

    def _belongs(self, event_id: str, thread_id: str) -> bool:
        """Whether a receipt for an event may be one of a thread.

        To ``main`` belongs what is in no thread. To a thread belong its root and whatever relates to it, by whatever
        chain of relations: clients send such receipts for reactions to what is in a thread.
        """
        here = event_id
        for _ in range(MOST_HOPS):
            if here == thread_id:
                return True
            found = self._store.find(here)
            relation = relation_of(found[1].content) if found else None
            if relation is None:
                break
            here = relation.parent_id
            if thread_id == MAIN and relation.rel_type == THREAD:
                return False
        return thread_id in (MAIN, here)


__all__ = ["FULLY_READ", "PRIVATE", "READ", "Receipts"]
