"""A database, settings, a clock that tests set, and an authority that does as it is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.settings import Settings
from appliance.storage.database import Database
from tests.tls.parts import Clock, FakeAuthority, House


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(clock: Clock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        server_name="example.org", public_host="matrix.example.org", tls_directory="https://acme.example/dir"
    )


@pytest.fixture
async def database(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "hearth.db")
    yield database
    await database.close()


@pytest.fixture
async def house(database: Database, settings: Settings, clock: Clock, authority: FakeAuthority) -> AsyncIterator[House]:
    house = House(database, settings, clock, authority)
    yield house
    await house.issuance.stop()
