"""A room in use, with its two faces, and the registry of those that are in memory.

*Head* is what the next event is built on; it moves under the room's lock as soon as an event is checked. *Published* is
all that readers see; it moves only after the commit, in the order of positions. The lock is not held while a unit
commits. When a unit fails, every later unit of the room fails with it (they share a ``Lane``), and the room is read
anew from the database.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from appliance.errors import MatrixError, forbidden
from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.protocol.power import PowerLevels
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.rooms.snapshot import Extremity, Members, Snapshot
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage import memberships as membership_rows
from appliance.storage import outside as outside_rows
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Lane, Reader, Tx
from appliance.storage.lru import Lru
from appliance.storage.rooms import RoomRow

T = TypeVar("T")

ROOMS_KEPT = 500


class Room:
    """One room in memory.

    Args:
        row: what the database says of it.
        snapshot: the room as it was read, both faces at first.
        position: the last position that the published face holds.
        store: where its events are read.
        create: the create event of a room that is only being made.
    """

    __slots__ = (
        "_create",
        "_power",
        "closed_in_flight",
        "head",
        "in_flight",
        "lane",
        "last_unit",
        "lock",
        "nid",
        "position",
        "published",
        "room_id",
        "store",
        "version",
    )

    def __init__(
        self, row: RoomRow, snapshot: Snapshot, position: int, store: EventStore, create: Event | None = None
    ) -> None:
        self.nid = row.room_nid
        self.room_id = row.room_id
        self.version: RoomVersion = VERSIONS[row.version]
        self.lock = asyncio.Lock()
        self.lane = Lane()
        self.head = snapshot
        self.published = snapshot
        self.position = position
        self.in_flight = 0
        self.closed_in_flight = 0
        self.last_unit: asyncio.Future[Any] | None = None
        self.store = store
        self._create = create
        self._power: tuple[int | None, PowerLevels] | None = None

    def state_event(self, snapshot: Snapshot, event_type: str, state_key: str = "") -> Event | None:
        """The event in one slot of a snapshot, or None."""
        nid = snapshot.state.get((event_type, state_key))
        return None if nid is None else self.store.event(nid)

    @property
    def create(self) -> Event:
        """The room's create event."""
        if self._create is None:
            self._create = self.state_event(self.head, "m.room.create")
        if self._create is None:
            raise MatrixError("M_UNKNOWN", "This room has no create event; its data is damaged.", 500)
        return self._create

    def implied(self) -> list[int]:
        """The numbers of what allows every event of the room without being named by any: the create event, where the
        room's id names it. It belongs to their auth chains all the same (room version 12).
        """
        return [self.head.state["m.room.create", ""]] if self.version.hash_room_ids else []

    def power(self, snapshot: Snapshot) -> PowerLevels:
        """The power levels of a snapshot, parsed once for each power_levels event."""
        nid = snapshot.state.get(("m.room.power_levels", ""))
        if self._power is None or self._power[0] != nid:
            levels = PowerLevels(self.version, None if nid is None else self.store.event(nid), self.create)
            self._power = (nid, levels)
        return self._power[1]

    async def settled(self) -> None:
        """Wait until what was submitted for this room is committed or has failed."""
        while self.in_flight and self.last_unit is not None:
            await asyncio.wait((self.last_unit,))

    def forget_parsed(self) -> None:
        """Parse the power levels anew when next asked, since a stored event changed."""
        self._power = None

    def is_followed_by(self, server_name: str) -> bool:
        """Whether somebody of a server is in the room, so that the server follows what happens there."""
        return any(server_of(user_id) == server_name for user_id in self.published.members.having("join"))

    def is_deserted(self) -> bool:
        """Whether everybody has left the room as it is known here: then nothing can have happened in it since."""
        return bool(self.published.extremities) and not self.published.members.having("join")

    def must_be_joined(self, user_id: str, snapshot: Snapshot | None = None) -> None:
        """Refuse somebody who is not in the room with ``M_FORBIDDEN``."""
        if (snapshot or self.published).members.of(user_id) != "join":
            raise forbidden("You are not in this room.")


@dataclass(frozen=True, slots=True)
class _Loaded:
    snapshot: Snapshot
    position: int


class Rooms:
    """The rooms that this server knows, those in use kept in memory.

    Args:
        database: where they are.
        store: where their events are read.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._rooms: Lru[str, Room] = Lru(ROOMS_KEPT, kept=lambda room: room.in_flight > 0 or room.lock.locked())
        self._loading: dict[str, asyncio.Task[Room | None]] = {}

    def loaded(self, room_id: str) -> Room | None:
        """The room, if it is in memory."""
        return self._rooms.get(room_id)

    async def find(self, room_id: str) -> Room | None:
        """The room, read if need be; None for a room that this server does not know.

        Two who ask at once get the same object: a room with two heads would fork by itself.
        """
        room = self._rooms.get(room_id)
        if room is not None:
            return room
        task = self._loading.get(room_id)
        if task is None:
            task = asyncio.ensure_future(self._load(room_id))
            self._loading[room_id] = task
            task.add_done_callback(lambda _: self._loading.pop(room_id, None))
        return await asyncio.shield(task)

    async def joined(self, room_id: str, user_id: str) -> Room:
        """The room, for somebody who must be in it.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where they are not, which is also what an unknown room answers.
        """
        room = await self.find(room_id)
        if room is None:
            raise forbidden("You are not in this room.")
        room.must_be_joined(user_id)
        return room

    def add(self, room: Room) -> None:
        """Take in a room that was just made."""
        self._store.know_room(room.nid, room.version)
        self._rooms.put(room.room_id, room)

    def drop(self, room: Room) -> None:
        """Forget a room's memory, since a unit of it failed; whoever asks next reads the database."""
        if self._rooms.get(room.room_id) is room:
            self._rooms.drop(room.room_id)

    def submit(
        self,
        room: Room,
        unit: Callable[[Tx], T],
        published: Callable[[T], None] | None = None,
        *,
        is_open: bool = False,
    ) -> "asyncio.Future[T]":
        """Hand a unit of a room to the writer, with the room's lock held.

        Until it is committed the room counts as in flight; where it fails, whoever asks for the room next reads the
        database.

        Args:
            room: the room.
            unit: as ``Database.submit`` takes it.
            published: the same.
            is_open: whether all that the unit does can be known from the room's head and from what the store says is
                under way, so that more may be built upon it before it is committed.
        """
        future = self._database.submit(unit, lane=room.lane, published=published)
        self.follow(room, future, is_open=is_open)
        return future

    def follow(self, room: Room, future: "asyncio.Future[Any]", *, is_open: bool = False) -> None:
        """Count a room as in flight until a unit that was submitted has ended, and forget it where that fails.

        Args:
            room: the room.
            future: ends with the unit.
            is_open: as ``submit`` takes it.
        """
        room.in_flight += 1
        room.closed_in_flight += not is_open
        room.last_unit = future
        future.add_done_callback(lambda done: self._settle(room, is_open, done))

    def _settle(self, room: Room, is_open: bool, done: "asyncio.Future[Any]") -> None:
        room.in_flight -= 1
        room.closed_in_flight -= not is_open
        if done.cancelled() or done.exception() is not None:
            self.drop(room)

    async def _load(self, room_id: str) -> Room | None:
        row = room_rows.by_id(self._database, room_id)
        if row is None:
            return None
        loaded = await self._database.reading(lambda reader: _read(reader, row.room_nid))
        there = self._rooms.get(room_id)
        if there is not None:
            return there  # somebody took it in meanwhile
        if not loaded.snapshot.state:
            # Nothing is known of it but how somebody stands to it (``outside.py``).
            return None
        room = Room(row, loaded.snapshot, loaded.position, self._store)
        self.add(room)
        return room


def _read(reader: Reader, room_nid: int) -> _Loaded:
    """A room's snapshot out of the database, in one view of it."""
    memberships = membership_rows.of_room(reader, room_nid)
    for user_id, membership in outside_rows.inside(reader, room_nid).items():
        # What is known from outside is no part of the room.
        memberships.pop(user_id)
        if membership is not None:
            memberships[user_id] = membership
    ends = tuple(Extremity(*row) for row in event_rows.extremities(reader, room_nid))
    group_nid = room_rows.state_group(reader, room_nid)
    if group_nid is None:
        groups = state_rows.groups_of(reader, ends[0].nid) if ends else None
        group_nid = groups[1] if groups else 0
    snapshot = Snapshot(
        ends,
        group_nid,
        state_rows.current(reader, room_nid),
        Members(memberships),
    )
    return _Loaded(snapshot, room_rows.last_position(reader, room_nid))
