"""States in a database beside what they are meant to hold, and a reader that counts what it is given."""

import random
from collections.abc import Sequence
from typing import Any

from appliance.storage import state as rows
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.state import Slot

ROOM = 1


def member(number: int) -> Slot:
    """The slot of a member."""
    return ("m.room.member", f"@user{number}:server{number % 50}.example")


def luck(seed: int) -> random.Random:
    """Chance that is the same every time."""
    return random.Random(seed)  # noqa: S311 - nothing secret


class Forest:
    """Groups of one room, each built on another, and what each of them holds."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.states: dict[int, dict[Slot, int]] = {}
        self.number = 0
        self._events = 1000

    def event(self) -> int:
        """The number of another event."""
        self._events += 1
        return self._events

    def grow(self, tx: Tx, base: int | None, changes: dict[Slot, int | None]) -> int:
        """A group that differs from another in some slots; None empties one."""
        before = {} if base is None else self.states[base]
        after = {slot: nid for slot, nid in {**before, **changes}.items() if nid is not None}
        self.number += 1
        differing = {slot: (before.get(slot), nid) for slot, nid in changes.items()}
        rows.insert_changed(tx, self.number, ROOM, base, differing)
        self.states[self.number] = after
        return self.number

    def wander(self, tx: Tx, base: int | None, steps: int, members: int, rng: random.Random) -> int:
        """A row of groups, each with a few random changes; returns the last."""
        here = base
        for _ in range(steps):
            slots = [member(rng.randrange(members)) for _ in range(rng.choice((1, 1, 1, 1, 3)))]
            changes = {slot: None if rng.random() < 0.15 else self.event() for slot in slots}
            here = self.grow(tx, here, changes)
        assert here is not None
        return here

    def crowd(self, tx: Tx, members: int) -> int:
        """A first group with that many members."""
        return self.grow(tx, None, {member(number): self.event() for number in range(members)})


class Counted:
    """A reader that counts queries, rows, and bytes of what is stored whole."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.queries = 0
        self.rows = 0
        self.bytes = 0

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        found = self._reads.read(sql, parameters)
        self.queries += 1
        self.rows += len(found)
        self.bytes += sum(len(value) for row in found for value in row if isinstance(value, bytes))
        return found
