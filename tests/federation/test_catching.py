"""When a room for which not all was found is looked after again."""

import asyncio
from typing import Any

import pytest

from appliance.federation.catching import FIRST_REST, LONGEST_REST, SHORT_REST, Catching

ROOM = "!room:x.test"


class Searches(Catching):
    """Searches that find what the test says: whether all, and what is lacking before and after each."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(*[nothing] * 9)
        self.all_found = False
        self.lacking: list[set[str]] = []
        self.trouble: Exception | None = None

    async def _search(self, room_id: str) -> bool:
        if self.trouble is not None:
            raise self.trouble
        return self.all_found

    async def _lacking(self, room_id: str) -> set[str]:
        return self.lacking.pop(0) if self.lacking else {"$a"}

    async def seconds(self, *, by_itself: bool = False) -> float | None:
        """Until when the room rests after one search: begun by an event that came, or because the last rest is over."""
        if by_itself:
            self._timers[ROOM].cancel()
            self._resume(ROOM)
        else:
            self.seek(ROOM, "x.test")
        await self.settled()
        await asyncio.sleep(0)
        return self._rests.get(ROOM)


def test_rests(caplog: pytest.LogCaptureFixture) -> None:
    """Events that come in do not make a rest longer; what is found makes it short; trouble does not end it."""

    async def story() -> None:
        searches = Searches()
        assert [await searches.seconds() for _ in range(5)] == [FIRST_REST] * 5
        assert [await searches.seconds(by_itself=True) for _ in range(3)] == [2 * FIRST_REST, 4 * FIRST_REST, 160.0]
        assert await searches.seconds() == 160
        searches.lacking = [{"$a"}, {"$b"}, {"$b"}, {"$c"}]
        assert [await searches.seconds(), await searches.seconds(by_itself=True)] == [SHORT_REST, 1.25 * SHORT_REST]
        assert await searches.seconds(by_itself=True) == FIRST_REST
        searches.trouble = RuntimeError("a bug")
        waits = [await searches.seconds(by_itself=True) for _ in range(9)]
        assert waits[-1] == LONGEST_REST
        assert "ended early" in caplog.text
        searches.trouble, searches.all_found = None, True
        assert await searches.seconds() is None
        assert not searches._timers
        await searches.stop()

    asyncio.run(story())
