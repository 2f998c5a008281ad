"""Keys that cannot be had at the moment and that events wait for (server-server API, "Retrieving server keys").

An event that is not from the server that signed it (what lies between events, a member whom another server let in) can
come while that server is away. It waits in the database (``rooms/incoming/holding.py``); here its server is asked again
and again, ever more seldom, and what waited is judged once the keys are there, however they came.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from appliance.federation.keyring import Keyring
from appliance.protocol import canonical
from appliance.protocol.events import InvalidEvent
from appliance.rooms.incoming.accepting import Accepting, Unacceptable, Verdict
from appliance.rooms.incoming.holding import Holding

log = logging.getLogger("hearth.federation.keys")

MOST_SERVERS = 100
"""That are waited for at a time; the others are looked at when one of these has told its keys."""
SHORTEST_WAIT = 1.0


class AwaitedKeys:
    """Asks for the keys that events wait for.

    Args:
        holding: what waits.
        accepting: judges it.
        keyring: asks.

    Attributes:
        seeking: looks for what events of a room wait for, beginning with a server; given once rooms are shared.
    """

    def __init__(self, holding: Holding, accepting: Accepting, keyring: Keyring) -> None:
        self._holding = holding
        self._accepting = accepting
        self._keyring = keyring
        self._told: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self.seeking: Callable[[str, str], None] | None = None
        accepting.keys_wanted.append(self.want)
        keyring.learned.append(self._learned)

    def want(self, server: str) -> None:
        """An event waits for the keys of a server."""
        if self._closed or server in self._tasks or len(self._tasks) >= MOST_SERVERS:
            return
        self._told[server] = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._seek(server), name=f"keys of {server}")
        self._tasks[server] = task

    async def look(self) -> None:
        """Go on with what waits in the database: after a start, and whenever there is room for more servers."""
        for server in await self._holding.servers_wanted():
            self.want(server)

    async def stop(self) -> None:
        """Ask no more."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _learned(self, server: str) -> None:
        told = self._told.get(server)
        if told is not None:
            told.set()

    async def _take_up(self, server: str) -> None:
        """Judge what waited for the keys of a server, as if it came now; what still cannot be checked waits on."""
        last = ""
        while found := await self._holding.waiting_for_keys(server, last):
            for waiting in found:
                last = waiting.event_id
                try:
                    pdu = canonical.decode(waiting.json, max_depth=1000)
                    verdict = await self._accepting.accept(waiting.room_id, pdu, waiting.origin)
                except (InvalidEvent, Unacceptable) as refusal:
                    log.info("An event of %s that waited for keys of %s is not taken: %s", last, server, refusal)
                    verdict = Verdict.KNOWN
                if verdict is Verdict.KNOWN:
                    await self._holding.drop(last)
                elif verdict is Verdict.WAITING and self.seeking is not None:
                    self.seeking(waiting.room_id, waiting.origin)

    async def _seek(self, server: str) -> None:
        """Ask until nothing waits for a server's keys any more: it came, or it waited too long."""
        told = self._told[server]
        try:
            while await self._holding.waiting_for_keys(server, ""):
                if not told.is_set():
                    await self._keyring.refresh(server)
                if told.is_set():
                    told.clear()
                    await self._take_up(server)
                    continue
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), max(SHORTEST_WAIT, self._keyring.rest(server)))
        except Exception:
            log.exception("What waits for the keys of %s could not be looked at.", server)
        finally:
            del self._tasks[server], self._told[server]
        if not self._closed and len(self._tasks) == MOST_SERVERS - 1:
            await self.look()
