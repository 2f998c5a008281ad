"""What this server's users do, on its way to the other servers in their rooms.

There is one mark for all servers that keep up: up to that position everything has arrived with them, or is noted of
those that are behind. It moves every now and then and not with each message, so that a message costs no write; after a
crash some of the last events are sent again, which the others know already.

Recipients of an event are the servers in the room before it: somebody's own join is told to their server by other
means, and a server whose last user is removed must hear of it.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from appliance.federation.client import FederationClient
from appliance.federation.destination import Destination, Needs, Queue, Waiting
from appliance.federation.policy import Policy
from appliance.federation.standing import Standing
from appliance.later import Later
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Identity, Statement
from appliance.rooms.snapshot import MEMBER, Members, Step
from appliance.rooms.store import EventStore
from appliance.storage import destinations as rows
from appliance.storage.database import Database, Tx
from appliance.storage.lru import Lru

log = logging.getLogger("hearth.federation.outbox")

MARK_SECONDS = 2.0
"""How long the mark may lag behind."""
UNMARKED = 2000
"""Positions that nobody elsewhere is concerned with, after which the mark moves all the same."""
PAGE = 500
ROOMS_KEPT = 500


class Outbox:
    """Sends events; told of them as a contributor.

    Args:
        database: where marks are.
        store: the events.
        identity: as whom we send.
        policy: to whom.
        client: sends.
        standing: how it goes with the others.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        queues: EDUs that must arrive; added while the server is put together.
    """

    def __init__(
        self,
        database: Database,
        store: EventStore,
        identity: Identity,
        policy: Policy,
        client: FederationClient,
        standing: Standing,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._store = store
        self._identity = identity
        self._policy = policy
        self._standing = standing
        self.queues: list[Queue] = []
        self._destinations: dict[str, Destination] = {}
        self._servers: Lru[int, tuple[Members, frozenset[str]]] = Lru(ROOMS_KEPT)
        self._relaying: dict[str, str] = {}
        self._marked = rows.mark(database)
        self._distributed = self._marked
        self._soon = Later(MARK_SECONDS, self._due)
        self._running = self._held = False
        boot, counter = secrets.token_hex(6), iter(range(1, 2**62))
        self._needs = Needs(
            database,
            client,
            standing,
            self.queues,
            self._bodies,
            lambda: identity.server_name,
            now_ms,
            self._moved,
            lambda: f"{boot}{next(counter)}",
            lambda: not self._held,
        )
        standing.recovered.append(self.wake)

    # Contributor ---------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Note in the event's unit that it is to be passed on, if it is another server's and we are to do so."""
        if step.event.event_id not in self._relaying:
            return None
        return lambda tx, position: rows.note_relay(tx, position, step.nid)

    def published(self, step: Step, position: int) -> None:
        """Give the event to those whom it concerns."""
        if not self._running:
            return  # found by the mark at the start
        recipients = self._recipients(step)
        if recipients:
            self._give(Waiting(position, step.room_nid, step.nid), recipients)
        self._distributed = position
        if recipients or position - self._marked > UNMARKED:
            self._moved()

    @contextmanager
    def relaying(self, event_id: str, origin: str) -> Iterator[None]:
        """Inside, an event that comes in is passed on to the other servers in its room.

        For what another server made and gave to us alone: joins, leaves and knocks that it sends to us as the resident.

        Args:
            event_id: the event.
            origin: the server that gave it to us, which need not hear of it.
        """
        self._relaying[event_id] = origin
        try:
            yield
        finally:
            self._relaying.pop(event_id, None)

    def _recipients(self, step: Step) -> Collection[str]:
        """The servers that an event is to be sent to."""
        event, here = step.event, self._identity.server_name
        before = self.servers(step.room_nid, step.before.members)
        if here not in before:
            return ()  # made by means of another server, which tells the room
        origin = self._relaying.get(event.event_id)
        if origin is None and server_of(event.sender) != here:
            return ()
        found = before - {here} if origin is None else before - {here, origin}
        # An invitation that is withdrawn concerns a server that is not in the room.
        target = event.state_key or ""
        ended = event.type == MEMBER and event.membership in ("leave", "ban")
        if ended and step.before.members.of(target) in ("invite", "knock"):
            found |= {server_of(target)} - {here, origin}
        return found

    def servers(self, room_nid: int, members: Members) -> frozenset[str]:
        """The servers of those who are joined."""
        kept = self._servers.get(room_nid)
        if kept is None or kept[0] is not members:
            kept = members, frozenset(server_of(user_id) for user_id in members.having("join"))
            self._servers.put(room_nid, kept)
        return kept[1]

    # Other things that are sent --------------------------------------------------------------------------------------

    def to(self, server: str) -> Destination | None:
        """What is on its way to a server; None for one with which we do not talk."""
        if not self._running or server == self._identity.server_name:
            return None
        if not self._policy.enabled or not self._policy.allows(server):
            return None
        found = self._destinations.get(server)
        if found is None:
            found = self._destinations[server] = Destination(server, self._needs)
        return found

    def look(self, server: str) -> None:
        """There is something in a queue for a server."""
        destination = self.to(server)
        if destination is not None:
            destination.work()

    def wake(self, server: str) -> None:
        """A server is back, or is to be tried now."""
        destination = self._destinations.get(server)
        if destination is not None:
            destination.wake()

    async def tell(self, server: str, seconds: float) -> None:
        """Let a server know what waits for it before it is asked for something that hangs on that; where it cannot be
        told within some seconds, it goes without.
        """
        destination = self._destinations.get(server)
        if destination is not None and self.waiting_for(server):
            await destination.try_now(seconds)

    def waiting_for(self, server: str) -> int:
        """How many rooms (of a server that is behind) or events wait for a server."""
        destination = self._destinations.get(server)
        if destination is None or not destination.behind:
            return len(destination.pending) if destination else 0
        return max(rows.count_lacking(self._database, server), len(destination.newest))

    # Start and stop ------------------------------------------------------------------------------------------------

    async def start(self, *, held: bool = False) -> None:
        """Go on where the server stopped or was killed: send again what came after the mark.

        Args:
            held: whether to send nothing before ``release``. A server that hears of us knows that we are back and
                calls, and would leave us alone for a while if nobody answered there yet.
        """
        self._running, self._held = True, held
        for row in self._standing.behind():
            destination = Destination(row.server_name, self._needs, behind=True)
            self._destinations[row.server_name] = destination
            destination.rest()
        # What is published from now on comes by itself; between the mark and here nobody else sends.
        upto, position = self._database.position, self._marked
        while position < upto:
            after = position
            events, position = await self._database.reading(
                lambda reader, after=after: _events(reader, after, self._identity.server_name)  # type: ignore[misc]
            )
            if position == after:
                break
            for event, recipients in events:
                if event.position <= upto:
                    self._give(event, recipients)
        self._distributed = max(self._distributed, upto)
        for queue in self.queues:
            for server in queue.servers():
                self.look(server)

    def release(self) -> None:
        """Send what waits: others can reach us."""
        self._held = False
        for destination in list(self._destinations.values()):
            destination.work()

    async def stop(self) -> None:
        """Send no more, and move the mark."""
        self._running = False
        self._soon.cancel()
        for destination in list(self._destinations.values()):
            await destination.stop()
        await self._mark()

    # The mark ------------------------------------------------------------------------------------------------------

    def _give(self, waiting: Waiting, recipients: Collection[str]) -> None:
        for server in recipients:
            destination = self.to(server)
            if destination is not None:
                destination.put(waiting)

    def _moved(self) -> None:
        """Something arrived or was put down: move the mark soon."""
        if self._running:
            self._soon.want()

    def _due(self) -> None:
        task = asyncio.get_running_loop().create_task(self._mark(), name="outbox mark")
        task.add_done_callback(_reported)

    async def _mark(self) -> None:
        """Note what those lack that are behind, and move the mark, in one unit."""
        for server in [server for server, one in self._destinations.items() if one.idle]:
            del self._destinations[server]
        position = self._distributed
        lacking: list[tuple[Destination, dict[int, int]]] = []
        for destination in self._destinations.values():
            if destination.newest:
                lacking.append((destination, dict(destination.newest)))
            elif destination.oldest is not None:
                position = min(position, destination.oldest - 1)
        if position <= self._marked and not lacking:
            return

        def unit(tx: Tx) -> None:
            for destination, newest in lacking:
                rows.note_lacking(tx, destination.server, newest)
            if position > self._marked:
                rows.set_mark(tx, position)

        await self._database.write(unit)
        self._marked = max(self._marked, position)
        for destination, newest in lacking:
            destination.noted(newest)

    def _bodies(self, nids: Sequence[int]) -> Mapping[int, bytes]:
        return {nid: event.json for nid, event in self._store.events(nids).items()}


def _reported(done: "asyncio.Task[None]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("What was sent could not be noted.", exc_info=error)


def _events(reader: Any, after: int, here: str) -> tuple[list[tuple[Waiting, Collection[str]]], int]:
    """A page of the events that were made after a position, with the servers that they are for."""
    events, position = rows.events_after(reader, after, here, PAGE)
    found: list[tuple[Waiting, Collection[str]]] = []
    for event in events:
        servers = rows.servers_at(reader, event.room_nid, event.position - 1)
        if here in servers:
            if event.withdrawn is not None:
                servers.add(server_of(event.withdrawn))
            own = server_of(event.sender)
            found.append((Waiting(event.position, event.room_nid, event.nid), servers - {here, own}))
    return found, position
