"""What the states of a large room take in the database, and how long it takes to read the state at any event."""

import gc
import random
import statistics
import time
from pathlib import Path

from appliance.storage import memberships as membership_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Tx
from tests.bench.figures import Figure
from tests.bench.rooms import ADMIN, Counters, LargeRoom, person

VERSION = "12"
ROOM = 1
READS = 200
AT_ONCE = 500
"""Changes in one transaction."""


async def measure(folder: Path, members: int, changes: int) -> list[Figure]:
    """Let a room grow to its members, and then let them change their names, each change with the states around it.

    Args:
        folder: an empty one.
        members: how many come in.
        changes: how many changes of the state there are in all, the joins among them.
    """
    path = folder / "states.db"
    last = await _grown(path, members, changes)
    size = path.stat().st_size
    database = await Database.open(path)
    # As the server does once it runs: else a search for garbage that happens to fall into a read goes through all that
    # this process ever made, which no read of a server's has to pay for.
    gc.collect()
    gc.freeze()
    try:
        chance = random.Random(0)  # noqa: S311 - no secrets
        times, costs = [], []
        # A room is loaded before anybody is told of its past, and the names of its slots are known from then on.
        begin = time.perf_counter()
        present = await database.reading(lambda reader: state_rows.current(reader, ROOM))
        loading = time.perf_counter() - begin
        assert len(present) <= members + 4
        for group in (0, *(chance.randrange(1, last + 1) for _ in range(READS))):
            begin, used = time.perf_counter(), time.thread_time()
            state = state_rows.group(database, group)
            costs.append(time.thread_time() - used)
            times.append(time.perf_counter() - begin)
            assert len(state) <= members + 4
        # The first one only makes the connection read the schema.
        del times[0], costs[0]
    finally:
        gc.unfreeze()
        await database.close()
    return [
        Figure(f"room of {members} members, {changes} changes: file", size / 2**20, "MiB", 60),
        Figure("  its present state, when it is loaded", loading * 1000, "ms"),
        Figure("  state at any event, p50", statistics.median(times) * 1000, "ms", 20),
        Figure("  state at any event, longest", max(times) * 1000, "ms"),
        Figure("  state at any event, longest, CPU", max(costs) * 1000, "ms", 20),
    ]


async def _grown(path: Path, members: int, changes: int) -> int:
    """Let a room grow; gives the number of its last state. What made it is gone afterwards: whoever looks for garbage
    while states are read would have to pass tens of thousands of events.
    """
    database = await Database.open(path)
    growing = _Growing()
    for start in range(0, changes, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, changes))
        await database.write(lambda tx, numbers=numbers: growing.go_on(tx, numbers, members))  # type: ignore[misc]
    await database.close()
    return growing.room.counters.group


class _Growing:
    """A room with a state before and after every event."""

    room: LargeRoom

    def __init__(self) -> None:
        self._before = 0

    def go_on(self, tx: Tx, numbers: range, members: int) -> None:
        """Let some more happen."""
        if not self._before:
            self.room = LargeRoom(tx, VERSION, Counters())
            self._before = self.room.group(None, {slot: (None, nid) for slot, nid in self.room.state.items()})
            for slot, nid in self.room.state.items():
                state_rows.change_current(tx, self.room.nid, tx.position(), {slot: (None, nid)})
            membership_rows.put(tx, self.room.nid, ADMIN, "join", None, 1, ADMIN, tx.position())
        room = self.room
        room.tx = tx
        for number in numbers:
            user_id = person(number % members)
            slot = ("m.room.member", user_id)
            was = room.state.get(slot)
            room.put(*slot, {"membership": "join", "displayname": f"User {number}"}, user_id)
            nid, position = room.state[slot], tx.position()
            after = room.group(self._before, {slot: (was, nid)})
            state_rows.set_event_groups(tx, nid, self._before, after)
            state_rows.change_current(tx, room.nid, position, {slot: (was, nid)})
            if was is None:
                membership_rows.put(tx, room.nid, user_id, "join", None, nid, user_id, position)
            self._before = after
