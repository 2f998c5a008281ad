"""A disk that is full for a moment: what is done by itself is done once there is room again, not at the next start."""

from typing import Any

import pytest

from appliance.later import Later
from appliance.rooms.acts import delayed as delaying
from appliance.rooms.acts.delayed import Wish
from appliance.rooms.snapshot import Transaction
from appliance.storage.errors import StorageFull
from tests.federation.house import ALICE, House
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def full_at_first(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[str]:
    """Let something fail once; gives what happened."""
    work, happened = getattr(where, name), []

    async def tried(*named: Any, **more: Any) -> Any:
        happened.append(name)
        if len(happened) == 1:
            raise StorageFull("There is no room left.")
        return await work(*named, **more)

    monkeypatch.setattr(where, name, tried)
    return happened


async def test_a_last_will_is_sent_all_the_same(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delaying, "AGAIN_MS", 10)
    room, delayed = await home.room(), home.living.acts.delayed
    happened = full_at_first(monkeypatch, home.living.acts.sending, "send")
    wish = Wish(room.room_id, "m.room.message", None, {"body": "farewell"}, 1)
    name = await delayed.schedule(wish, None, (ALICE, "D"))
    await until(lambda: home.events_of(ALICE)[-1].content == {"body": "farewell"})
    await until(lambda: not delayed.of_user(ALICE))
    assert (happened, delayed.get(ALICE, name).error) == (["send"] * 2, None)
    await delayed.stop()


async def test_a_new_name_gets_everywhere_all_the_same(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    room, profiles = await home.room(), home.living.people.profiles
    happened = full_at_first(monkeypatch, home.living.acts.membership, "profile_changed")
    await profiles.put(ALICE, "displayname", {"displayname": "Alice"})
    await profiles.settled()
    assert len(happened) == 1
    for _ in range(2):
        assert await profiles.tell_again() == 0
        await profiles.settled()
    assert len(happened) == 2
    member = room.state_event(room.published, "m.room.member", ALICE)
    assert member is not None
    assert member.content["displayname"] == "Alice"


async def test_a_contributor_that_fails_keeps_no_other_from_hearing_of_it(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept in memory would differ from the database for good, and nobody would be woken."""
    room = await home.room()

    def fail(step: Any, position: int) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(home.living.graph.standings, "published", fail)
    monkeypatch.setattr(home.living.syncing.bumps, "published", fail)
    transaction = Transaction(ALICE, "D", "send", "1")
    await home.living.acts.sending.send(ALICE, room.room_id, "m.room.message", {"body": "on"}, transaction)
    assert home.living.syncing.activity.since(room.nid) == home.owning.database.position
    assert room.position == home.owning.database.position


async def test_who_is_gone_leaves_all_the_same(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms, acts = [await home.room(), await home.room()], home.living.acts
    monkeypatch.setattr(acts.departures, "_later", Later(0.01, acts.departures.look))
    full_at_first(monkeypatch, acts.membership, "leave")
    await home.owning.database.write(lambda tx: tx.execute("UPDATE accounts SET deactivated = 1"))
    acts.departures.look()
    await until(lambda: all(room.published.members.of(ALICE) == "leave" for room in rooms))
    await acts.departures.settled()
