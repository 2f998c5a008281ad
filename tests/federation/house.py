"""A Hearth without listeners, and a server elsewhere that signs for itself."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.app import Living, Owning
from appliance.protocol import hashes
from appliance.protocol.auth import auth_event_slots
from appliance.protocol.event_signatures import is_signed_by, required_signers
from appliance.protocol.events import Event, build_event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import RoomVersion
from appliance.rooms.acts.presets import CreateRoom
from appliance.rooms.incoming.accepting import Accepting, Verdict
from appliance.rooms.incoming.arriving import Arriving
from appliance.rooms.incoming.backfilling import Backfilling
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.naming import Named
from appliance.rooms.incoming.settling import Settling
from appliance.rooms.incoming.states import State
from appliance.rooms.room import Room
from appliance.storage.database import Database

HERE, ELSEWHERE = "here.example", "elsewhere.example"
ALICE, MALLORY = f"@alice:{HERE}", f"@mallory:{ELSEWHERE}"


class Remote:
    """Another server: makes events as it likes, honest by default."""

    def __init__(self, name: str = ELSEWHERE, key: SigningKey | None = None) -> None:
        self.name = name
        self.key = key or SigningKey.generate()
        self.clock = itertools.count(1_700_000_000_000)

    def event(
        self,
        room: Room,
        event_type: str,
        content: dict[str, Any],
        state_key: str | None = None,
        *,
        sender: str = MALLORY,
        parents: Sequence[str] | None = None,
        auth: Sequence[str] | None = None,
        depth: int | None = None,
        timestamp: int | None = None,
        event_id: str | None = None,
    ) -> Event:
        """An event on the ends of a room as it is published, unless told otherwise.

        Its id can be chosen in room versions 1 and 2.
        """
        snapshot = room.published
        slots = auth_event_slots(room.version, type=event_type, sender=sender, state_key=state_key, content=content)
        named = [room.store.event(snapshot.state[slot]).event_id for slot in slots if slot in snapshot.state]
        event = build_event(
            room.version,
            room_id=room.room_id,
            type=event_type,
            sender=sender,
            content=content,
            state_key=state_key,
            depth=depth if depth is not None else snapshot.extremities[0].ordering + 1,
            prev_events=[end.event_id for end in snapshot.extremities] if parents is None else parents,
            auth_events=named if auth is None else auth,
            origin_server_ts=next(self.clock) if timestamp is None else timestamp,
            server_name=self.name,
            key=self.key,
        )
        return event if event_id is None else self.signed(room.version, {**event.pdu, "event_id": event_id})

    def signed(self, version: RoomVersion, pdu: dict[str, Any]) -> Event:
        """An event out of whatever stands in it, with its hash and this server's signature made anew."""
        pdu = {**pdu, "hashes": {"sha256": hashes.content_hash(pdu)}, "signatures": {}}
        signature = self.key.sign(hashes.signed_form(version, pdu))
        return Event.from_pdu(version, {**pdu, "signatures": {self.name: {self.key.key_id: signature}}})


class Keyring:
    """The keys of all servers: checks signatures as federation does, without asking anybody."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, str]] = {}
        self.silent: set[str] = set()
        """Servers that may have keys and do not tell them now."""

    def know(self, server_name: str, key: SigningKey) -> None:
        """Take in a server's key."""
        self.keys.setdefault(server_name, {})[key.key_id] = key.public_key

    async def are_good(self, event: Event) -> bool:
        """Whether all signatures are there that must be."""
        return all(is_signed_by(event, server, self.keys.get(server, {})) for server in required_signers(event))

    def lacking(self, event: Event) -> str:
        """The server whose key is lacking; "" where all are here."""
        return next((server for server in required_signers(event) if server in self.silent), "")

    async def good_among(self, events: Sequence[Event]) -> set[str]:
        """The ids of those events of which that is so."""
        return {event.event_id for event in events if await self.are_good(event)}


class CheckedSettling(Settling):
    """Sees, whenever a verdict was found the short way, that the long way leads to the same."""

    def _verdict(self, room: Room, event: Event, named: Named, before: State) -> Verdict:
        verdict = super()._verdict(room, event, named, before)
        if named.of_the_end:
            assert super()._verdict(room, event, replace(named, of_the_end=False), before) is verdict
        return verdict


class House:
    """The services of one Hearth, and a server elsewhere."""

    def __init__(self, owning: Owning, living: Living, remote: Remote, ring: Keyring) -> None:
        self.owning = owning
        self.living = living
        self.remote = remote
        database, numbers, store = owning.database, living.graph.numbers, living.graph.store
        self.holding = living.graph.holding
        self.intake = Intake(database, numbers, living.graph.rooms, store, living.acts.appender, self.holding, ring)
        self.settling = CheckedSettling(self.intake)
        self.accepting = Accepting(self.intake, self.settling)
        self.plain_accepting = lambda: Accepting(self.intake, Settling(self.intake))
        self.arriving = Arriving(
            self.intake, self.settling, self.accepting, living.identity, lambda room_id: nullcontext()
        )
        self.backfilling = Backfilling(self.intake, self.accepting)

    async def room(self, **wanted: Any) -> Room:
        """A room of Alice's that anybody may join."""
        room_id = await self.living.acts.creation.create(ALICE, CreateRoom(preset="public_chat", **wanted))
        return await self.found(room_id)

    async def found(self, room_id: str) -> Room:
        """The room of that id, which is here."""
        room = await self.living.graph.rooms.find(room_id)
        assert room is not None
        return room

    def events_of(self, user_id: str) -> list[Event]:
        """What a user sent and what is in a timeline, the earliest first."""
        rows = self.owning.database.read(
            "SELECT event_nid FROM events WHERE sender = ? AND position IS NOT NULL ORDER BY position", (user_id,)
        )
        return [self.living.graph.store.event(nid) for (nid,) in rows]

    async def with_mallory(self, **wanted: Any) -> Room:
        """Such a room with Mallory in it."""
        room = await self.room(**wanted)
        join = self.remote.event(room, "m.room.member", {"membership": "join"}, MALLORY)
        await self.accepting.accept(room.room_id, join.pdu)
        return room


@asynccontextmanager
async def house(
    folder: Path,
    remote: Remote | None = None,
    *,
    name: str = HERE,
    ring: Keyring | None = None,
    key: SigningKey | None = None,
) -> AsyncIterator[House]:
    """A house in a folder, which may hold one already; with Alice in it, or whoever has her name on that server.

    A key that is given is not stored: whoever opens the house again gives it again.
    """
    remote, ring = remote or Remote(), ring or Keyring()
    database = await Database.open(folder / "hearth.db")
    try:
        owning = Owning(database, folder)
        owning.settings.server_name = name
        owning.settings.passwords_memory_kib = 8
        owning.settings.passwords_rounds = 1
        owning.keys._current = key or owning.keys._current
        ring.know(name, await owning.keys.ensure())
        ring.know(remote.name, remote.key)
        if owning.accounts.get(f"@alice:{name}") is None:
            await owning.accounts.create("alice", "wonderland")
        yield House(owning, Living(owning), remote, ring)
    finally:
        await asyncio.wait_for(database.close(), 10)
