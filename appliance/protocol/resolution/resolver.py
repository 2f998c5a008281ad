"""The resolution of a set of states, by the algorithm of the room's version (room versions, "State resolution").

These are functions of what they are given: they keep nothing between calls and change none of their arguments, so
they may run in any thread whose lookup may be asked there. They never fail on what other servers may have sent.
"""

from collections import ChainMap
from collections.abc import Mapping, Sequence

from appliance.protocol.auth import Slot
from appliance.protocol.resolution.graph import EventLookup
from appliance.protocol.resolution.partition import partition
from appliance.protocol.resolution.v1 import resolve_v1
from appliance.protocol.resolution.v2 import resolve_v2
from appliance.protocol.slim import AnyEvent
from appliance.protocol.versions import RoomVersion

__all__ = ["EventLookup", "Slot", "resolve", "resolve_conflicts"]


def resolve(
    version: RoomVersion, states: Sequence[Mapping[Slot, int]], lookup: EventLookup, create: AnyEvent
) -> dict[Slot, int]:
    """Resolve whole states.

    Args:
        version: the version of the room.
        states: the states, each as the numbers of its events; their order does not matter.
        lookup: finds events.
        create: the room's create event.

    Returns:
        The resolved state.
    """
    if not states:
        return {}
    agreed, differences = partition(states, absent_differs=absent_differs(version))
    return {**agreed, **resolve_differences(version, agreed, differences, lookup, create)}


def resolve_conflicts(
    version: RoomVersion,
    unconflicted: Mapping[Slot, int],
    differences: Sequence[Mapping[Slot, int]],
    lookup: EventLookup,
    create: AnyEvent,
) -> dict[Slot, int]:
    """Resolve states of which it is known already where they differ: what they agree on is not compared again.

    Args:
        version: the version of the room.
        unconflicted: what all states hold. No state may hold something else in any of these places.
        differences: for each state, what it holds in the other places, where at least one state has something else or
            nothing. Places where they agree after all do no harm.
        lookup: finds events.
        create: the room's create event.

    Returns:
        What to put over the unconflicted state to get the resolved one: events in none but other places.
    """
    if not differences:
        return {}
    agreed, differing = partition(differences, absent_differs=absent_differs(version))
    whole = ChainMap(agreed, dict(unconflicted)) if agreed else unconflicted
    return {**agreed, **resolve_differences(version, whole, differing, lookup, create)}


def absent_differs(version: RoomVersion) -> bool:
    """Whether states disagree about a place that some of them lack, as ``partition`` is to be told."""
    return version.state_resolution != "v1"


def resolve_differences(
    version: RoomVersion,
    unconflicted: Mapping[Slot, int],
    differences: Sequence[Mapping[Slot, int]],
    lookup: EventLookup,
    create: AnyEvent,
) -> dict[Slot, int]:
    """As ``resolve_conflicts``, of states that ``partition`` has just split."""
    if not any(differences):
        return {}
    if version.state_resolution == "v1":
        return resolve_v1(unconflicted, differences, lookup, create)
    return resolve_v2(unconflicted, differences, lookup, create, from_nothing=version.state_resolution == "v2.1")
