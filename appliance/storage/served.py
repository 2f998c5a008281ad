"""What other servers ask of a room's graph: what allows events, and what lies before them; for a reader's thread."""

import heapq
from collections.abc import Collection, Iterable, Sequence

from appliance.storage import events as event_rows
from appliance.storage.auth_graph import forms, forms_and_named, named
from appliance.storage.database import Reads
from appliance.storage.events import PARENT, EventRow

MOST_SEEN = 2_000
"""Events that one walk looks at, those that it does not answer with included."""


def auth_chain(reads: Reads, nids: Iterable[int], also: Iterable[int] = ()) -> list[int]:
    """The numbers of what allows some events, and of what allows those in turn; sorted, without the events themselves
    unless others of them name them. ``also`` are further ones that belong to it, and that nothing else allows.
    """
    found = set(also)
    waiting = list(nids)
    while waiting:
        others = {other for listed in named(reads, waiting).values() for other in listed}
        waiting = list(others - found)
        found |= others
    return sorted(found)


def with_chain(reads: Reads, nids: Sequence[int], also: Sequence[int] = ()) -> tuple[list[bytes], list[bytes]]:
    """The JSON of some events, and of what allows them, as ``bodies`` and ``auth_chain`` give it; each is read once.

    Args:
        reads: where to read.
        nids: the events.
        also: the numbers of further events that belong to what allows them, with what allows those.
    """
    read: dict[int, tuple[bytes, tuple[int, ...]]] = {}
    chain = set(also)
    waiting = list({*nids, *also})
    while waiting:
        fresh = forms_and_named(reads, waiting)
        read.update(fresh)
        others = {other for _, listed in fresh.values() for other in listed}
        waiting = list(others - read.keys())
        chain |= others
    return [read[nid][0] for nid in nids if nid in read], [read[nid][0] for nid in sorted(chain) if nid in read]


def room_of(reads: Reads, room_nid: int) -> str | None:
    """The id of the room of that number."""
    rows = reads.read("SELECT room_id FROM rooms WHERE room_nid = ?", (room_nid,))
    return rows[0][0] if rows else None


def bodies(reads: Reads, nids: Sequence[int]) -> list[bytes]:
    """The JSON of events as other servers get it, in the order of the numbers."""
    read = forms(reads, nids)
    return [read[nid][1] for nid in nids if nid in read]


def ids(reads: Reads, nids: Sequence[int]) -> list[str]:
    """The ids of events, in the order of the numbers."""
    read = forms(reads, nids)
    return [read[nid][0] for nid in nids if nid in read]


def back_from(reads: Reads, room_nid: int, event_ids: Sequence[str], limit: int) -> list[EventRow]:
    """Events of a room and those before them, the latest first.

    Args:
        reads: where to read.
        room_nid: the room.
        event_ids: where to begin; these are among the answer.
        limit: how many at most.
    """
    first = [row for row in event_rows.by_ids(reads, event_ids).values() if _has_place(row, room_nid)]
    waiting = [(-row.ordering, -row.nid, row) for row in first]
    heapq.heapify(waiting)
    seen = {row.nid for row in first}
    found: list[EventRow] = []
    while waiting and len(found) < limit and len(seen) < MOST_SEEN:
        row = heapq.heappop(waiting)[2]
        if not row.rejected:
            found.append(row)
        for parent in _parents(reads, (row.nid,), seen):
            if _has_place(parent, room_nid):
                heapq.heappush(waiting, (-parent.ordering, -parent.nid, parent))
    return found


def between(
    reads: Reads, room_nid: int, latest: Sequence[str], earliest: Collection[str], limit: int, min_depth: int
) -> list[EventRow]:
    """What lies before some events of a room, nearest first, and does not lie behind others.

    Args:
        reads: where to read.
        room_nid: the room.
        latest: the events before which to look; not part of the answer.
        earliest: events at which to stop; not part of it either.
        limit: how many at most.
        min_depth: the lowest depth.
    """
    front = [row.nid for row in event_rows.by_ids(reads, latest).values() if _has_place(row, room_nid)]
    seen = set(front)
    found: list[EventRow] = []
    while front and len(found) < limit and len(seen) < MOST_SEEN:
        parents = [
            row
            for row in _parents(reads, front, seen)
            if _has_place(row, room_nid) and row.event_id not in earliest and row.ordering >= min_depth
        ]
        parents.sort(key=lambda row: -row.ordering)
        front = [row.nid for row in parents]
        found.extend(row for row in parents if not row.rejected)
    return found[:limit]


def _has_place(row: EventRow, room_nid: int) -> bool:
    return row.room_nid == room_nid and not row.outlier


def _parents(reads: Reads, nids: Sequence[int], seen: set[int]) -> list[EventRow]:
    """The parents of some events that were not seen yet; they are from now on."""
    fresh: set[int] = set()
    for start in range(0, len(nids), 500):
        chunk = nids[start : start + 500]
        marks = ",".join("?" * len(chunk))
        rows = reads.read(f"SELECT other_nid FROM edges WHERE kind = {PARENT} AND event_nid IN ({marks})", tuple(chunk))
        fresh.update(row[0] for row in rows)
    fresh -= seen
    seen |= fresh
    return list(event_rows.by_nids(reads, fresh).values())
