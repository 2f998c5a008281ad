"""Many events at once, and which of them names which as those that allow it: what state resolution reads."""

from collections.abc import Iterable, Sequence
from itertools import chain

from appliance.storage.database import Reads, Row
from appliance.storage.events import AUTH

CHUNK = 500
"""Events in one statement."""


def forms(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[str, bytes, bool]]:
    """The ids and the JSON of those of the events that are there, and whether they were rejected."""
    sql = "SELECT event_nid, event_id, json, rejected FROM events WHERE event_nid IN (%s)"
    return {nid: (event_id, json, bool(rejected)) for nid, event_id, json, rejected in _many(reads, sql, nids)}


def disputed(reads: Reads, nids: Sequence[int]) -> Iterable[tuple[int, str, str, str | None, int, bytes, bytes | None]]:
    """(number, id, type, state key, whether it was rejected, JSON, packed numbers of what it names as allowing it) of
    those of the events that are there; of older ones the last is missing, and stands in the edges alone.
    """
    sql = "SELECT event_nid, event_id, type, state_key, rejected, json, auth FROM events WHERE event_nid IN (%s)"
    return _many(reads, sql, nids)


def named(reads: Reads, nids: Sequence[int]) -> dict[int, list[int]]:
    """For each of the events, the numbers of those that it names as allowing it, the smallest first."""
    sql = f"SELECT event_nid, other_nid FROM edges WHERE kind = {AUTH} AND event_nid IN (%s)"
    found: dict[int, list[int]] = {nid: [] for nid in nids}
    for nid, other in _many(reads, sql, nids):
        found[nid].append(other)
    return found


def _many(reads: Reads, sql: str, nids: Sequence[int]) -> Iterable[Row]:
    chunks = (nids[start : start + CHUNK] for start in range(0, len(nids), CHUNK))
    return chain.from_iterable(reads.read(sql % ",".join("?" * len(chunk)), chunk) for chunk in chunks)
