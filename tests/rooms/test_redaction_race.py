"""A redaction that comes while somebody reads the room: what was taken away is nowhere afterwards."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.rooms.snapshot import Transaction
from appliance.rooms.store import SLICE, EventStore
from appliance.storage.database import Reader
from tests.federation.house import ALICE, House, house


async def redacted_while_reading(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read many events in a thread, and redact one of them before its form is made."""
    room, database, sending = await home.room(), home.owning.database, home.living.acts.sending

    async def say(number: int) -> str:
        transaction = Transaction(ALICE, "DEVICE", f"send/{room.room_id}", str(number))
        return await sending.send(ALICE, room.room_id, "m.room.message", {"body": f"secret {number}"}, transaction)

    said = [await say(number) for number in range(SLICE + 5)]
    nids = [nid for (nid,) in database.read("SELECT event_nid FROM events WHERE type = 'm.room.message'")]
    store = EventStore(database)
    monkeypatch.setattr(home.living.graph.store, "forget", store.forget)
    reading = database.reading

    async def then_redacted(work: Callable[[Reader], Any]) -> Any:
        found = await reading(work)
        await sending.redact(ALICE, room.room_id, said[0], {}, Transaction(ALICE, "DEVICE", "redact", "1"))
        return found

    monkeypatch.setattr(database, "reading", then_redacted)
    found = await store.many_clients(nids)
    bodies = {client.event_id: client.body for client in found.values()}
    assert b"secret" not in bodies[said[0]]
    assert b"secret 1" in bodies[said[1]]
    assert b"secret" not in store.clients([nids[0]])[nids[0]].body


def test_redacted_while_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer that is being made nor the memory behind it keeps the old content."""

    async def live() -> None:
        async with house(tmp_path) as home:
            await redacted_while_reading(home, monkeypatch)

    asyncio.run(live())
