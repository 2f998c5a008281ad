"""A server that signs for itself and says what it likes, to each Hearth something else."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.protocol.auth import auth_event_slots
from appliance.protocol.events import Event, InvalidEvent, build_event
from appliance.protocol.versions import VERSIONS
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from tests.federation.house import ELSEWHERE, House, Remote
from tests.federation.resident import Server
from tests.federation.simulation import World

Story = Callable[..., Awaitable[None]]

MALLORY, MAUD, MOSES = (f"@{name}:{ELSEWHERE}" for name in ("mallory", "maud", "moses"))
VILLAINS = (MALLORY, MAUD, MOSES)


class Adversary(Remote):
    """Knows what the Hearths know, and makes events on any place of the graph."""

    def upon(
        self,
        house: House,
        parents: Sequence[str],
        event_type: str,
        content: dict[str, Any],
        state_key: str | None = None,
        *,
        sender: str = MALLORY,
        **other: Any,
    ) -> Event:
        """An event that stands on some others and names as allowing it what the state after the first of them has.

        Args:
            house: a Hearth that knows those.
            parents: their ids.
            event_type: its type.
            content: its content.
            state_key: its state key.
            sender: its sender.
            other: ``auth``, ``depth``, ``timestamp``, to have them otherwise.
        """
        database, store = house.owning.database, house.living.graph.store
        row = event_rows.by_id(database, parents[0])
        assert row is not None
        first = store.event(row.nid)
        groups = state_rows.groups_of(database, row.nid)
        assert groups is not None
        slots = auth_event_slots(first.version, type=event_type, sender=sender, state_key=state_key, content=content)
        found = state_rows.lookup(database, groups[1], slots)
        named = [store.event(found[slot]).event_id for slot in slots if slot in found]
        timestamp = other.get("timestamp")
        return build_event(
            first.version,
            room_id=first.room_id,
            type=event_type,
            sender=sender,
            content=content,
            state_key=state_key,
            depth=other.get("depth", row.ordering + 1),
            prev_events=parents,
            auth_events=other.get("auth", named),
            origin_server_ts=next(self.clock) if timestamp is None else timestamp,
            server_name=self.name,
            key=self.key,
        )


class Siege(World):
    """Two Hearths, and an adversary who is in their room and sends each what it likes.

    Args as for a world.
    """

    names = ("b.example", "c.example")

    async def open(self) -> None:
        """Start the Hearths, make the room, and let the adversary's users in."""
        await super().open()
        self.adversary = Adversary()
        self.ring.know(self.adversary.name, self.adversary.key)
        first = self.servers[0]
        room = await first.room()
        for villain in VILLAINS:
            end = room.published.extremities[0].event_id
            join = self.adversary.upon(
                first.house, [end], "m.room.member", {"membership": "join"}, villain, sender=villain
            )
            for server in self.servers:
                assert await self.tell(server, join) is Verdict.ACCEPTED
        levels = room.state_event(room.head, "m.room.power_levels")
        assert levels is not None
        users = {**levels.content["users"], MALLORY: 50, MAUD: 50}
        assert await first.do("m.room.power_levels", first.anchor, {**levels.content, "users": users}, "")
        await self.deliver_all()

    async def tell(self, server: Server, event: Event) -> Verdict | str:
        """Send an event of the adversary's to one Hearth; its verdict, or why it did not even keep it."""
        return await self.tell_pdu(server, event.pdu)

    async def tell_pdu(self, server: Server, pdu: dict[str, Any]) -> Verdict | str:
        """The same for what may be no event."""
        try:
            return await server.house.accepting.accept(self.room_id, pdu, self.adversary.name)
        except (InvalidEvent, Unacceptable) as refusal:
            return str(refusal)

    def is_lost(self, event_id: str) -> bool:
        """Whether no Hearth has an event, so that what names it may wait for ever."""
        return all(event_id not in server.placed() for server in self.servers)

    async def attack(self) -> None:
        """Send something to one of the Hearths, or to both."""
        event = self._any_event()
        if event is None:
            return
        for server in self.random.sample(self.servers, self.random.choice((1, 1, 2))):
            verdict = await self.tell(server, event)
            self.done[f"attack {verdict}"] += 1

    def _any_event(self) -> Event | None:
        """Some event on some place of the graph, allowed or not, with its right vouchers or with others."""
        server = self.random.choice(self.servers)
        rows = server.house.owning.database.read(
            "SELECT e.event_id FROM events e JOIN event_states s USING (event_nid)"
            " ORDER BY e.ordering DESC, e.event_nid LIMIT ?",
            (self.random.choice((3, 10, 40)),),
        )
        known = [event_id for (event_id,) in rows]
        parents = self.random.sample(known, min(len(known), self.random.choice((1, 1, 1, 2, 4))))
        sender = self.random.choice(VILLAINS)
        event_type, content, state_key = self._any_content(sender)
        other: dict[str, Any] = {}
        if self.random.random() < 0.15:
            other["auth"] = self.random.sample(known, min(len(known), 3))
        if self.random.random() < 0.1:
            other["depth"] = self.random.choice((0, 1, 2**53 - 1))
        if self.random.random() < 0.3:
            other["timestamp"] = self.time + self.random.choice((-(10**9), -5_000, 5_000, 10**9))
        try:
            return self.adversary.upon(server.house, parents, event_type, content, state_key, sender=sender, **other)
        except InvalidEvent:
            return None

    def _any_content(self, sender: str) -> tuple[str, dict[str, Any], str | None]:
        people = [*VILLAINS, *(user for server in self.servers for user in server.people[1:])]
        target = self.random.choice(people)
        match self.random.randrange(7):
            case 0:
                return "m.room.message", {"body": str(self.random.random())}, None
            case 1:
                membership = self.random.choice(("ban", "leave", "invite", "join", "ban"))
                return "m.room.member", {"membership": membership}, target
            case 2:
                content = {"membership": "join", "displayname": str(self.random.random())}
                return "m.room.member", content, sender
            case 3:
                levels = {user: self.random.choice((0, 50, 50, 75, 100)) for user in self.random.sample(people, 3)}
                anchors = {server.anchor: 100 for server in self.servers}
                if self.version.creators_above_all:
                    del anchors[self.servers[0].anchor]
                return "m.room.power_levels", {"users": {**anchors, MALLORY: 50, MAUD: 50, **levels}}, ""
            case 4:
                return "m.room.join_rules", {"join_rule": self.random.choice(("public", "invite"))}, ""
            case 5:
                return self.random.choice(("m.room.topic", "m.room.name")), {"x": str(self.random.random())}, ""
            case _:
                return "m.room.redaction", {"reason": "x"}, None


# Stories about it ---------------------------------------------------------------------------------------------------


def in_a_siege(story: Story) -> Callable[..., None]:
    """Run a story about two Hearths and an adversary in a room."""

    @functools.wraps(story)
    def run(tmp_path: Path, version: str = "12", **named: Any) -> None:
        async def live() -> None:
            siege = Siege(0, version, tmp_path)
            try:
                await siege.open()
                await story(siege, *siege.servers, **named)
            finally:
                await siege.close()

        asyncio.run(live())

    wanted = list(inspect.signature(story).parameters.values())[3:]
    names = ["tmp_path", *(["version"] if getattr(story, "pytestmark", None) else [])]
    given = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    run.__signature__ = inspect.Signature([*given, *wanted])  # type: ignore[attr-defined]
    return run


every_version = pytest.mark.parametrize("version", ["1", "2", "6", "10", "11", "12"])


async def end_of(server: Server) -> str:
    """The one end of the graph at a Hearth."""
    (end,) = await server.ends()
    return end


async def says(siege: Siege, server: Server, parents: list[str], what: str, *rest: Any, **other: Any) -> Event:
    """An event of the adversary's that one Hearth accepts."""
    event = siege.adversary.upon(server.house, parents, what, *rest, **other)
    assert await siege.tell(server, event) is Verdict.ACCEPTED
    return event


def rows(server: Server) -> dict[str, int]:
    """How many rows each table of a Hearth has."""
    read = server.house.owning.database.read
    tables = [name for (name,) in read("SELECT name FROM sqlite_schema WHERE type = 'table'") if "sqlite" not in name]
    return {name: read(f"SELECT COUNT(*) FROM {name}")[0][0] for name in tables}


async def another_room(siege: Siege, server: Server, number: int) -> str:
    """Another room at a Hearth, with nobody of elsewhere in it."""
    content = {"room_version": "12", "number": number}
    return await server.house.living.acts.creation.make(
        server.anchor, VERSIONS["12"], content, lambda draft: None, lambda tx, room: None
    )
