"""The order in which events are replayed that may take somebody's powers: "reverse topological power ordering"."""

import heapq
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from appliance.protocol.power import PowerLevels
from appliance.protocol.resolution.graph import POWER_LEVELS, AuthGraph
from appliance.protocol.slim import AnyEvent

_Key = tuple[float, int, str]


def is_power_event(event: AnyEvent) -> bool:
    """Whether an event may take away somebody's ability to do something in the room.

    Power levels and join rules under another state key than the empty one have no effect and do not count; the
    specification is silent on them.
    """
    membership = event.membership
    if membership is not None:
        return membership in ("leave", "ban") and event.sender != event.state_key
    return (event.type, event.state_key) in (POWER_LEVELS, ("m.room.join_rules", ""))


def with_chains(graph: AuthGraph, power_events: Iterable[int], full: AbstractSet[int]) -> set[int]:
    """Power events, together with what of their auth chains belongs to the full conflicted set.

    Chains are followed through that set only, as all servers do it.

    Args:
        graph: the auth graph.
        power_events: the power events.
        full: the full conflicted set.
    """
    found = set(power_events)
    waiting = list(found)
    while waiting:
        for one in graph.auth(waiting.pop()):
            if one in full and one not in found:
                found.add(one)
                waiting.append(one)
    return found


def power_order(graph: AuthGraph, nids: AbstractSet[int], create: AnyEvent) -> list[int]:
    """Sort events: auth events before those that name them, else the more powerful sender first, then the earlier one
    by ``origin_server_ts``, then the smaller event id (Kahn's algorithm).

    Args:
        graph: the auth graph.
        nids: the events.
        create: the room's create event.
    """
    keys = _keys(graph, nids, create)
    named_by: dict[int, list[int]] = {}
    missing: dict[int, int] = {}  # how many of an event's auth events are not sorted yet
    ready: list[tuple[_Key, int]] = []
    for nid in nids:
        auth = [one for one in graph.auth(nid) if one in nids]
        for one in auth:
            named_by.setdefault(one, []).append(nid)
        if auth:
            missing[nid] = len(auth)
        else:
            ready.append((keys[nid], nid))
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, nid = heapq.heappop(ready)
        order.append(nid)
        for one in named_by.get(nid, ()):
            missing[one] -= 1
            if not missing[one]:
                heapq.heappush(ready, (keys[one], one))
    return order


def _keys(graph: AuthGraph, nids: Iterable[int], create: AnyEvent) -> dict[int, _Key]:
    """What events are compared by, where neither must come first; senders have the power of their auth events."""
    levels: dict[int | None, PowerLevels] = {}
    keys: dict[int, _Key] = {}
    for nid in nids:
        event = graph.event(nid)
        source = graph.power_levels(nid)
        if source not in levels:
            levels[source] = PowerLevels(create.version, None if source is None else graph.event(source), create)
        keys[nid] = (-levels[source].user(event.sender), event.origin_server_ts, event.event_id)
    return keys
