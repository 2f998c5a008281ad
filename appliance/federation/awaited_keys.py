"""Keys that cannot be had at the moment and that events wait for (server-server API, "Retrieving server keys").

An event that is not from the server that signed it (what lies between events, a member whom another server let in) can
come while that server is away. It waits in the database (``rooms/incoming/holding.py``); here its server is asked again
and again, ever more seldom, and what waited is judged once the keys are there, however they came. So it goes with what
was left out of a room's state when the room was taken in (``rooms/incoming/completing.py``).

Anybody can send us events of servers that do not exist. So there are places for so many servers, and when all are
taken, whoever made us wait for most of them gives one up. What has no place waits in the database, and is looked at
when there is one, or when its server tells its keys.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable

from appliance.federation.keyring import Keyring
from appliance.protocol import canonical
from appliance.protocol.events import InvalidEvent
from appliance.rooms.incoming.accepting import Accepting, Unacceptable, Verdict
from appliance.rooms.incoming.completing import Completing
from appliance.rooms.incoming.holding import Holding

log = logging.getLogger("hearth.federation.keys")

MOST_SERVERS = 100
"""That are waited for at a time."""
SHORTEST_WAIT = 1.0
AFTER_FAULT = 60.0
"""Seconds until what waited is looked at again, where that failed through no fault of another server."""


class _Place:
    """A server that is waited for.

    Attributes:
        origin: who sent what waits for it.
        told: set when its keys were told.
        task: asks for them.
    """

    __slots__ = ("origin", "task", "told")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.told = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class AwaitedKeys:
    """Asks for the keys that events wait for.

    Args:
        holding: what waits.
        accepting: judges events.
        completing: takes in what was left out of rooms.
        keyring: asks.

    Attributes:
        seeking: looks for what events of a room wait for, beginning with a server; given once rooms are shared.
    """

    def __init__(self, holding: Holding, accepting: Accepting, completing: Completing, keyring: Keyring) -> None:
        self._holding = holding
        self._accepting = accepting
        self._completing = completing
        self._keyring = keyring
        self._places: dict[str, _Place] = {}
        self._closed = False
        self.seeking: Callable[[str, str], None] | None = None
        accepting.keys_wanted.append(self.want)
        keyring.learned.append(self._learned)

    @property
    def wanted(self) -> dict[str, str]:
        """The servers that are waited for, each with the one that sent what waits."""
        return {server: place.origin for server, place in self._places.items()}

    def want(self, server: str, origin: str) -> None:
        """Something that a server sent waits for the keys of another one."""
        if self._closed or server in self._places:
            return
        if len(self._places) >= MOST_SERVERS and not self._make_room(origin):
            return
        self._begin(server, origin)

    async def look(self) -> None:
        """Go on with what waits in the database: after a start, and whenever there is room for more servers."""
        for server, origin in await self._holding.servers_wanted():
            self.want(server, origin)

    async def stop(self) -> None:
        """Ask no more."""
        self._closed = True
        tasks = [place.task for place in self._places.values() if place.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, server: str, origin: str) -> None:
        place = self._places[server] = _Place(origin)
        place.task = asyncio.get_running_loop().create_task(self._seek(server, place), name=f"keys of {server}")

    def _make_room(self, origin: str) -> bool:
        """Take a place from whoever has most of them, where that is more than one more than a server has."""
        counts = Counter(place.origin for place in self._places.values())
        most, count = counts.most_common(1)[0]
        if count <= counts[origin] + 1:
            return False
        server = next(server for server, place in self._places.items() if place.origin == most)
        place = self._places.pop(server)
        if place.task is not None:
            place.task.cancel()
        return True

    def _learned(self, server: str) -> None:
        place = self._places.get(server)
        if place is not None:
            place.told.set()
        elif not self._closed and self._holding.is_waited_for(server):
            # It had no place; now it is done in a moment.
            self._begin(server, server)
            self._places[server].told.set()

    async def _take_up(self, server: str) -> None:
        """Judge what waited for the keys of a server, as if it came now; what still cannot be checked waits on."""
        for room_id in await self._holding.rooms_without(server):
            for other in await self._completing.complete(room_id, server):
                self.want(other, server)
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

    async def _seek(self, server: str, place: _Place) -> None:
        """Ask until nothing waits for a server's keys any more: it came, or it waited too long."""
        told = place.told
        try:
            while True:
                try:
                    if not await self._holding.waiting_for_keys(server, ""):
                        break
                    if not told.is_set():
                        await self._keyring.refresh(server)
                    if told.is_set():
                        told.clear()
                        await self._take_up(server)
                        continue
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(told.wait(), max(SHORTEST_WAIT, self._keyring.rest(server)))
                except Exception:
                    log.exception("What waits for the keys of %s could not be looked at yet.", server)
                    told.set()
                    await asyncio.sleep(AFTER_FAULT)
        finally:
            if self._places.get(server) is place:
                del self._places[server]
        if not self._closed and self._holding.may_wait():
            await self.look()
