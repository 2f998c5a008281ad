"""A sync between an invitation from elsewhere and its withdrawal, which is committed and not published yet."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest

from appliance.app.clock import now_ms
from appliance.protocol.events import Event, build_event
from appliance.protocol.filters import Filter
from appliance.protocol.versions import VERSIONS
from appliance.rooms.outside import OutsideMemberships
from appliance.rooms.reading.serving import Asker
from appliance.storage.database import Database
from appliance.storage.tokens import SyncToken
from appliance.sync.sections import Options
from appliance.sync.sliding.wishes import ListWish, RoomConfig, Wishes
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House, house

ASKER = Asker(ALICE, "DEVICE")
ROOM = f"!room:{ELSEWHERE}"


def membership(home: House, content: str) -> Event:
    """Mallory's event about Alice in a room that nobody here is in."""
    return build_event(
        VERSIONS["11"],
        room_id=ROOM,
        type="m.room.member",
        sender=MALLORY,
        state_key=ALICE,
        content={"membership": content},
        depth=5,
        prev_events=[],
        auth_events=[],
        origin_server_ts=next(home.remote.clock),
        server_name=ELSEWHERE,
        key=home.remote.key,
    )


class Withheld:
    """What the writer has committed, which is not published until it is let through."""

    def __init__(self, database: Database) -> None:
        self._database, self._publish = database, database._publish
        self._held: list[tuple[Any, ...]] = []
        self._came: asyncio.Queue[None] = asyncio.Queue()

    async def something(self) -> None:
        """Wait until something more was committed."""
        await self._came.get()

    def hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin to keep back."""
        monkeypatch.setattr(self._database, "_publish", self._keep)

    def let_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Publish it, and all that comes from now on."""
        monkeypatch.setattr(self._database, "_publish", self._publish)
        for delivery in self._held:
            self._publish(*delivery)

    def _keep(self, *delivery: Any) -> None:
        self._held.append(delivery)
        self._came.put_nowait(None)


Told = list[dict[str, Any]]
Way = Callable[[House, SyncToken], Coroutine[Any, Any, Told]]


async def first_sync(home: House, before: SyncToken) -> Told:
    """What sync v2 shows of the room to who knows nothing yet."""
    return await next_sync(home, None)


async def next_sync(home: House, before: SyncToken | None) -> Told:
    """What it shows to who goes on from before the invitation."""
    answer = await home.living.syncing.sync.answer(ASKER, before, Options(Filter()))
    return list(orjson.loads(answer.body)["rooms"]["invite"][ROOM]["invite_state"]["events"])


async def sliding_sync(home: House, before: SyncToken) -> Told:
    """What sliding sync shows of it."""
    sliding, wishes = home.living.syncing.sliding, Wishes("", {"all": ListWish(RoomConfig())})
    answered = await sliding.answer(await sliding.connection(ASKER, "", None), ASKER, None, wishes)
    return list(answered.rooms[ROOM].stripped_state or ())


async def ask_in_between(home: House, monkeypatch: pytest.MonkeyPatch, way: Way) -> Told:
    """What is told while the withdrawal is committed and nothing of it published."""
    database = home.owning.database
    outside = OutsideMemberships(database, home.living.graph.numbers, home.living.graph.standings, now_ms)
    before = (await home.living.syncing.sync.answer(ASKER, None, Options(Filter()))).token
    shown = [{"type": "m.room.name", "state_key": "", "sender": MALLORY, "content": {"name": "Tea"}}]
    await outside.put(membership(home, "invite"), shown)
    withheld = Withheld(database)
    withheld.hold(monkeypatch)
    leaving = asyncio.create_task(outside.put(membership(home, "leave")))
    await withheld.something()
    asked = asyncio.create_task(way(home, before))
    # Sliding sync commits what it tells before it answers, so that has to be published first.
    stored = asyncio.create_task(withheld.something())
    await asyncio.wait((asked, stored), return_when=asyncio.FIRST_COMPLETED)
    stored.cancel()
    withheld.let_through(monkeypatch)
    await leaving
    return await asked


@pytest.mark.parametrize("way", [first_sync, next_sync, sliding_sync])
def test_a_sync_while_an_invitation_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """The answer shows the invitation as far as it is still known, and is no error."""

    async def live() -> Told:
        async with house(tmp_path) as home:
            return await ask_in_between(home, monkeypatch, way)

    told = asyncio.run(live())
    assert [(one["sender"], one["state_key"], one["content"]["membership"]) for one in told] == [
        (MALLORY, ALICE, "invite")
    ]
