"""Two Hearths and a server that lies: both end up with the same room, and take in nothing that they must not."""

import asyncio
from pathlib import Path

import pytest

from tests.federation.adversary import Siege


async def besieged(seed: int, version: str, folder: Path, steps: int) -> Siege:
    """A room's life under attack."""
    siege = Siege(seed, version, folder)
    try:
        await siege.open()
        for _ in range(steps):
            await (siege.attack() if siege.random.random() < 0.5 else siege.happen(1))
        await siege.agree()
        await siege.agree_on_every_event()
        await siege.be_as_written()
    finally:
        await siege.close()
    return siege


@pytest.mark.parametrize("version", ["2", "6", "10", "12"])
def test_two_hearths_agree_under_siege(tmp_path: Path, version: str) -> None:
    """Whatever is thrown at one of them or at both, right, wrong, late or never told to the other."""
    asyncio.run(besieged(1, version, tmp_path, steps=120))
