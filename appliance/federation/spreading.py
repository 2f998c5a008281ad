"""What users do that is no event, on its way to other servers: typing, public receipts, presence."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import orjson

from appliance.federation.destination import Destination
from appliance.federation.memory import Clock
from appliance.federation.outbox import Outbox
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.signs.receipts import READ
from appliance.storage.lru import Lru
from appliance.storage.receipts import Receipt

AGAIN_SECONDS = 20.0
"""How often others are told that somebody goes on to type; they forget it after thirty seconds or sixty."""
TYPISTS_KEPT = 1000
INTRODUCED_AFTER = (2.0, 30.0)
"""Seconds after which a server that is new to somebody is told whether they are there: it passes over what it hears of
people before it has taken the room in, and nothing says when it has. The second time is for large rooms.
"""
MOST_NEW = 1000
"""Servers that are to be told so at the same time; further ones learn it when something changes."""

Later = Callable[[float, Callable[[], None]], object]


class Allows(Protocol):
    """Which servers a room keeps out."""

    def is_allowed(self, room: Room, server: str) -> bool:
        """Whether a room's access control list lets a server take part."""
        ...


class Presences(Protocol):
    """What users are."""

    def content(self, user_id: str) -> dict[str, Any]:
        """What there is to know of a user, as the content of ``m.presence``."""
        ...

    def there_in(self, room_nid: int) -> list[str]:
        """The users who are in a room and not offline."""
        ...


class Spreading:
    """Gives signs to the destinations of their rooms.

    Args:
        outbox: where they go.
        rooms: the rooms in memory.
        identity: whose users are told of.
        access: which servers a room keeps out.
        presence: what users are.
        servers_of_user: the servers that share a room with a user.
        clock: the time in seconds.
        later: calls something after so many seconds; the loop's own unless said otherwise.
    """

    def __init__(
        self,
        outbox: Outbox,
        rooms: Rooms,
        identity: Identity,
        access: Allows,
        presence: Presences,
        servers_of_user: Callable[[str], Iterable[str]],
        clock: Clock = time.monotonic,
        later: Later | None = None,
    ) -> None:
        self._outbox = outbox
        self._rooms = rooms
        self._identity = identity
        self._access = access
        self._presence = presence
        self._servers_of_user = servers_of_user
        self._clock = clock
        self._later = later
        self._told: Lru[tuple[str, str], float] = Lru(TYPISTS_KEPT)
        self._new: dict[str, tuple[set[str], set[int]]] = {}
        """By server, the users who are new to it, and the rooms that it is new in."""

    def typing(self, room_id: str, user_id: str, typing: bool) -> None:
        """Somebody types, goes on to type, or types no more."""
        room = self._rooms.loaded(room_id)
        if room is None or not self._is_ours(user_id):
            return
        key, now = (room_id, user_id), self._clock()
        if not typing:
            self._told.drop(key)
        elif now - (self._told.get(key) or -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        else:
            self._told.put(key, now)
        for destination in self._destinations(room):
            destination.signs.typing(room_id, user_id, typing)
            destination.work()

    def receipt(self, receipt: Receipt, room: Room, position: int) -> None:
        """Somebody has read; others are told of public receipts only."""
        if receipt.type != READ or not self._is_ours(receipt.user_id):
            return
        data = orjson.loads(receipt.data)
        for destination in self._destinations(room):
            destination.signs.receipt(room.room_id, receipt.user_id, receipt.thread_id, receipt.event_id, data)
            destination.work()

    def presence(self, users: Sequence[str]) -> None:
        """The presence of users changed, or is to be told again."""
        for user_id in users:
            self._tell_presence(user_id, self._servers_of_user(user_id))

    def met(self, user_id: str, servers: Iterable[str]) -> None:
        """A local user came into a room with servers that knew nothing of them."""
        for server in servers:
            self._introduce(server, users=(user_id,))

    def came(self, room_nid: int, server: str) -> None:
        """A server came into a room, and knows nothing of some who are in it."""
        self._introduce(server, rooms=(room_nid,))

    def _introduce(self, server: str, *, users: Iterable[str] = (), rooms: Iterable[int] = ()) -> None:
        if server not in self._new:
            if len(self._new) >= MOST_NEW:
                return
            self._new[server] = set(), set()
            later = self._later or asyncio.get_running_loop().call_later
            for seconds in INTRODUCED_AFTER:
                last = seconds == INTRODUCED_AFTER[-1]
                later(seconds, lambda last=last: self._tell_new(server, last=last))  # type: ignore[misc]
        some, places = self._new[server]
        some.update(users)
        places.update(rooms)

    def _tell_new(self, server: str, *, last: bool) -> None:
        """Tell a server who is there of those who are new to it and still share a room with it."""
        users, rooms = self._new[server]
        if last:
            del self._new[server]
        there = set(users)
        for room_nid in rooms:
            there.update(user_id for user_id in self._presence.there_in(room_nid) if self._is_ours(user_id))
        for user_id in there:
            if self._presence.content(user_id)["presence"] != "offline" and server in self._servers_of_user(user_id):
                self._tell_presence(user_id, (server,))

    def _tell_presence(self, user_id: str, servers: Iterable[str]) -> None:
        push: dict[str, Any] | None = None
        for server in servers:
            destination = self._outbox.to(server)
            if destination is None or destination.behind:
                continue
            push = push or {"last_active_ago": 0, **self._presence.content(user_id), "user_id": user_id}
            destination.signs.presence(user_id, push)
            destination.work()

    def _destinations(self, room: Room) -> Iterable[Destination]:
        here = self._identity.server_name
        for server in self._outbox.servers(room.nid, room.published.members):
            destination = None if server == here else self._outbox.to(server)
            if destination is not None and not destination.behind and self._access.is_allowed(room, server):
                yield destination

    def _is_ours(self, user_id: str) -> bool:
        return server_of(user_id) == self._identity.server_name
