"""Looking for events that others name and that are not here (server-server API, "Backfilling and retrieving missing
events" and "Retrieving event authorisation information").

One room is looked after by one task at a time. First what lies between is asked for; where that is too much, or nobody
has it, the event is set upon the state before it as another server tells it, and a gap is left. What allows an event is
asked for by itself. Whatever waits does so in the database, so that a restart only begins anew.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from appliance.federation.access import RoomAccess
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.federation.telling import Telling
from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Accepting, NeedsEvents, Unacceptable, Verdict
from appliance.rooms.incoming.arriving import Arriving
from appliance.rooms.incoming.naming import Naming
from appliance.rooms.room import Room, Rooms
from appliance.storage import waiting as rows
from appliance.storage.database import Database, Reader
from appliance.storage.waiting import WaitingEvent

log = logging.getLogger("hearth.federation")

MOST_ROUNDS = 6
"""How often one search asks for what lies between before it builds on a state that it is told."""
AT_ONCE = 50
"""Events that are asked for at a time."""
MOST_LATEST = 20
MOST_WAITING = 300
"""Waiting events of a room that are looked at together."""
MOST_BRIDGES = 10
MOST_LEVELS = 3
"""How many events one upon the other may be given up, as they name what cannot be checked, before the next search."""
MOST_ROOMS = 4
"""Rooms that are looked after at a time."""
MOST_SERVERS = 4
FIRST_REST, LONGEST_REST = 20.0, 3600.0
"""Seconds until a room for which nothing was found is looked after again: at first, and after doublings."""
SHORT_REST = 1.0
"""Seconds until one is looked after again for which something was found, and not all; then a little longer each time,
as there may be no end to what a server makes up.
"""


class Catching:
    """Looks for what is missing.

    Args:
        database: what waits.
        rooms: the rooms in memory.
        access: which servers are in a room.
        accepting: judges events.
        arriving: sets events upon states that are told.
        naming: says what an event lacks.
        remote: asks other servers.
        telling: asks them for states.
        identity: which server this is.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        access: RoomAccess,
        accepting: Accepting,
        arriving: Arriving,
        naming: Naming,
        remote: Remote,
        telling: Telling,
        identity: Identity,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._access = access
        self._accepting = accepting
        self._arriving = arriving
        self._naming = naming
        self._remote = remote
        self._telling = telling
        self._identity = identity
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._origins: dict[str, str] = {}
        self._rests: dict[str, float] = {}
        self._resumed: set[str] = set()
        """Rooms whose rest came to its end by itself; whatever comes in between must not make it longer."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._room = asyncio.Semaphore(MOST_ROOMS)
        self._closed = False

    def seek(self, room_id: str, origin: str) -> None:
        """Look for what events of a room wait for, beginning with the server that sent them; nobody waits for it."""
        if self._closed:
            return
        self._origins[room_id] = origin
        if room_id in self._tasks:
            self._again.add(room_id)
            return
        timer = self._timers.pop(room_id, None)
        if timer is not None:
            timer.cancel()
        task = asyncio.get_running_loop().create_task(self._run(room_id), name=f"catching {room_id}")
        self._tasks[room_id] = task

    def wake(self, server: str) -> None:
        """A server that did not answer is back: look for what is missing in rooms for which nothing was found."""
        for room_id in list(self._timers):
            room = self._rooms.loaded(room_id)
            if server == self._origins.get(room_id) or (room is not None and server in self._access.servers(room)):
                self.seek(room_id, self._origins.get(room_id) or server)

    def look(self) -> None:
        """Look for what was waited for before a restart."""
        for room_id, origin in rows.rooms(self._database):
            self.seek(room_id, origin)

    async def settled(self) -> None:
        """Wait until every search has come to an end."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def stop(self) -> None:
        """Search no more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # One room ----------------------------------------------------------------------------------------------------

    async def _run(self, room_id: str) -> None:
        done = found = False
        try:
            while True:
                self._again.discard(room_id)
                async with self._room:
                    before = await self._lacking(room_id)
                    done = await self._search(room_id)
                    found = before != await self._lacking(room_id)
                if done or room_id not in self._again:
                    break
        except Exception:
            log.exception("The search for missing events of %s ended early.", room_id)
        finally:
            del self._tasks[room_id]
        self._rest(room_id, done, found)

    async def _lacking(self, room_id: str) -> set[str]:
        """What stands between a room and all that waits in it."""
        room = await self._rooms.find(room_id)
        return set() if room is None else {one.event_id for one in await self._roots(room)}

    def _rest(self, room_id: str, done: bool, found: bool) -> None:
        """Come back to a room later where something still waits."""
        if done or self._closed:
            self._rests.pop(room_id, None)
            self._resumed.discard(room_id)
            self._origins.pop(room_id, None)
            return
        seconds = self._rests.get(room_id, 0.0)
        if found:
            seconds = 1.25 * seconds if 0 < seconds < FIRST_REST else SHORT_REST
        elif seconds < FIRST_REST:
            seconds = FIRST_REST
        elif room_id in self._resumed:
            seconds = min(2 * seconds, LONGEST_REST)
        self._resumed.discard(room_id)
        self._rests[room_id] = seconds
        log.info(
            "Not all is found that events of %s stand on; next try in %.0f seconds.", room_id, self._rests[room_id]
        )
        loop = asyncio.get_running_loop()
        self._timers[room_id] = loop.call_later(self._rests[room_id], self._resume, room_id)

    def _resume(self, room_id: str) -> None:
        self._timers.pop(room_id, None)
        self._resumed.add(room_id)
        self.seek(room_id, self._origins.get(room_id, ""))

    async def _search(self, room_id: str) -> bool:
        """Look for what is missing in a room; whether nothing waits any more that could be helped."""
        asked: set[str] = set()
        fetched: set[str] = set()
        for _ in range(MOST_ROUNDS):
            room = await self._rooms.find(room_id)
            if room is None:
                return True
            roots = await self._roots(room)
            if not roots:
                return True
            await self._authorise(room, roots)
            roots = [one for one in await self._roots(room) if one.event_id not in asked]
            asked.update(one.event_id for one in roots)
            if not roots:
                break
            came = await self._between(room, roots[:MOST_LATEST])
            fetched |= came
            if not came:
                break
        room = await self._rooms.find(room_id)
        if room is None:
            return True
        await self._build_bridges(room, fetched)
        return not await self._roots(room)

    async def _build_bridges(self, room: Room, fetched: set[str]) -> None:
        """Set what was fetched, and still lacks something, upon states that are told; and so what stands on events
        that cannot be checked now, so that a server that does not tell its keys stops no room.
        """
        stuck = await self._database.reading(lambda reader: rows.unchecked_of_room(reader, room.room_id))
        for _ in range(MOST_LEVELS if stuck else 1):
            # Whoever pushed an event can say what it stands on: one of which nobody does is not built upon. What it
            # stands on may be here, without the state around it; but not wait itself, since that comes first.
            roots, held = await self._roots_and_held(room, stuck)
            ground = (fetched - held) | stuck
            roots = [one for one in roots if one.event_id in fetched or not ground.isdisjoint(one.prev_events)]
            del roots[MOST_BRIDGES:]
            failed = [event.event_id for event in roots if not await self._bridge(room, event)]
            if not failed:
                break
            stuck.update(failed)

    async def _roots(self, room: Room) -> list[Event]:
        """The events of a room that wait for what does not wait itself, or waits for keys."""
        return (await self._roots_and_held(room, None))[0]

    async def _roots_and_held(self, room: Room, stuck: Collection[str] | None) -> tuple[list[Event], set[str]]:
        """The events of a room that wait for what does not wait itself, or has no prospect of coming soon; and the ids
        of all that waits with such a prospect.

        Args:
            room: the room.
            stuck: the ids of what has none; None for those of what waits for keys.
        """

        def read(reader: Reader) -> tuple[list[WaitingEvent], Collection[str]]:
            without = rows.unchecked_of_room(reader, room.room_id) if stuck is None else stuck
            return rows.of_room(reader, room.room_id, MOST_WAITING), without

        waiting, without = await self._database.reading(read)
        held = {one.event_id for one in waiting if one.event_id not in without}
        events = [Event.from_json(room.version, one.json, one.event_id) for one in waiting if one.event_id in held]
        return [event for event in events if set(self._naming.missing(event)) - held], held

    async def _tips(self, room: Room) -> list[str]:
        """The ids of the waiting events of a room that no other of them stands on, where they are few: whoever is asked
        for what lies before them tells of those in between, too, which may have been spoilt.
        """
        waiting, unchecked = await self._database.reading(
            lambda reader: (
                rows.of_room(reader, room.room_id, MOST_LATEST + 1),
                rows.unchecked_of_room(reader, room.room_id),
            )
        )
        if len(waiting) > MOST_LATEST:
            return []
        events = [
            Event.from_json(room.version, one.json, one.event_id) for one in waiting if one.event_id not in unchecked
        ]
        below = {parent for event in events for parent in event.prev_events}
        return [event.event_id for event in events if event.event_id not in below]

    def _servers(self, room: Room) -> list[str]:
        """Whom to ask: the server that sent what waits, then others in the room."""
        others = [self._origins.get(room.room_id, ""), *self._access.servers(room)]
        here = self._identity.server_name
        return [one for one in dict.fromkeys(others) if one and one != here][:MOST_SERVERS]

    async def _between(self, room: Room, roots: Sequence[Event]) -> set[str]:
        """Ask for what lies before some events, one server after the other until one tells something new; the ids of
        what came. One that came into the room later than they were sent tells only what waits here already.
        """
        latest = await self._tips(room) or [one.event_id for one in roots]
        earliest = [end.event_id for end in room.published.extremities]
        waiting = await self._database.reading(lambda reader: rows.of_room(reader, room.room_id, MOST_WAITING))
        told = {one.event_id for one in waiting}
        came: set[str] = set()
        for server in self._servers(room):
            try:
                pdus = await self._remote.missing(server, room.room_id, latest, earliest, AT_ONCE)
            except (Unreachable, Refused) as problem:
                log.info("%s does not say what is missing in %s: %s", server, room.room_id, problem)
                continue
            new = False
            for event_id, verdict in (await self._take(room, pdus, server)).items():
                came.add(event_id)
                new = new or (event_id not in told if verdict is Verdict.WAITING else verdict is not Verdict.KNOWN)
            if new:
                break
        return came

    async def _take(self, room: Room, pdus: Iterable[Any], server: str) -> dict[str, Verdict]:
        """Take in what a server told, as far as that can be done; what became of each event by its id."""
        came: dict[str, Verdict] = {}
        for pdu in pdus:
            try:
                event = Event.from_pdu(room.version, pdu)
                came[event.event_id] = await self._accepting.accept(room.room_id, pdu, server)
            except (InvalidEvent, Unacceptable) as problem:
                log.info("A missing event of %s that %s sent is not taken: %s", room.room_id, server, problem)
        return came

    # What allows events ------------------------------------------------------------------------------------------

    async def _authorise(self, room: Room, events: Sequence[Event]) -> None:
        """Ask for what allows some events, as far as it is not here."""
        for event in events[:MOST_LATEST]:
            if self._naming.missing(event, as_outlier=True):
                await self._chain(room, event)

    async def _chain(self, room: Room, event: Event) -> None:
        for server in self._servers(room):
            try:
                pdus = await self._remote.event_auth(server, room.room_id, event.event_id)
            except (Unreachable, Refused) as problem:
                log.info("%s does not say what allows an event of %s: %s", server, room.room_id, problem)
                continue
            await self._accepting.accept_outliers(room.room_id, pdus)
            if not self._naming.missing(event, as_outlier=True):
                return

    # Where too much is missing -----------------------------------------------------------------------------------

    async def _bridge(self, room: Room, event: Event) -> bool:
        """Set an event upon the state before it as another server tells it; whether that was done."""
        for server in self._servers(room):
            try:
                told = await self._telling.state_before(room, server, event)
                await self._arriving.bridge(told, event.pdu)
            except NeedsEvents:
                await self._chain(room, event)
            except (Unreachable, Refused, InvalidEvent, Unacceptable) as problem:
                log.info("%s does not tell the state at an event of %s: %s", server, room.room_id, problem)
            else:
                return True
        return False
