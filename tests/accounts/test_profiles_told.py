"""A change of a name or a picture reaches the user's rooms, also when something came in between."""

import pytest

from appliance.storage.profiles import untold
from tests.accounts.household import Household

pytestmark = pytest.mark.anyio


class Rooms:
    """Repeats names, unless it is out of order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.broken = False

    async def profile_changed(self, user_id: str) -> None:
        if self.broken:
            raise RuntimeError("out of order")
        self.told.append(user_id)


async def test_what_did_not_get_everywhere_is_told_again_at_the_next_start(house: Household) -> None:
    alice = (await house.login("alice")).user_id
    rooms = Rooms()
    house.profiles.listeners.append(rooms)
    rooms.broken = True
    await house.profiles.put(alice, "displayname", {"displayname": "Alice"})
    await house.profiles.settled()
    assert [user_id for user_id, _ in untold(house.database)] == [alice]
    rooms.broken = False
    house.profiles.start()
    await house.profiles.settled()
    assert rooms.told == [alice]
    assert untold(house.database) == []
    house.profiles.start()
    await house.profiles.settled()
    assert rooms.told == [alice]


async def test_only_what_rooms_repeat_is_told_and_only_a_change(house: Household) -> None:
    alice = (await house.login("alice")).user_id
    rooms = Rooms()
    house.profiles.listeners.append(rooms)
    for _ in range(2):
        await house.profiles.put(alice, "displayname", {"displayname": "Alice"})
        await house.profiles.put(alice, "m.tz", {"m.tz": "Europe/London"})
    await house.profiles.delete(alice, "m.tz")
    await house.profiles.settled()
    assert rooms.told == [alice]
    await house.profiles.delete(alice, "displayname")
    await house.profiles.delete(alice, "displayname")
    await house.profiles.settled()
    assert rooms.told == [alice, alice]
    assert untold(house.database) == []
