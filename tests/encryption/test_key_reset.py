"""An allowance to replace keys without a proof ends by time, and with the account."""

from typing import Any

import pytest

from appliance.encryption.cross_signing import CrossSigning, Given
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio


def master(name: str) -> dict[str, Given]:
    """A master key as it was read from a request; nobody looks into it here."""
    key: dict[str, Any] = {"user_id": ALICE, "usage": ["master"], "keys": {f"ed25519:{name}": name}}
    return {"master": Given(f"ed25519:{name}", key)}


async def test_an_allowance_ends(home: House) -> None:
    accounts, database = home.owning.accounts, home.owning.database
    now = [0]
    keys = CrossSigning(database, home.living.encrypting.lists, lambda: now[0])
    assert await keys.upload(ALICE, master("A"), proved=False)
    until = await accounts.allow_key_reset(ALICE, 60_000)
    assert until is not None
    now[0] = until
    assert not await keys.upload(ALICE, master("B"), proved=False)
    now[0] = until - 1
    # Whoever proves who they are does not use it up.
    assert await keys.upload(ALICE, master("C"), proved=True)
    assert await keys.upload(ALICE, master("B"), proved=False)
    assert not await keys.upload(ALICE, master("D"), proved=False)
    await accounts.allow_key_reset(ALICE, 60_000)
    await accounts.deactivate(ALICE)
    assert database.read("SELECT count(*) FROM key_reset_allowances") == [(0,)]
