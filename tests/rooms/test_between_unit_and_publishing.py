"""What contributors remember from preparing a unit until it is published: each step's own, and nothing of a failure."""

import asyncio
import gc
from sqlite3 import IntegrityError

import pytest

from appliance.rooms.acts.delayed import Wish
from appliance.rooms.snapshot import Slot, Step, Transaction
from tests.federation.house import ALICE, House
from tests.rooms.test_failing_units import Failing

pytestmark = pytest.mark.anyio
LATER_MS = 3_600_000


async def set_later(home: House, room_id: str, kind: str) -> None:
    """Let Alice set some state later."""
    wish = Wish(room_id, kind, "", {"topic": "at last"}, LATER_MS)
    await home.living.acts.delayed.schedule(wish, None, (ALICE, "DEVICE"))


def waiting(home: House) -> list[str]:
    """What Alice sets later."""
    return sorted(event.type for event in home.living.acts.delayed.of_user(ALICE))


async def test_nothing_is_left_of_a_unit_that_failed(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of a redaction nor of what makes a delayed event void; done again they count."""
    acts = home.living.acts
    room_id = (await home.room()).room_id
    await set_later(home, room_id, "m.room.topic")
    said = await acts.sending.send(ALICE, room_id, "m.room.message", {"body": "oops"}, transaction("send"))

    async def deeds(number: int) -> list[object]:
        redacting = acts.sending.redact(ALICE, room_id, said, {}, transaction(f"redact{number}"))
        found = await asyncio.gather(redacting, return_exceptions=True)
        leaving = acts.membership.leave(ALICE, room_id)
        return found + await asyncio.gather(leaving, return_exceptions=True)

    failing = Failing(home.owning.database, 1, monkeypatch)
    assert [type(one) for one in await deeds(1)] == [IntegrityError, IntegrityError]
    assert waiting(home) == ["m.room.topic"]
    failing.every = 10**9
    await home.room()  # the writer keeps the last unit until it has another one
    gc.collect()
    assert not acts.delayed._settling
    assert not home.living.graph.redactions._applied
    assert (await deeds(2))[1] is None
    assert waiting(home) == []
    row = home.owning.database.read("SELECT json FROM events WHERE event_id = ?", (said,))
    assert b"oops" not in row[0][0]


async def test_a_state_that_an_event_brings_along_is_a_step_of_its_own(home: House) -> None:
    """Both make delayed events void, and both have the same number."""
    room = await home.room()
    kinds: list[Slot] = [("m.room.topic", ""), ("m.room.name", "")]
    for kind, _ in kinds:
        await set_later(home, room.room_id, kind)
    event = home.remote.event(room, "m.room.name", {"name": "Tea"}, "")
    steps = [
        Step(room.nid, room.room_id, 10_000, event, room.head, room.head, {slot: (None, 10_000)}, None)
        for slot in kinds
    ]
    delayed = home.living.acts.delayed
    for step in steps:
        assert delayed.prepare(step) is not None
    for step in steps:
        delayed.published(step, 10_000)
    assert waiting(home) == []


def transaction(name: str) -> Transaction:
    """A request of Alice's."""
    return Transaction(ALICE, "DEVICE", name, name)
