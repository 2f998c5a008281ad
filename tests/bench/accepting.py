"""What it costs to take in events from elsewhere: read, checked for hash and signature, judged three times, stored."""

import time
from pathlib import Path
from typing import Any

from appliance.rooms.incoming.accepting import Accepting, Verdict
from appliance.rooms.room import Room
from tests.bench.figures import Figure
from tests.federation.house import ELSEWHERE, Remote, house

TRANSACTION = 50
"""PDUs of one transaction at most (server-server API, "Transactions")."""
TEXT = "The kettle is on, and there is cake for everybody who comes in time. " * 3


async def measure(folder: Path, events: int) -> list[Figure]:
    """Accept events of one room, each standing on the one before it: first one after the other, each durable before the
    next, and then so many at a time as a transaction of another server holds.

    Args:
        folder: an empty one.
        events: how many; a tenth as many go before them and are not counted.
    """
    async with house(folder) as home:
        room = await home.with_mallory()
        warming = max(1, events // 10)
        made = _made(room, home.remote, warming + 2 * events)
        # Without the second look that tests take at each verdict.
        accepting = home.plain_accepting()
        await _accept(accepting, room, made[:warming], 1)
        one = await _timed(accepting, room, made[warming : warming + events], 1)
        many = await _timed(accepting, room, made[warming + events :], TRANSACTION)
    return [
        Figure("accepting from elsewhere, one by one: rate", events / one[0], "events/s", 1000),
        Figure("accepting from elsewhere, one by one: CPU an event", one[1] / events * 1000, "ms", 0.8),
        Figure("accepting from elsewhere, as transactions: rate", events / many[0], "events/s", 1000),
        Figure("accepting from elsewhere, as transactions: CPU an event", many[1] / events * 1000, "ms", 0.8),
    ]


async def _timed(accepting: Accepting, room: Room, pdus: list[dict[str, Any]], size: int) -> tuple[float, float]:
    """Seconds that it takes to accept events, so many at a time, and seconds of CPU."""
    cpu, begin = time.process_time(), time.perf_counter()
    await _accept(accepting, room, pdus, size)
    return time.perf_counter() - begin, time.process_time() - cpu


def _made(room: Room, remote: Remote, count: int) -> list[dict[str, Any]]:
    """A chain of signed messages on the end of a room."""
    end = room.published.extremities[0]
    parent, depth = end.event_id, end.ordering
    made = []
    for _ in range(count):
        depth += 1
        content = {"msgtype": "m.text", "body": TEXT}
        event = remote.event(room, "m.room.message", content, parents=[parent], depth=depth)
        parent = event.event_id
        made.append(event.pdu)
    return made


async def _accept(accepting: Accepting, room: Room, pdus: list[dict[str, Any]], size: int) -> None:
    for start in range(0, len(pdus), size):
        outcomes = await accepting.accept_many(room.room_id, pdus[start : start + size], ELSEWHERE)
        assert set(outcomes) == {Verdict.ACCEPTED}
