"""A Hearth without listeners, and a server elsewhere that signs for itself."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.app import Living, Owning, now_ms
from appliance.protocol import hashes
from appliance.protocol.auth import auth_event_slots
from appliance.protocol.event_signatures import is_signed_by, required_signers
from appliance.protocol.events import Event, build_event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import RoomVersion
from appliance.rooms.accepting import Accepting
from appliance.rooms.holding import Holding
from appliance.rooms.judging import Judging
from appliance.rooms.presets import CreateRoom
from appliance.rooms.resolving import Resolving
from appliance.rooms.room import Room
from appliance.storage.database import Database

HERE, ELSEWHERE = "here.example", "elsewhere.example"
ALICE, MALLORY = f"@alice:{HERE}", f"@mallory:{ELSEWHERE}"


class Remote:
    """Another server: makes events as it likes, honest by default."""

    def __init__(self, name: str = ELSEWHERE) -> None:
        self.name = name
        self.key = SigningKey.generate()
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

    async def are_good(self, event: Event) -> bool:
        """Checks signatures for this server and, as a resident would know them, for the other."""
        keys = {self.key.key_id: self.key.public_key}
        return all(server != self.name or is_signed_by(event, server, keys) for server in required_signers(event))


class House:
    """The services of one Hearth, with Alice in it."""

    def __init__(self, owning: Owning, living: Living, remote: Remote) -> None:
        self.owning = owning
        self.living = living
        self.remote = remote
        database, numbers, store = owning.database, living.numbers, living.store
        judging = Judging(database, numbers, store, Resolving(database))
        self.holding = Holding(database, now_ms)
        self.accepting = Accepting(
            database, numbers, living.rooms, store, living.appender, judging, self.holding, remote
        )

    async def room(self, **wanted: Any) -> Room:
        """A room of Alice's that anybody may join."""
        room_id = await self.living.creation.create(ALICE, CreateRoom(preset="public_chat", **wanted))
        room = await self.living.rooms.find(room_id)
        assert room is not None
        return room

    async def with_mallory(self, **wanted: Any) -> Room:
        """Such a room with Mallory in it."""
        room = await self.room(**wanted)
        join = self.remote.event(room, "m.room.member", {"membership": "join"}, MALLORY)
        await self.accepting.accept(room.room_id, join.pdu)
        return room


@asynccontextmanager
async def house(folder: Path, remote: Remote | None = None) -> AsyncIterator[House]:
    """A house in a folder, which may hold one already."""
    database = await Database.open(folder / "hearth.db")
    try:
        owning = Owning(database, folder)
        owning.settings.server_name = HERE
        owning.settings.passwords_memory_kib = 8
        owning.settings.passwords_rounds = 1
        await owning.keys.ensure()
        if owning.accounts.get(ALICE) is None:
            await owning.accounts.create("alice", "wonderland")
        yield House(owning, Living(owning), remote or Remote())
    finally:
        await asyncio.wait_for(database.close(), 10)
