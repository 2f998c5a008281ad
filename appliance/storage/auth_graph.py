"""Many events at once, and which of them names which as those that allow it: what state resolution reads."""

import sys
from collections.abc import Iterable, Sequence

from appliance.storage.database import Reads, Row
from appliance.storage.events import AUTH
from appliance.storage.state import Slot

CHUNK = 500
"""Events in one statement."""


def outlines(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[Slot | None, bool]]:
    """For each of those events that are there, its place in the state, and whether it was rejected."""
    sql = "SELECT event_nid, type, state_key, rejected FROM events WHERE event_nid IN (%s)"
    return {
        nid: (None if key is None else (sys.intern(event_type), key), bool(rejected))
        for nid, event_type, key, rejected in _many(reads, sql, nids)
    }


def forms(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[str, bytes, bool]]:
    """The ids and the JSON of those of the events that are there, and whether they were rejected."""
    sql = "SELECT event_nid, event_id, json, rejected FROM events WHERE event_nid IN (%s)"
    return {nid: (event_id, json, bool(rejected)) for nid, event_id, json, rejected in _many(reads, sql, nids)}


def named(reads: Reads, nids: Sequence[int]) -> dict[int, list[int]]:
    """For each of the events, the numbers of those that it names as allowing it, the smallest first."""
    sql = f"SELECT event_nid, other_nid FROM edges WHERE kind = {AUTH} AND event_nid IN (%s)"
    found: dict[int, list[int]] = {nid: [] for nid in nids}
    for nid, other in _many(reads, sql, nids):
        found[nid].append(other)
    return found


def _many(reads: Reads, sql: str, nids: Sequence[int]) -> Iterable[Row]:
    for start in range(0, len(nids), CHUNK):
        chunk = nids[start : start + CHUNK]
        yield from reads.read(sql % ",".join("?" * len(chunk)), chunk)
