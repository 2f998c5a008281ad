"""The order in which all other events are replayed: "mainline ordering"."""

from collections.abc import Iterable

from appliance.protocol.resolution.graph import AuthGraph


def mainline_order(graph: AuthGraph, nids: Iterable[int], power_levels: int | None) -> list[int]:
    """Sort events by how old the power levels are that they rest on, then by ``origin_server_ts``, then by event id.

    Args:
        graph: the auth graph.
        nids: the events.
        power_levels: the ``m.room.power_levels`` of the state so far, if it has one: the end of the mainline.
    """
    place_of = _Positions(graph, power_levels).place_of
    levels_of, event_of = graph.power_levels, graph.event
    order: list[tuple[int, int, str, int]] = []
    for nid in nids:
        event = event_of(nid)
        order.append((-place_of(levels_of(nid)), event.origin_server_ts, event.event_id, nid))
    order.sort()
    return [nid for _, _, _, nid in order]


class _Positions:
    """Places on the mainline, which goes from the latest power levels (0) to the first."""

    def __init__(self, graph: AuthGraph, power_levels: int | None) -> None:
        self._graph = graph
        self._known: dict[int | None, int] = {}
        while power_levels is not None:
            self._known[power_levels] = len(self._known)
            power_levels = graph.power_levels(power_levels)
        # What rests on nothing of the mainline is older than all of it.
        self._known[None] = len(self._known)

    def place_of(self, levels: int | None) -> int:
        """The place of the first power levels of the mainline that lie at or below some power levels."""
        place = self._known.get(levels)
        if place is not None:
            return place
        passed: list[int] = []
        while levels is not None and levels not in self._known:
            passed.append(levels)
            levels = self._graph.power_levels(levels)
        position = self._known[levels]
        self._known.update(dict.fromkeys(passed, position))
        return position
