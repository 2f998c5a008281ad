"""What a connection remembers of an answer: how each room was told, and up to where (MSC4186, "Connections")."""

from collections.abc import Mapping

from msgspec.structs import replace

from appliance.storage.sliding import Told
from appliance.sync.activity import Activity
from appliance.sync.sliding.connections import Connection, Memory
from appliance.sync.sliding.extensions import OF_ROOMS
from appliance.sync.sliding.lists import Relevant
from appliance.sync.sliding.moments import Moment
from appliance.sync.sliding.order import Candidate
from appliance.sync.sliding.rooms import RoomResult
from appliance.sync.sliding.wishes import RoomConfig, Wishes

EVERYWHERE = 0
"""Under this number of no room a connection remembers which extensions told something of no room in particular."""


def known_everywhere(connection: Connection, before: Memory) -> frozenset[str]:
    """The names of the extensions that told the client something of no room in particular."""
    known = before.get(EVERYWHERE)
    return frozenset() if known is None else connection.configs[known.config_nid].told


def remember(
    connection: Connection,
    before: Memory,
    wishes: Wishes,
    moment: Moment,
    results: Mapping[str, RoomResult],
    activity: Activity,
) -> Memory:
    """What the client knows once it got an answer.

    Args:
        connection: the connection.
        before: what it knew.
        wishes: what it wanted to know.
        moment: what the answer is about.
        results: what is told of rooms, by their ids.
        activity: when something happened in each room.
    """
    # Where it is known in which rooms something happened, the others are remembered as they are.
    memory = {} if moment.stirred is None else dict(before)
    told = OF_ROOMS.intersection(wishes.extensions)
    if told:
        memory[EVERYWHERE] = Told(connection.number(RoomConfig(told=told)))
    behind = {room_id for room_id, _, _ in moment.changed}
    for nid in before if moment.stirred is None else moment.stirred:
        was, one = before.get(nid), moment.order.candidates.get(nid)
        if nid == EVERYWHERE or was is None or one is None or nid in moment.relevant:
            continue
        fell_behind = was.upto is None and moment.since is not None and _has_moved(one, moment, behind, activity)
        memory[nid] = Told(was.config_nid, moment.since) if fell_behind else was
    unchanged: dict[tuple[int, int, frozenset[str]], Told] = {}
    by_lists: dict[tuple[str, ...], frozenset[str]] = {}
    for nid, rel in moment.looked.items():
        known, result = before.get(nid), results.get(rel.candidate.history.room_id)
        if not rel.candidate.lasting or (known is None and result is None):
            continue
        told_by = None if rel.subscribed else by_lists.get(rel.lists)
        if told_by is None:
            told_by = _told_by(wishes, told, rel)
            if not rel.subscribed:
                by_lists[rel.lists] = told_by
        # Most rooms are told as before, in one of a few ways.
        way = (0 if known is None else known.config_nid, id(rel.config), told_by)
        if result is None and way in unchanged:
            memory[nid] = unchanged[way]
            continue
        old = None if known is None else connection.configs[known.config_nid]
        memory[nid] = Told(connection.number(_remembered(old, rel.config, told_by, result)))
        if result is None:
            unchanged[way] = memory[nid]
    return memory


def _has_moved(one: Candidate, moment: Moment, behind: set[str], activity: Activity) -> bool:
    """Whether something happened in a room that is not told, although it was until now."""
    since, room_id = moment.since or 0, one.history.room_id
    if one.change.position > since or room_id in behind or room_id in moment.news.receipts:
        return True
    return one.change.membership == "join" and activity.since(one.history.room_nid) > since


def _told_by(wishes: Wishes, names: frozenset[str], rel: Relevant) -> frozenset[str]:
    """Which extensions tell of a room."""
    room_id = rel.candidate.history.room_id
    return frozenset(name for name in names if wishes.extensions[name].covers(rel.lists, room_id, rel.subscribed))


def _remembered(
    old: RoomConfig | None, now: RoomConfig, told_by: frozenset[str], result: RoomResult | None
) -> RoomConfig:
    """How a room is told by now: as it was, as far as nothing is missing in that, and as it is wanted."""
    if old is None or (result is not None and result.initial):
        return replace(now, told=told_by)
    required, limit = old.required.union(now.required), max(old.timeline_limit, now.timeline_limit)
    if result is not None and result.unsent:
        required = now.required
    if result is not None and result.limited and not result.expanded:
        # There is a gap in what was told: more than what is wanted now cannot be said to be known.
        limit = now.timeline_limit
    return RoomConfig(limit, required, told_by)
