"""Servers that hear the same in different orders, late, doubled and with what was lost made good, end up with the same
room: its state, its members, the ends of its graph, and what each event was judged by.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.protocol.versions import VERSIONS
from appliance.rooms.incoming.accepting import Verdict
from tests.federation.simulation import World

SHM = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is such a thing: lives write much that has not to outlive the machine."""
    with tempfile.TemporaryDirectory(prefix="hearth-", dir=SHM if os.access(SHM, os.W_OK) else None) as path:
        yield Path(path)


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


@pytest.mark.parametrize(("version", "seed"), [("1", 3), ("2", 4), ("6", 7), ("10", 5), ("12", 7)])
def test_three_servers_agree(folder: Path, version: str, seed: int) -> None:
    """A short life in old and new kinds of rooms."""
    world = asyncio.run(live(seed, version, folder, steps=80, away=1))
    assert world.done["split"] == 0
    assert world.done["came back"] == 1
    assert all(server.verdicts[Verdict.WAITING] for server in world.servers)


def test_a_life_is_the_same_each_time(folder: Path) -> None:
    """Whatever a seed finds can be looked at again."""
    lives = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        world = asyncio.run(live(1, "12", folder / name, steps=30, away=0))
        verdicts = [dict(server.verdicts) for server in world.servers]
        lives.append(([event.event_id for event in world.sent], world.done, verdicts))
    assert lives[0] == lives[1]


FOUND = [
    # An invitation whose user turned out to be a member once the ends of the graph were brought together.
    (101, "1", 300, 2),
]
"""Lives that found something: seed, version, steps, how often a server goes away."""


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "version", "steps", "away"), FOUND)
def test_what_was_found_before(folder: Path, seed: int, version: str, steps: int, away: int) -> None:
    """The same lives again, as far as what happens in them is still the same."""
    asyncio.run(live(seed, version, folder, steps=steps, away=away))


LIVES = int(os.environ.get("LIVES", "0"))
"""How many long lives to try in each room version."""


@pytest.mark.slow
@pytest.mark.skipif(not LIVES, reason="LIVES=N tries N long lives in every room version")
@pytest.mark.parametrize("version", list(VERSIONS))
@pytest.mark.parametrize("seed", range(100, 100 + LIVES) or [0])
def test_three_servers_agree_in_the_end(folder: Path, version: str, seed: int) -> None:
    """Long lives, with servers that go away and come back."""
    asyncio.run(live(seed, version, folder, steps=300, away=seed % 3))
