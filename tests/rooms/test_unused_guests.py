"""Guests who do not come back are cleared away, and leave their rooms; whoever was there of late, and users, stay."""

import asyncio
from pathlib import Path

import msgspec

from appliance.accounts.unused_guests import UNUSED_MS, UnusedGuests
from appliance.app.clock import now_ms
from appliance.rooms.acts.presets import CreateRoom
from appliance.storage.devices import note_seen
from tests.federation.house import ALICE, House, house


async def guest(home: House) -> tuple[str, str]:
    """A new guest, and the token of their device."""
    accounts, sessions = home.owning.accounts, home.owning.sessions
    user_id = await accounts.create(accounts.generated_localpart(), None, guest=True)
    return user_id, (await sessions.login(user_id, None, None)).access_token


def ended(home: House) -> set[str]:
    """Whose accounts have ended."""
    rows = home.owning.database.read("SELECT user_id FROM accounts WHERE deactivated = 1")
    return {user_id for (user_id,) in rows}


async def in_time(home: House) -> None:
    """Nobody goes early; then those who were not heard of since."""
    database, accounts = home.owning.database, home.owning.accounts
    await home.owning.sessions.login(ALICE, None, None)
    away, _ = await guest(home)
    here, _ = await guest(home)
    never = await accounts.create(accounts.generated_localpart(), None, guest=True)
    open_to_guests = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
    wanted = msgspec.convert({"preset": "public_chat", "initial_state": [open_to_guests]}, CreateRoom)
    room_id = await home.living.acts.creation.create(ALICE, wanted)
    await home.living.acts.membership.join(away, room_id)
    assert await UnusedGuests(database, accounts, now_ms).clear() == 0
    later = now_ms() + UNUSED_MS + 60_000
    session = database.read("SELECT session_id FROM sessions WHERE user_id = ?", (here,))[0][0]
    await database.write(lambda tx: note_seen(tx, [(session, later - UNUSED_MS, "127.0.0.1")]))
    unused = UnusedGuests(database, accounts, lambda: later)
    assert await unused.clear() == 2
    assert ended(home) == {away, never}
    assert not database.read("SELECT 1 FROM sessions WHERE user_id = ?", (away,))
    room = await home.found(room_id)
    home.living.acts.departures.look()
    await home.living.acts.departures.settled()
    assert room.published.members.of(away) == "leave"
    assert await unused.clear() == 0


def test_guests_who_do_not_come_back(tmp_path: Path) -> None:
    """After so many days without a request; with their sessions, and out of their rooms."""

    async def live() -> None:
        async with house(tmp_path) as home:
            await in_time(home)

    asyncio.run(live())


def test_the_housekeeping_sees_to_it(tmp_path: Path) -> None:
    """It is one of the chores."""

    async def live() -> None:
        async with house(tmp_path) as home:
            chores = home.living.upkeep.housekeeping.others
            assert any(isinstance(getattr(chore, "__self__", None), UnusedGuests) for chore in chores)

    asyncio.run(live())
