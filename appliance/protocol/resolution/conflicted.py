"""Which events are replayed when states disagree, besides those that they disagree about (room versions 2 and 12,
"State resolution", "Definitions").
"""

import heapq
from collections.abc import Collection, Iterable, Sequence

from appliance.protocol.resolution.graph import AuthGraph


def auth_difference(graph: AuthGraph, shared: Iterable[int], sides: Sequence[Iterable[int]]) -> set[int]:
    """The events that are in the auth chains of some of the states, but not of all.

    The events of a state count as part of its chain. By the letter of the specification they do not, unless another
    event names them; that would replay events which all states agree on, and no server does so.

    Args:
        graph: the auth graph.
        shared: the events that all states hold.
        sides: for each state, the events that it holds besides.
    """
    return _Walk(graph, sorted(shared), sides).difference()


class _Walk:
    """A walk down the auth chains of several states at once, from large numbers to small ones.

    Whoever names an event has a larger number and was passed before it; so when it is its turn, it is known in which
    chains it is. What is in all of them passes that on to all that it names: where nothing else is left, the walk is
    over, which is soon for forks of the recent past.

    Args:
        graph: the auth graph.
        shared: the events that all states hold, in rising order.
        sides: for each state, the events that it holds besides.
    """

    def __init__(self, graph: AuthGraph, shared: list[int], sides: Sequence[Iterable[int]]) -> None:
        self._auth = graph.auth
        self._shared = shared
        self._held_by_all = frozenset(shared)
        self._all = (1 << len(sides)) - 1
        self._chains: dict[int, int] = {}  # the chains that an event is in, one bit each
        for index, side in enumerate(sides):
            for nid in side:
                self._chains[nid] = self._chains.get(nid, 0) | 1 << index
        for nid in self._held_by_all.intersection(self._chains):
            self._chains[nid] = self._all
        self._held = sorted(self._chains)  # those of the sides that were not passed yet, the largest last

    def difference(self) -> set[int]:
        """Walk, and answer what is in some of the chains, but not in all."""
        found: set[int] = set()
        shared, held, held_by_all, met = self._shared, self._held, self._held_by_all, _Met()
        chains_of, everywhere, auth = self._chains, self._all, self._auth
        # How many of those that wait are not yet known to be in all chains.
        undecided = sum(chains != everywhere for chains in chains_of.values())
        while undecided:
            # What is undecided waits among what is held, or among what that led to.
            nid = held[-1] if held else -1
            is_met = met.largest > nid
            if is_met:
                nid = met.largest
            if shared and shared[-1] > nid:
                nid, chains = shared.pop(), everywhere
            else:
                if is_met:
                    met.pop()
                else:
                    held.pop()
                chains = chains_of[nid]
                if chains != everywhere:
                    undecided -= 1
                    found.add(nid)
            for one in auth(nid):
                before = chains_of.get(one, 0)
                after = before | chains
                if after != before:
                    if one in held_by_all:
                        after = everywhere
                    chains_of[one] = after
                    if not before:
                        met.push(one)
                        undecided += after != everywhere
                    elif after == everywhere:
                        undecided -= 1
        return found


class _Met:
    """Numbers of which the largest is wanted. Until one is taken out, which for forks of the recent past does not
    happen, they are not put into any order.
    """

    __slots__ = ("_is_heap", "_negated", "largest")

    def __init__(self) -> None:
        self._negated: list[int] = []
        self._is_heap = False
        self.largest = -1

    def push(self, number: int) -> None:
        """Put one in."""
        if self._is_heap:
            heapq.heappush(self._negated, -number)
        else:
            self._negated.append(-number)
        if number > self.largest:
            self.largest = number

    def pop(self) -> None:
        """Take the largest out."""
        if not self._is_heap:
            heapq.heapify(self._negated)
            self._is_heap = True
        heapq.heappop(self._negated)
        self.largest = -self._negated[0] if self._negated else -1


def conflicted_subgraph(graph: AuthGraph, conflicted: Collection[int]) -> set[int]:
    """The events on all paths of auth events that lead from one conflicted event to another, both included.

    Args:
        graph: the auth graph.
        conflicted: the events that the states disagree about.
    """
    if not conflicted:
        return set()
    lowest = min(conflicted)
    below = set(conflicted)  # those that a conflicted event leads to, down to where no other one can come
    waiting = list(below)
    while waiting:
        for one in graph.auth(waiting.pop()):
            if one > lowest and one not in below:
                below.add(one)
                waiting.append(one)
    between: set[int] = set()
    for nid in sorted(below):
        if nid in conflicted or not between.isdisjoint(graph.auth(nid)):
            between.add(nid)
    return between
