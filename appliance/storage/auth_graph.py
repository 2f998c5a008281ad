"""Many events at once, and which of them names which as those that allow it: what state resolution reads."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

from appliance.storage.database import Reads, Row
from appliance.storage.events import AUTH

CHUNK = 500
"""Events in one statement."""


def forms(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[str, bytes, bool]]:
    """The ids and the JSON of those of the events that are there, and whether they were rejected."""
    sql = "SELECT event_nid, event_id, json, rejected FROM events WHERE event_nid IN (%s)"
    return {nid: (event_id, json, bool(rejected)) for nid, event_id, json, rejected in _many(reads, sql, nids)}


class Disputed(NamedTuple):
    """What resolution asks of an event. ``auth``, the packed numbers of what it names as allowing it, is missing in
    older rows, and stands in the edges alone. What is not plain has JSON, what is has membership and time.
    """

    nid: int
    event_id: str
    type: str
    state_key: str | None
    sender: str
    rejected: int
    auth: bytes | None
    json: bytes | None
    membership: str
    origin_server_ts: int


def disputed(reads: Reads, nids: Sequence[int], room_nid: int, but: str) -> Iterable[Disputed]:
    """Those of the events that are there.

    Args:
        reads: where to read.
        nids: the events.
        room_nid: the room whose memberships may be told without their JSON.
        but: the user whose memberships are not.
    """
    sql = (
        "SELECT event_nid, event_id, type, state_key, sender, rejected, auth,"
        " CASE WHEN membership IS NULL OR room_nid != ? OR state_key = ? THEN json END, membership, origin_server_ts"
        " FROM events WHERE event_nid IN (%s)"
    )
    return cast("Iterable[Disputed]", _many(reads, sql, nids, room_nid, but))


def named(reads: Reads, nids: Sequence[int]) -> dict[int, list[int]]:
    """For each of the events, the numbers of those that it names as allowing it, the smallest first."""
    sql = f"SELECT event_nid, other_nid FROM edges WHERE kind = {AUTH} AND event_nid IN (%s)"
    found: dict[int, list[int]] = {nid: [] for nid in nids}
    for nid, other in _many(reads, sql, nids):
        found[nid].append(other)
    return found


def _many(reads: Reads, sql: str, nids: Sequence[int], *first: Any) -> Iterable[Row]:
    chunks = (nids[start : start + CHUNK] for start in range(0, len(nids), CHUNK))
    return chain.from_iterable(reads.read(sql % ",".join("?" * len(chunk)), (*first, *chunk)) for chunk in chunks)
