"""Servers that hear the same in different orders, late, doubled and with what was lost made good, end up with the same
room: its state, its members, the ends of its graph, and what each event was judged by.
"""

import asyncio
import os
from pathlib import Path

import pytest

from appliance.protocol.versions import VERSIONS
from appliance.rooms.incoming.accepting import Verdict
from tests.federation.simulation import World


async def live(seed: int, version: str, folder: Path, *, steps: int, away: int) -> World:
    """A room's whole life.

    Args:
        seed: what it follows from.
        version: the room's version.
        folder: where the servers keep their data.
        steps: how much happens in each part of it.
        away: how often all people of a server go away and come back.
    """
    world = World(seed, version, folder)
    try:
        await world.open()
        for _ in range(away):
            await world.happen(steps)
            await world.go_away_and_come_back()
        await world.happen(steps)
        await world.agree()
        await world.agree_on_every_event()
        world.agree_on_every_content()
        await world.be_as_written()
    finally:
        await world.close()
    return world


@pytest.mark.parametrize("version", ["6", "12"])
def test_three_servers_agree(tmp_path: Path, version: str) -> None:
    """A short life in an older and in the newest kind of room."""
    world = asyncio.run(live(7, version, tmp_path, steps=120, away=1))
    assert world.done["split"] == 0
    assert world.done["came back"] == 1
    assert all(server.verdicts[Verdict.WAITING] for server in world.servers)


LIVES = int(os.environ.get("LIVES", "0"))
"""How many long lives to try in each room version. None where nobody asks: keys and times are new in every run, so that
each run tries something else, which is for whoever can look at what it finds.
"""


@pytest.mark.slow
@pytest.mark.skipif(not LIVES, reason="LIVES=N tries N long lives in every room version")
@pytest.mark.parametrize("version", list(VERSIONS))
@pytest.mark.parametrize("seed", range(100, 100 + LIVES) or [0])
def test_three_servers_agree_in_the_end(tmp_path: Path, version: str, seed: int) -> None:
    """Long lives, with servers that go away and come back."""
    asyncio.run(live(seed, version, tmp_path, steps=300, away=seed % 3))
