"""What other servers send that is no event (server-server API, "EDUs"): checked one by one, and given to whom it
concerns. What is malformed, of somebody else's users, or of a room that keeps the server out, is passed over.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from appliance.errors import MatrixError
from appliance.federation.spreading import Allows
from appliance.protocol.identifiers import fits, is_user_id, server_of
from appliance.rooms.room import Room, Rooms
from appliance.rooms.signs.receipts import Receipts
from appliance.rooms.signs.typing import Typing
from appliance.storage.errors import StorageError

log = logging.getLogger("hearth.federation.edus")

MOST_EDUS = 100
MOST_RECEIPTS = 1000
"""Receipts of one EDU that are taken."""
MOST_PRESENCES = 1000
MAX_TIMESTAMP = 2**53 - 1

Content = Mapping[str, Any]
Taker = Callable[[str, Content], Awaitable[None]]


class TakesPresence(Protocol):
    """Keeps what users are."""

    def take(self, server: str, updates: Sequence[Any]) -> None:
        """Take in what another server says of its users."""
        ...


class EduInbox:
    """Takes EDUs in.

    Args:
        rooms: the rooms in memory.
        access: which servers a room keeps out.
        typing: keeps who types.
        receipts: keeps who has read.
        presence: keeps who is there.

    Attributes:
        takers: further kinds by name, each called with the server and the content; what it raises of ``MatrixError`` is
            no concern of the others. Messages to devices and lists of devices are put in here.
    """

    def __init__(
        self, rooms: Rooms, access: Allows, typing: Typing, receipts: Receipts, presence: TakesPresence
    ) -> None:
        self._rooms = rooms
        self._access = access
        self._typing = typing
        self._receipts = receipts
        self._presence = presence
        self.takers: dict[str, Taker] = {
            "m.typing": self._take_typing,
            "m.receipt": self._take_receipts,
            "m.presence": self._take_presence,
        }

    async def receive(self, origin: str, edus: Sequence[Any]) -> None:
        """Take the EDUs of one transaction, in order; what must not be lost is durable when this returns.

        Args:
            origin: the server that sent them, authenticated.
            edus: as they came.

        Raises:
            StorageError: where nothing can be kept, so that the transaction must not be answered with success.
        """
        for edu in edus[:MOST_EDUS]:
            if not isinstance(edu, Mapping):
                continue
            kind, content = edu.get("edu_type"), edu.get("content")
            taker = self.takers.get(kind) if isinstance(kind, str) else None
            if taker is None or not isinstance(content, Mapping):
                continue
            try:
                await taker(origin, content)
            except StorageError:
                raise  # the server sends all of it again
            except MatrixError as error:
                log.info("%s sends an %s that is not good: %s", origin, kind, error.message)
            except Exception:
                # One that meets a mistake of ours must not keep the others, and all events, from coming in.
                log.exception("An %s of %s could not be taken in.", kind, origin)

    async def _take_typing(self, origin: str, content: Content) -> None:
        user_id, typing = content.get("user_id"), content.get("typing")
        if not _is_of(user_id, origin) or not isinstance(typing, bool):
            return
        room = await self._room(origin, content.get("room_id"))
        if room is not None:
            self._typing.take(str(user_id), room, typing)

    async def _take_receipts(self, origin: str, content: Content) -> None:
        left = MOST_RECEIPTS
        for room_id, kinds in content.items():
            users = kinds.get("m.read") if isinstance(kinds, Mapping) else None
            room = await self._room(origin, room_id) if isinstance(users, Mapping) else None
            if room is None or users is None:
                continue
            for user_id, receipt in users.items():
                left -= 1
                if left < 0:
                    return
                if _is_of(user_id, origin) and room.published.members.of(user_id) == "join":
                    await self._take_receipt(room, user_id, receipt)

    async def _take_receipt(self, room: Room, user_id: str, receipt: object) -> None:
        if not isinstance(receipt, Mapping):
            return
        event_ids, data = receipt.get("event_ids"), receipt.get("data")
        if not isinstance(event_ids, list) or not event_ids or not isinstance(data, Mapping):
            return
        event_id, ts, thread_id = event_ids[0], data.get("ts"), data.get("thread_id", "")
        if not isinstance(event_id, str) or not event_id.startswith("$") or not fits(event_id):
            return
        if not isinstance(thread_id, str) or not fits(thread_id):
            return
        kept: dict[str, Any] = {"thread_id": thread_id} if thread_id else {}
        if isinstance(ts, int) and not isinstance(ts, bool) and 0 <= ts <= MAX_TIMESTAMP:
            kept["ts"] = ts
        await self._receipts.take(room, user_id, event_id, thread_id, kept)

    async def _take_presence(self, origin: str, content: Content) -> None:
        push = content.get("push")
        if isinstance(push, list):
            self._presence.take(origin, push[:MOST_PRESENCES])

    async def _room(self, origin: str, room_id: object) -> Room | None:
        """A room that is known here and does not keep a server out."""
        if not isinstance(room_id, str) or not fits(room_id):
            return None
        room = await self._rooms.find(room_id)
        return room if room is not None and self._access.is_allowed(room, origin) else None


def _is_of(user_id: object, server: str) -> bool:
    """Whether this is the id of a user of a server."""
    return isinstance(user_id, str) and is_user_id(user_id) and server_of(user_id) == server
