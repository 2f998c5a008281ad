"""Many events at once, and which of them names which as those that allow it: what state resolution reads."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

from appliance.storage.database import Reads, Row
from appliance.storage.events import AUTH, unpack_auth

CHUNK = 500
"""Events in one statement."""


def forms(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[str, bytes, bool]]:
    """The ids and the JSON of those of the events that are there, and whether they were rejected."""
    sql = "SELECT event_nid, event_id, json, rejected FROM events WHERE event_nid IN (%s)"
    return {nid: (event_id, json, bool(rejected)) for nid, event_id, json, rejected in _many(reads, sql, nids)}


class PlainMembers(NamedTuple):
    """Memberships by column, all of them as long as each other.

    Args:
        nids: their numbers.
        event_ids: their ids.
        state_keys: whose memberships they are.
        senders: who sent them.
        rejected: whether they were rejected.
        auth: the packed numbers of what each names as allowing it.
        memberships: what they say.
        times: when they were made.
    """

    nids: Sequence[int]
    event_ids: Sequence[str]
    state_keys: Sequence[str]
    senders: Sequence[str]
    rejected: Sequence[int]
    auth: Sequence[bytes]
    memberships: Sequence[str]
    times: Sequence[int]


def plain_members(reads: Reads, nids: Sequence[int], room_nid: int, but: str) -> Iterator[PlainMembers]:
    """Those of the events that are memberships of a room of which the columns say enough, some hundred at a time.

    Args:
        reads: where to read.
        nids: the events.
        room_nid: the room.
        but: the user whose memberships are left out.
    """
    sql = (
        "SELECT event_nid, event_id, state_key, sender, rejected, auth, membership, origin_server_ts FROM events"
        " WHERE event_nid IN (%s) AND membership IS NOT NULL AND room_nid = ? AND state_key != ?"
    )
    for rows in _chunks(reads, sql, nids, room_nid, but):
        if rows:
            yield PlainMembers(*zip(*rows, strict=True))


class Place(NamedTuple):
    """Where an event belongs in a state, whether it was rejected, and what it says if it is a plain membership."""

    nid: int
    type: str
    state_key: str | None
    rejected: int
    membership: str | None


def places(reads: Reads, nids: Sequence[int]) -> Iterable[Place]:
    """Those of the events that are there."""
    sql = "SELECT event_nid, type, state_key, rejected, membership FROM events WHERE event_nid IN (%s)"
    return cast("Iterable[Place]", _many(reads, sql, nids))


class Whole(NamedTuple):
    """An event with its JSON. ``auth``, the packed numbers of what it names as allowing it, is missing in older rows,
    and stands in the edges alone.
    """

    nid: int
    event_id: str
    type: str
    state_key: str | None
    rejected: int
    auth: bytes | None
    json: bytes


def whole(reads: Reads, nids: Sequence[int]) -> Iterable[Whole]:
    """Those of the events that are there."""
    sql = "SELECT event_nid, event_id, type, state_key, rejected, auth, json FROM events WHERE event_nid IN (%s)"
    return cast("Iterable[Whole]", _many(reads, sql, nids))


def named(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """For each of the events, the numbers of those that it names as allowing it, the smallest first."""
    found: dict[int, tuple[int, ...]] = dict.fromkeys(nids, ())
    older: list[int] = []
    for nid, auth in _many(reads, "SELECT event_nid, auth FROM events WHERE event_nid IN (%s)", nids):
        if auth is None:
            older.append(nid)
        else:
            found[nid] = unpack_auth(auth)
    sql = f"SELECT event_nid, other_nid FROM edges WHERE kind = {AUTH} AND event_nid IN (%s)"
    for nid, other in _many(reads, sql, older):
        found[nid] = (*found[nid], other)
    return found


def forms_and_named(reads: Reads, nids: Sequence[int]) -> dict[int, tuple[bytes, tuple[int, ...]]]:
    """The JSON of those of the events that are there, and the numbers of those that each names as allowing it."""
    found: dict[int, tuple[bytes, tuple[int, ...]]] = {}
    older: list[int] = []
    for nid, json, auth in _many(reads, "SELECT event_nid, json, auth FROM events WHERE event_nid IN (%s)", nids):
        found[nid] = json, () if auth is None else unpack_auth(auth)
        if auth is None:
            older.append(nid)
    for nid, others in (named(reads, older) if older else {}).items():
        found[nid] = found[nid][0], others
    return found


def _many(reads: Reads, sql: str, nids: Sequence[int]) -> Iterable[Row]:
    return chain.from_iterable(_chunks(reads, sql, nids))


def _chunks(reads: Reads, sql: str, nids: Sequence[int], *more: Any) -> Iterator[list[Row]]:
    for start in range(0, len(nids), CHUNK):
        chunk = nids[start : start + CHUNK]
        yield reads.read(sql % ",".join("?" * len(chunk)), (*chunk, *more))
