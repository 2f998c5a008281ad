"""A server's accounts on a database of their own, with a clock that tests set and passwords that cost little."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from appliance.settings import Settings
from tests.accounts.household import Household


@pytest.fixture
def settings() -> Settings:
    return Settings(
        server_name="example.org",
        public_host="matrix.example.org",
        registration_mode="open",
        limits_enabled=False,
        passwords_memory_kib=8,
        passwords_rounds=1,
        passwords_shortest=5,
    )


@pytest.fixture
async def house(anyio_backend: str, tmp_path: Path, settings: Settings) -> AsyncIterator[Household]:
    household = await Household.open(tmp_path / "hearth.db", settings)
    yield household
    await household.close()


@pytest.fixture
async def client(house: Household) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client
