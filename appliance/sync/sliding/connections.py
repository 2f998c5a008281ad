"""What each connection remembers: which rooms it told, how, and up to where (MSC4186, "Connections").

The token that a client holds names a generation of that memory and a position of the stream. A generation is made, and
written, only when a room is told for the first time, is told in another way, falls out of what is told, or comes back
into it: never for what merely happens in rooms that are told anyway. So most answers write nothing.

Two generations are kept, since the client may ask again with the token before the last: it may not have got the answer.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from appliance.errors import MatrixError
from appliance.storage import sliding as rows
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.lru import Lru
from appliance.storage.sliding import Told
from appliance.storage.tokens import ConnectionToken
from appliance.sync.sliding.lists import Relevant
from appliance.sync.sliding.order import Order
from appliance.sync.sliding.wishes import RoomConfig, Wishes

KEPT = 200
"""Connections in memory."""
MOST_OF_DEVICE = 10
"""Connections of one device; clients have three. The one that was unused for the longest time is forgotten."""
MOST_CONFIGS = 40
"""Ways of telling that a connection remembers before it looks which of them are still in use."""
DAY_MS = 24 * 3600 * 1000
UNUSED_MS = 30 * DAY_MS
"""How long a connection is kept that nobody uses; its client begins anew."""
SWEEP = 50

Memory = Mapping[int, Told]
"""What was told of each room."""


class Rest(Struct, frozen=True):
    """How a connection was left by its last answer, so that the next one need not look at what is as it was.

    Args:
        generation: of the memory that the answer left.
        wishes: for which it was made.
        order: the user's rooms.
        relevant: those that it was about.
        upto: its position.
        forgotten: how many rooms the user had forgotten then, which has no position in the stream.
    """

    generation: int
    wishes: Wishes
    order: Order
    relevant: Mapping[int, Relevant]
    upto: int
    forgotten: int


class Connection:
    """One connection of a device.

    Args:
        row: what the database says of it; numbered 0 until its first answer is written.
        configs: the ways in which it told rooms, by number.
        generations: those of its memory that are kept, by number.
    """

    def __init__(self, row: rows.ConnectionRow, configs: dict[int, RoomConfig], generations: dict[int, Memory]) -> None:
        self.nid = row.connection_nid
        self.key = row.user_id, row.device_id, row.name
        self.base = row.base
        self.latest = row.latest
        self.used_ts = row.used_ts
        self.configs = configs
        self.generations = generations
        self.lock = asyncio.Lock()
        self.counts: dict[str, int] = {}
        """How many rooms each list had when it was last told."""
        self.rest: Rest | None = None
        self.newest: asyncio.Future[None] | None = None
        """Ends when another request comes in on the connection, which ends the wait of the one before it."""
        self._numbers = {config: nid for nid, config in configs.items()}

    def number(self, config: RoomConfig) -> int:
        """The number of a way of telling; a new one where it had none."""
        nid = self._numbers.get(config)
        if nid is None:
            nid = 1 + max(self.configs, default=0)
            self.configs[nid] = config
            self._numbers[config] = nid
        return nid

    def forget_configs(self, used: set[int]) -> list[int]:
        """Forget the ways of telling but those; answers the numbers of what is forgotten."""
        gone = [nid for nid in self.configs if nid not in used]
        for nid in gone:
            del self._numbers[self.configs.pop(nid)]
        return gone

    def take_over(self) -> "asyncio.Future[None]":
        """Begin a request: the one before it waits no longer. The future ends when the next one comes."""
        if self.newest is not None and not self.newest.done():
            self.newest.set_result(None)
        self.newest = asyncio.get_running_loop().create_future()
        return self.newest


class Connections:
    """All connections; told of devices that are gone.

    Args:
        database: where they are.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._kept: Lru[tuple[str, str, str], Connection] = Lru(KEPT, kept=lambda one: one.lock.locked())

    def begin(self, user_id: str, device_id: str, name: str) -> Connection:
        """A connection without memory; what went by its name before is forgotten. Its first answer is written with it,
        by ``advance``.
        """
        row = rows.ConnectionRow(0, user_id, device_id, name, 0, 0, self._now_ms())
        connection = Connection(row, {}, {0: {}})
        before = self._kept.get((user_id, device_id, name))
        if before is not None:
            before.take_over()
        self._kept.put((user_id, device_id, name), connection)
        return connection

    async def find(self, user_id: str, device_id: str, name: str, token: ConnectionToken) -> Connection:
        """The connection that a token is of.

        Raises:
            MatrixError: 400 ``M_UNKNOWN_POS`` where the token is not of this connection, or too old.
        """
        key = user_id, device_id, name
        connection = self._kept.get(key)
        if connection is None:
            row = rows.connection(self._database, user_id, device_id, name)
            if row is None or row.connection_nid != token.connection_nid:
                raise unknown_pos()
            read = await self._database.reading(lambda reader: _read(reader, row))
            # Another request may have read it meanwhile: there must be one object alone.
            connection = self._kept.get(key)
            if connection is None:
                connection = read
                self._kept.put(key, connection)
        if connection.nid != token.connection_nid or token.generation not in (connection.base, connection.latest):
            raise unknown_pos()
        if connection.used_ts < self._now_ms() - DAY_MS:
            connection.used_ts = now = self._now_ms()
            await self._database.write(lambda tx: rows.use(tx, connection.nid, now))
        return connection

    async def advance(self, connection: Connection, base: int, memory: Memory) -> int:
        """Remember what an answer tells; nothing is written where it is what is remembered already, unless the
        connection itself is new.

        Args:
            connection: the connection, with its lock held.
            base: the generation that the client has.
            memory: what it has once it got the answer.

        Returns:
            the number of the generation, for the token.
        """
        before = connection.generations[base]
        if memory == before and connection.nid:
            return base
        changes: dict[int, Told | None] = {nid: told for nid, told in memory.items() if before.get(nid) != told}
        changes.update((nid, None) for nid in before if nid not in memory)
        latest = connection.latest + 1
        gone: list[int] = []
        if len(connection.configs) > MOST_CONFIGS:
            gone = connection.forget_configs({told.config_nid for told in (*before.values(), *memory.values())})
        used = {told.config_nid for told in changes.values() if told is not None}
        known = {told.config_nid for told in before.values()}
        fresh = {nid: msgspec.json.encode(connection.configs[nid]) for nid in used - known}

        def unit(tx: Tx) -> int:
            nid = connection.nid or rows.begin(tx, *connection.key, connection.used_ts, MOST_OF_DEVICE)
            rows.advance(tx, nid, base, latest, changes, fresh)
            rows.drop_configs(tx, nid, gone)
            return nid

        connection.nid = await self._database.write(unit)
        connection.base, connection.latest = base, latest
        connection.generations = {base: before, latest: memory}
        return latest

    def deleting(self, tx: Tx, user_id: str, device_id: str) -> None:
        """In the unit that deletes a device."""
        rows.drop_of_device(tx, user_id, device_id)

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone, and with it what is in memory."""
        for key in [key for key in self._kept if key[:2] == (user_id, device_id)]:
            self._kept.drop(key)

    async def prune(self) -> int:
        """Forget some connections that nobody used for long; answers how many."""
        before = self._now_ms() - UNUSED_MS
        found = await self._database.reading(lambda reader: rows.unused(reader, before, SWEEP))
        if found:
            await self._database.write(lambda tx: rows.drop(tx, found))
        return len(found)


def unknown_pos() -> MatrixError:
    """400 ``M_UNKNOWN_POS``."""
    return MatrixError("M_UNKNOWN_POS", "This position is not known any more. Start again without it.")


def _read(reader: Reads, row: rows.ConnectionRow) -> Connection:
    configs = {
        nid: msgspec.json.decode(config, type=RoomConfig)
        for nid, config in rows.configs_of(reader, row.connection_nid).items()
    }
    generations = {number: rows.generation(reader, row.connection_nid, number) for number in {row.base, row.latest}}
    return Connection(row, configs, dict(generations))
