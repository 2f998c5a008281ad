"""One of the servers of a simulated room: a Hearth that can be closed and opened again."""

import hashlib
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import MatrixError
from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.protocol.signing import SigningKey
from appliance.rooms.graph.resolving import Resolving
from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Step
from appliance.storage import state as state_rows
from tests.federation.deeds import PEOPLE
from tests.federation.house import House, Remote, house

if TYPE_CHECKING:
    from tests.federation.simulation import World

State = dict[tuple[str, str], str]


class Clock:
    """A server's clock: goes on with the world's, and is wrong by some."""

    def __init__(self, world: "World", wrong_by: int) -> None:
        self._world = world
        self._wrong_by = wrong_by

    def __call__(self) -> int:
        """The time, milliseconds since 1970."""
        return self._world.time + self._wrong_by

    __next__ = __call__


class Server:
    """One Hearth, which can be closed and opened again.

    Args:
        world: where it is.
        name: its name.
        folder: its data.
    """

    def __init__(self, world: "World", name: str, folder: Path) -> None:
        self.world = world
        self.random = world.random
        self.name = name
        self.folder = folder
        self.clock = Clock(world, self.random.choice((0, 0, -3_000, 2_000)))
        self.inbox: list[Event] = []
        self.lost: list[Event] = []
        self.verdicts: Counter[Verdict] = Counter()
        self.away = True
        # What people here said, and what the server said by itself to bring the ends together, on its way out.
        self.said: list[Step] = []
        self.house: House
        self._stack = AsyncExitStack()

    @property
    def people(self) -> list[str]:
        """Its users."""
        return [f"@{person}:{self.name}" for person in PEOPLE]

    @property
    def anchor(self) -> str:
        """The user who stays."""
        return f"@{PEOPLE[0]}:{self.name}"

    async def open(self) -> None:
        """Start."""
        key = SigningKey("ed25519:a", hashlib.sha256(self.name.encode()).digest())
        remote = Remote(key=key)
        remote.clock = self.clock  # type: ignore[assignment]
        self.house = await self._stack.enter_async_context(
            house(self.folder, remote, name=self.name, ring=self.world.ring, key=key)
        )
        appender = self.house.living.acts.appender
        appender.builder._now_ms = self.house.living.acts.creation._now_ms = self.house.holding._now_ms = self.clock
        appender._contributors = (*appender._contributors, self)
        self.house.settling.merging._clock = lambda: self.clock() / 1000
        await self.house.accepting.look()

    async def close(self) -> None:
        """Stop."""
        await self._stack.aclose()

    async def room(self) -> Room:
        """The room as it is here."""
        return await self.house.found(self.world.room_id)

    async def is_in(self) -> bool:
        """Whether somebody of this server is in the room, as far as it knows."""
        return await self.house.living.graph.rooms.find(self.world.room_id) is not None and await self.believes(self)

    async def believes(self, other: "Server") -> bool:
        """Whether somebody of another server is in the room, as far as is known here."""
        members = (await self.room()).head.members
        return any(members.of(user) == "join" for user in other.people)

    async def do(
        self, event_type: str, sender: str, content: dict[str, Any], key: str | None = None, **more: Any
    ) -> bool:
        """Let a user do something, and send it to all whom it concerns; False where the rules refuse it here."""
        try:
            await self.house.living.acts.appender.append(
                self.world.room_id, lambda draft: draft.add(event_type, sender, content, key, **more)
            )
        except MatrixError as refusal:
            assert refusal.status == 403, refusal
            return False
        await self.tell()
        return True

    def prepare(self, step: Step) -> None:
        """Store nothing."""

    def published(self, step: Step, position: int) -> None:
        """Keep what was said here, until it is sent."""
        if server_of(step.event.sender) == self.name:
            self.said.append(step)

    async def tell(self) -> None:
        """Send what was said here to all whom it concerns."""
        room = await self.room()
        async with room.lock:
            await room.settled()
        while self.said:
            step = self.said.pop(0)
            both = (step.before.members, step.after.members)
            self.world.send(self, step.event, {server_of(user) for one in both for user in one.having("join")})

    async def take_one(self) -> None:
        """Take in one of the events that are under way to here, whichever."""
        event = self.inbox.pop(self.random.randrange(len(self.inbox)))
        if not self.away:
            verdict = await self.house.accepting.accept(self.world.room_id, event.pdu, server_of(event.sender))
            self.verdicts[verdict] += 1
            await self.tell()

    async def state(self) -> State:
        """The current state by ids."""
        return self.named((await self.room()).published.state)

    def named(self, state: Any) -> State:
        """A state by ids."""
        store = self.house.living.graph.store
        return {slot: store.event(nid).event_id for slot, nid in state.items()}

    async def ends(self) -> set[str]:
        """The ids of the ends of the graph."""
        return {end.event_id for end in (await self.room()).published.extremities}

    async def be_resolved(self) -> None:
        """See that the current state is that in which the states after all ends of the graph resolve."""
        room, house = await self.room(), self.house
        async with room.lock:
            await room.settled()
            groups = [state_rows.groups_of(house.owning.database, end.nid) for end in room.head.extremities]
            states = [state_rows.group(house.owning.database, one[1]) for one in groups if one is not None]
            assert len(states) == len(room.head.extremities)
            resolved = await Resolving(house.owning.database).resolve(room.version, room.create, states)
            assert resolved == room.head.state

    def placed_event(self, event_id: str) -> Event:
        """An event that is here."""
        found = self.house.living.graph.store.find(event_id)
        assert found is not None
        return found[1]

    def placed(self) -> dict[str, tuple[bool, int]]:
        """The events that have a place in the graph: whether each was rejected, and the group of the state before."""
        rows = self.house.owning.database.read(
            "SELECT e.event_id, e.rejected, s.before_nid FROM events e JOIN event_states s USING (event_nid)"
        )
        return {event_id: (bool(rejected), group) for event_id, rejected, group in rows}

    def shown(self) -> list[tuple[str, bytes, set[str]]]:
        """The events of the timeline: id, form, and the ids of the redactions of them that were accepted here."""
        read, store = self.house.owning.database.read, self.house.living.graph.store
        redactions: dict[str, set[str]] = {}
        for (nid,) in read("SELECT event_nid FROM events WHERE type = 'm.room.redaction' AND position IS NOT NULL"):
            redactions.setdefault(store.event(nid).redacts or "", set()).add(store.event(nid).event_id)
        rows = read("SELECT event_id, json FROM events WHERE position IS NOT NULL")
        return [(event_id, json, redactions.get(event_id, set())) for event_id, json in rows]

    def waiting(self) -> list[tuple[str, str]]:
        """What waits, and for what."""
        return self.house.owning.database.read(
            "SELECT w.event_id, f.missing_event_id FROM waiting_events w LEFT JOIN waiting_for f USING (event_id)"
        )
