"""Connections that are kept for the next request: a few for each server, bounded in all."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.federation.discovery import Route
from appliance.federation.memory import Clock
from appliance.federation.wire import Broken, Connection, Doors, Headers, Reply
from appliance.later import Later

AT_ONCE = 6
"""Requests to one server at the same time; further ones wait."""
IDLE_SECONDS = 45.0
"""How long a connection is kept that nobody uses."""
MOST_IDLE = 100
"""Connections that are kept in all."""


class _Pool:
    __slots__ = ("idle", "turn", "users")

    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.turn = asyncio.Semaphore(AT_ONCE)
        self.users = 0


class Pools:
    """The connections of all servers.

    Args:
        doors: opens new ones.
        clock: the time in seconds.
    """

    def __init__(self, doors: Doors, clock: Clock = time.monotonic) -> None:
        self._doors = doors
        self._clock = clock
        self._pools: OrderedDict[Route, _Pool] = OrderedDict()
        self._sweeping = Later(IDLE_SECONDS, self._sweep)

    @asynccontextmanager
    async def exchange(
        self, route: Route, method: str, target: bytes, headers: Headers, body: bytes
    ) -> AsyncIterator[tuple[Reply, AsyncIterator[bytes]]]:
        """Send a request; inside, the beginning of the answer is there and its body can be read.

        A body that is not read to its end ends the connection.

        Raises:
            Unreachable: where no connection is to be had.
            Broken: where it broke.
        """
        pool = self._pools.setdefault(route, _Pool())
        pool.users += 1
        try:
            async with pool.turn:
                connection, reply = await self._begun(pool, route, method, target, headers, body)
                whole = False

                async def pieces() -> AsyncIterator[bytes]:
                    nonlocal whole
                    async for piece in connection.pieces():
                        yield piece
                    whole = True

                try:
                    yield reply, pieces()
                finally:
                    if whole and connection.renew():
                        self._keep(route, pool, connection)
                    else:
                        connection.close()
        finally:
            pool.users -= 1
            if not pool.users and not pool.idle:
                self._pools.pop(route, None)

    def close(self) -> None:
        """End what is idle."""
        self._sweeping.cancel()
        for pool in self._pools.values():
            for connection in pool.idle:
                connection.close()
            pool.idle.clear()

    async def _begun(
        self, pool: _Pool, route: Route, method: str, target: bytes, headers: Headers, body: bytes
    ) -> tuple[Connection, Reply]:
        """A connection on which the request was sent and the answer has begun."""
        while True:
            used = self._idle(pool)
            connection = used or await self._doors.open(route)
            try:
                return connection, await connection.begin(method, target, headers, body)
            except BaseException as error:
                connection.close()
                # The other side closed it while it was idle, and never heard this.
                if used is not None and isinstance(error, Broken) and error.unheard:
                    continue
                raise

    def _idle(self, pool: _Pool) -> Connection | None:
        while pool.idle:
            connection = pool.idle.pop()
            if connection.is_open and self._clock() - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        return None

    def _keep(self, route: Route, pool: _Pool, connection: Connection) -> None:
        connection.idle_since = self._clock()
        pool.idle.append(connection)
        self._pools.move_to_end(route)
        if sum(len(one.idle) for one in self._pools.values()) > MOST_IDLE:
            oldest = next(one for one in self._pools.values() if one.idle)
            oldest.idle.pop(0).close()
        self._sweeping.want()

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        limit = self._clock() - IDLE_SECONDS
        for route, pool in list(self._pools.items()):
            for connection in [one for one in pool.idle if one.idle_since <= limit or not one.is_open]:
                pool.idle.remove(connection)
                connection.close()
            if not pool.idle and not pool.users:
                del self._pools[route]
        if self._pools:
            self._sweeping.want()
