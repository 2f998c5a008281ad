"""State resolution of room versions 2 to 11 (algorithm v2) and 12 (v2.1)."""

from collections.abc import Mapping, Sequence

from appliance.protocol.auth import Slot
from appliance.protocol.resolution.conflicted import auth_difference, conflicted_subgraph
from appliance.protocol.resolution.graph import POWER_LEVELS, AuthGraph, EventLookup
from appliance.protocol.resolution.iterative_auth import Replay
from appliance.protocol.resolution.mainline import mainline_order
from appliance.protocol.resolution.power_order import is_power_event, power_order, with_chains
from appliance.protocol.slim import AnyEvent


def resolve_v2(
    unconflicted: Mapping[Slot, int],
    differences: Sequence[Mapping[Slot, int]],
    lookup: EventLookup,
    create: AnyEvent,
    *,
    from_nothing: bool,
) -> dict[Slot, int]:
    """Resolve what states disagree about.

    Args:
        unconflicted: what all states hold.
        differences: for each state, what it holds where they disagree.
        lookup: finds events.
        create: the room's create event.
        from_nothing: algorithm v2.1: the replay begins with an empty state, and the events between conflicted ones are
            replayed as well.

    Returns:
        What the resolved state holds in all places that the unconflicted state lacks.
    """
    graph = AuthGraph(lookup)
    conflicted = {nid for difference in differences for nid in difference.values()}
    full = conflicted | auth_difference(graph, unconflicted.values(), [one.values() for one in differences])
    if from_nothing:
        full |= conflicted_subgraph(graph, conflicted)
    first = with_chains(graph, [nid for nid in full if is_power_event(graph.event(nid))], full)
    replay = Replay(graph, create, {} if from_nothing else unconflicted)
    replay.apply(power_order(graph, first, create))
    replay.apply(mainline_order(graph, full - first, replay.get(POWER_LEVELS)))
    return {slot: nid for slot, nid in replay.applied.items() if slot not in unconflicted}
