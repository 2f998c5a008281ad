"""Inviting people of many other servers into a new room: those that are away keep nobody waiting for long."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from appliance.errors import MatrixError
from appliance.federation.elsewhere import ThroughOthers
from appliance.federation.failures import Refused, Unreachable
from appliance.rooms.acts import creation
from appliance.rooms.acts.elsewhere import Nobody
from appliance.rooms.acts.presets import CreateRoom
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio
AWAY = MatrixError("M_UNKNOWN", "It is away.", 502)


class Others(Nobody):
    """Other servers, of which some are away, some only when they are asked to sign, and one never answers."""

    def __init__(self) -> None:
        self.asked: list[Collection[str]] = []
        self.invited: list[str] = []

    def can_reach(self, server: str) -> bool:
        """All of them."""
        return True

    async def silent(self, servers: Collection[str]) -> dict[str, MatrixError]:
        """Those that are away."""
        self.asked.append(list(servers))
        return {one: AWAY for one in servers if one.startswith("away")}

    async def invite(self, sender: str, room_id: str, user_id: str, content: dict[str, Any]) -> str:
        """Take note of the invitation."""
        self.invited.append(user_id)
        if "unsteady" in user_id:
            raise AWAY
        if "slow" in user_id:
            await asyncio.Event().wait()
        return "$id"


async def invite(home: House, *users: str) -> MatrixError:
    """Make a room with people of other servers; what is said of those who could not be invited."""
    with pytest.raises(MatrixError) as caught:
        await home.living.acts.creation.create(ALICE, CreateRoom(invite=list(users)))
    return caught.value


async def test_servers_that_are_away_are_not_asked_one_after_the_other(home: House) -> None:
    others = home.living.acts.creation.elsewhere = Others()
    users = ["@a:away1", "@b:away2", "@c:there", "@d:unsteady", "@e:unsteady", "@f:there", "@g:away1"]
    refusal = await invite(home, *users)
    assert others.asked == [["away1", "away2", "there", "unsteady"]]
    assert others.invited == ["@c:there", "@d:unsteady", "@f:there"]
    assert (refusal.status, "@a:away1" in refusal.message) == (502, True)
    await home.living.acts.creation.create(ALICE, CreateRoom(invite=["@c:there", "@f:there"]))
    assert len(others.asked) == 1  # of one alone it is found out by inviting


async def test_all_together_may_take_so_long(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "INVITING_SECONDS", 0.05)
    others = home.living.acts.creation.elsewhere = Others()
    refusal = await invite(home, "@a:there", "@b:slow", "@c:there")
    assert (refusal.status, "@b:slow" in refusal.message) == (504, True)
    assert others.invited[:2] == ["@a:there", "@b:slow"]


class Asked:
    """Servers that are asked whether they are there; they answer once all were asked."""

    def __init__(self, count: int) -> None:
        self.barrier = asyncio.Barrier(count)

    async def answers(self, server: str) -> None:
        """Be there, or not."""
        async with asyncio.timeout(10):
            await self.barrier.wait()
        if server == "away":
            raise Unreachable("Nobody answers.")
        if server == "rude":
            raise Refused(404, "M_UNRECOGNIZED", "What?")


async def test_all_are_asked_at_once() -> None:
    through = ThroughOthers.__new__(ThroughOthers)
    asked: Any = Asked(3)
    through._remote = asked
    found = await through.silent(["away", "rude", "there"])
    assert {server: (one.status, one.errcode) for server, one in found.items()} == {"away": (502, "M_UNKNOWN")}
