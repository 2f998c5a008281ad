"""What it costs to take in events from elsewhere: read, checked for hash and signature, judged three times, stored."""

import time
from pathlib import Path
from typing import Any

from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.room import Room
from tests.bench.figures import Figure
from tests.federation.house import ELSEWHERE, House, Remote, house

TEXT = "The kettle is on, and there is cake for everybody who comes in time. " * 3


async def measure(folder: Path, events: int) -> list[Figure]:
    """Accept events of one room one after the other, each standing on the one before it and durable before the next.

    Args:
        folder: an empty one.
        events: how many; a tenth as many go before them and are not counted.
    """
    async with house(folder) as home:
        room = await home.with_mallory()
        warming = max(1, events // 10)
        made = _made(room, home.remote, warming + events)
        await _accept(home, room, made[:warming])
        cpu, begin = time.process_time(), time.perf_counter()
        await _accept(home, room, made[warming:])
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return [
        Figure("accepting from elsewhere: rate", events / wall, "events/s", 1000),
        Figure("accepting from elsewhere: CPU an event", cpu / events * 1000, "ms", 0.8),
    ]


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


async def _accept(home: House, room: Room, pdus: list[dict[str, Any]]) -> None:
    for pdu in pdus:
        verdict = await home.accepting.accept(room.room_id, pdu, ELSEWHERE)
        assert verdict is Verdict.ACCEPTED
