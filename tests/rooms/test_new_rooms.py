"""What the owner's settings say of new rooms."""

import pytest

from tests.federation.house import House

pytestmark = pytest.mark.anyio


async def test_the_owner_chooses_the_version_of_new_rooms(home: House) -> None:
    made = {}
    for version in ("12", "10"):
        home.owning.settings.rooms_default_version = version  # type: ignore[assignment]
        made[version] = (await home.room()).version.identifier
    assert made == {"12": "12", "10": "10"}
