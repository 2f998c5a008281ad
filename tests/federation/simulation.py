"""A room that lives on several Hearths at once, with a network between them that delays, doubles, mixes up and loses.

Everything follows from one seed: who does what where, what is delivered when, and the clocks, which disagree. Each
server acts on its own present view of the room. Nothing is sent over a real network.
"""

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.protocol.versions import VERSIONS
from appliance.rooms.acts.presets import CreateRoom, create_content
from appliance.rooms.incoming.accepting import NeedsEvents, Verdict
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from tests.federation.deeds import DEEDS
from tests.federation.handshake import join_event, told_before, told_upon
from tests.federation.house import Keyring
from tests.federation.resident import Server, State

NAMES = ("a.example", "b.example", "c.example")


class World:
    """Servers with a room.

    Args:
        seed: what everything follows from.
        version: the room's version.
        folder: where the servers keep their data.
    """

    names = NAMES

    def __init__(self, seed: int, version: str, folder: Path) -> None:
        self.random = random.Random(f"{seed} {version}")  # noqa: S311 - no secret
        self.version = VERSIONS[version]
        self.ring = Keyring()
        self.time = 1_700_000_000_000
        self.room_id = f"!room{seed}:{self.names[0]}"
        self.done: Counter[str] = Counter()
        self.sent: list[Event] = []
        self.everywhere = False
        self.folder = folder
        self.servers = []
        for name in self.names:
            (folder / name).mkdir()
            self.servers.append(Server(self, name, folder / name))

    async def open(self) -> None:
        """Start the servers, make the room, and let the others come in, one after the other."""
        first, *others = self.servers
        for server in self.servers:
            await server.open()
        living = first.house.living
        self.room_id = await living.acts.creation.make(
            first.anchor,
            self.version,
            create_content(CreateRoom(), self.version, first.anchor),
            self._furnish,
            lambda tx, room: None,
            None if self.version.hash_room_ids else self.room_id,
        )
        first.away = False
        first.said.clear()
        for server in others:
            await self.come_in(server, first)
        for server in self.servers:
            for user in server.people[1:]:
                await server.do(MEMBER, user, {"membership": "join"}, user)
        await self.deliver_all()

    async def close(self) -> None:
        """Stop the servers."""
        for server in self.servers:
            await server.close()

    def _furnish(self, draft: Any) -> None:
        anchors = {server.anchor: level for server, level in zip(self.servers, (100, 100, 50), strict=False)}
        first = self.servers[0].anchor
        if self.version.creators_above_all:
            del anchors[first]
        draft.add("m.room.power_levels", first, {"users": anchors, "invite": 0, "kick": 50, "ban": 50}, "")
        draft.add("m.room.join_rules", first, {"join_rule": "public"}, "")

    # The network -------------------------------------------------------------------------------------------------

    def send(self, sender: Server, event: Event, present: set[str]) -> None:
        """Put an event on its way to all servers that the sender believes to be in the room."""
        self.time += self.random.randrange(1, 2_000)
        self.sent.append(event)
        for server in self.servers:
            if server is sender or not (server.name in present or self.everywhere):
                continue
            fate = self.random.random()
            if fate < 0.15:
                server.lost.append(event)
            else:
                server.inbox.extend([event] * (2 if fate > 0.85 else 1))

    async def deliver_all(self) -> None:
        """Let everything arrive that is under way or was lost, in any order, and then what is still missing."""
        for server in self.servers:
            server.inbox += server.lost
            server.lost = []
        while any(server.inbox for server in self.servers):
            while some := [server for server in self.servers if server.inbox]:
                await self.random.choice(some).take_one()
            for server in self.servers:
                await self._make_good(server)

    async def _make_good(self, server: Server) -> None:
        """Get a server what its events wait for, as it would ask for it; where that goes on, bridge the hole."""
        if server.away:
            return
        for event_id in await server.house.holding.missing(self.room_id, 100):
            other = self._who_has(server, event_id)
            if other is not None and (event := other.placed_event(event_id)).prev_events:
                await server.house.accepting.accept(self.room_id, event.pdu, other.name)
                await server.tell()
        helpless: set[str] = set()
        while waiting := sorted({event_id for event_id, _ in server.waiting()} - helpless):
            await self._bridge(server, waiting[0])
            helpless.add(waiting[0])

    async def _bridge(self, server: Server, event_id: str) -> None:
        """Set an event that waits upon the state that another server tells."""
        waiting = server.house.holding.waiting(event_id)
        assert waiting is not None
        event = Event.from_json(self.version, waiting.json, event_id)
        for other in self.servers:
            if other is not server and (told := await told_upon(other.house, await other.room(), event)):
                with contextlib.suppress(NeedsEvents):
                    await server.house.arriving.bridge(told, event.pdu)
                await server.tell()
                return

    def _who_has(self, asking: Server, event_id: str) -> Server | None:
        for server in self.servers:
            row = event_rows.by_id(server.house.owning.database, event_id)
            if server is not asking and row is not None and not row.outlier:
                return server
        return None

    async def come_in(self, server: Server, resident: Server) -> bool:
        """Let a server's anchor join through a resident server; False where the resident's view does not allow it."""
        room = await resident.room()
        join = join_event(room, server.house, server.anchor)
        verdict = await resident.house.accepting.accept(self.room_id, join.pdu)
        await resident.tell()
        if verdict is not Verdict.ACCEPTED:
            return False
        await server.house.arriving.arrive(told_before(resident.house, room, join.event_id), join.pdu)
        server.away = False
        present = {server_of(user) for user in room.head.members.having("join")}
        self.send(server, join, present - {resident.name})
        return True

    def is_lost(self, event_id: str) -> bool:
        """Whether nobody ever had an event."""
        return False

    # What happens ------------------------------------------------------------------------------------------------

    async def happen(self, steps: int) -> None:
        """Let people act and events arrive, so many times."""
        chances: list[tuple[int, Callable[[], Any]]] = [(50, self._act), (45, self._arrive), (3, self._restart)]
        weights, what = [chance for chance, _ in chances], [one for _, one in chances]
        for _ in range(steps):
            await self.random.choices(what, weights)[0]()

    async def _arrive(self) -> None:
        some = [server for server in self.servers if server.inbox]
        if some:
            await self.random.choice(some).take_one()
        lossy = self.random.choice(self.servers)
        if lossy.lost and self.random.random() < 0.2:
            lossy.inbox.append(lossy.lost.pop(0))

    async def _restart(self) -> None:
        server = self.random.choice(self.servers)
        await server.be_resolved()
        await server.close()
        await server.open()
        self.done["restart"] += 1

    async def go_away_and_come_back(self) -> None:
        """Let all of a server's people leave, the others go on without them, and its anchor come back.

        Meanwhile nobody closes the room: a join that one resident allows and the other one does not, since it closed
        the room first, splits the room in two for good. Each side then soft-fails all that the other one sends, as the
        specification wants it, unless a third one that is on both sides brings them together.
        """
        await self.deliver_all()
        away, *others = self.random.sample(self.servers, 3)
        for user in away.people:
            if (await away.room()).head.members.of(user) == "join":
                assert await away.do(MEMBER, user, {"membership": "leave"}, user)
        away.away = True
        await self.deliver_all()
        for _ in range(12):
            await self.random.choice((partial(self._act, "close or open"), self._arrive))()
        resident = self.random.choice([server for server in others if await server.is_in()])
        if not await self.come_in(away, resident):
            for user in resident.people:
                await resident.do(MEMBER, user, {"membership": "invite"}, away.anchor)
            await self.come_in(away, resident)
        self.done["away" if away.away else "came back"] += 1

    async def _act(self, but: str = "") -> None:
        server = self.random.choice(self.servers)
        if not await server.is_in():
            return
        user = self.random.choice(server.people)
        deed = self.random.choices(list(DEEDS), [chance for chance, _ in DEEDS.values()])[0]
        if deed == but:
            return
        done = await DEEDS[deed][1](server, user)
        self.done[f"{deed}{'' if done else ' refused'}"] += 1

    # The end -----------------------------------------------------------------------------------------------------

    async def agree(self) -> None:
        """Deliver everything to everybody, let every server speak twice, and see that they are of one mind.

        All must be who see each other's people in the room. Upon what is said by others, nobody builds, and whoever is
        out of the room cannot build any more: what they said last may hang there, as the specification wants it.
        Where two see themselves in the room and one does not see the other there, the room is split: that is counted.
        """
        self.everywhere = True
        for server in self.servers:
            await server.be_resolved()
            server.inbox += [event for event in self.sent if event not in server.inbox]
        await self.deliver_all()
        for _ in range(2):
            for server in self.random.sample(self.servers, len(self.servers)):
                members = (await server.room()).head.members
                if here := [user for user in server.people if members.of(user) == "join"]:
                    await server.do("m.room.message", here[0], {"msgtype": "m.text", "body": "good night"})
                    await self.deliver_all()
        for one, other in itertools.combinations([server for server in self.servers if not server.away], 2):
            believed = [await one.is_in(), await other.is_in(), await one.believes(other), await other.believes(one)]
            if not all(believed):
                self.done["split"] += believed[0] and believed[1]
                continue
            assert await other.ends() == await one.ends()
            assert await other.state() == await one.state()
            assert _members(await other.room()) == _members(await one.room())
        for server in self.servers:
            assert server.away or all(self.is_lost(missing) for _, missing in server.waiting())

    async def agree_on_every_event(self) -> None:
        """Whatever two servers have placed, both rejected it or neither, by the same state before it."""
        states: dict[str, tuple[bool, State]] = {}
        for server in self.servers:
            groups: dict[int, State] = {}
            for event_id, (rejected, group) in server.placed().items():
                if group not in groups:
                    groups[group] = server.named(state_rows.group(server.house.owning.database, group))
                found = states.setdefault(event_id, (rejected, groups[group]))
                assert found == (rejected, groups[group]), (server.name, event_id)

    def agree_on_every_content(self) -> None:
        """What two servers show has the same form on both, redacted or not, unless they heard of other redactions."""
        seen: dict[str, tuple[bytes, set[str]]] = {}
        for server in self.servers:
            for event_id, json, redactions in server.shown():
                found = seen.setdefault(event_id, (json, redactions))
                assert found[1] != redactions or found[0] == json, (server.name, event_id)

    async def be_as_written(self) -> None:
        """What each server has in memory is what it reads from its database when it starts again."""
        for server in self.servers:
            was = (await server.room()).published
            await server.close()
            await server.open()
            now = (await server.room()).published
            assert now.state == was.state
            assert set(now.extremities) == set(was.extremities)
            assert now.members.memberships == was.members.memberships
            assert now.state == state_rows.group(server.house.owning.database, now.group_nid)


def _members(room: Room) -> dict[str, str]:
    return {user: one for user, one in room.published.members.memberships.items() if one != "leave"}
