"""State resolution v2 and v2.1 as the specification words it, one sentence after the other, without regard to cost.

It shares the authorisation rules and the power levels with the real one, nothing else.
"""

import math
from collections.abc import Mapping, Sequence

from appliance.protocol.auth import NotAllowed, Slot, check_event
from appliance.protocol.events import Event
from appliance.protocol.power import PowerLevels
from appliance.protocol.resolution.graph import EventLookup
from appliance.protocol.versions import RoomVersion

LEVELS = ("m.room.power_levels", "")


class Naive:
    """Resolves by brute force.

    Args:
        version: the version of the room, 2 or later.
        states: the states.
        lookup: finds events.
        create: the room's create event.
    """

    def __init__(
        self, version: RoomVersion, states: Sequence[Mapping[Slot, int]], lookup: EventLookup, create: Event
    ) -> None:
        self.version = version
        self.states = states
        self.lookup = lookup
        self.create = create

    def resolve(self) -> dict[Slot, int]:
        """The resolved state."""
        unconflicted, conflicted = self.split()
        full = conflicted | self.auth_difference()
        if self.version.state_resolution == "v2.1":
            full |= self.subgraph(conflicted)
        chosen: set[int] = set()
        for nid in full:
            if self.is_power_event(nid):
                chosen |= {nid} | self.chain_within(nid, full)
        start = {} if self.version.state_resolution == "v2.1" else unconflicted
        partial = self.iterative(start, self.power_order(chosen))
        result = self.iterative(partial, self.mainline_order(full - chosen, partial.get(LEVELS)))
        return {**result, **unconflicted}

    def split(self) -> tuple[dict[Slot, int], set[int]]:
        """The unconflicted state map and the conflicted state set."""
        pairs = {pair for state in self.states for pair in state.items()}
        unconflicted = {pair for pair in pairs if all(pair in state.items() for state in self.states)}
        return dict(unconflicted), {nid for _, nid in pairs - unconflicted}

    def named(self, nid: int) -> list[int]:
        """An event's auth events, each once, in the order of the event; links of circles lead nowhere."""
        return list(dict.fromkeys(one for one in self.lookup.auth(nid) if one < nid))

    def chain(self, nid: int) -> set[int]:
        """An event's auth chain."""
        found: set[int] = set()
        waiting = [nid]
        while waiting:
            for one in self.named(waiting.pop()):
                if one not in found:
                    found.add(one)
                    waiting.append(one)
        return found

    def chain_within(self, nid: int, full: set[int]) -> set[int]:
        """What of an event's auth chain is reached without leaving a set."""
        found: set[int] = set()
        waiting = [nid]
        while waiting:
            for one in self.named(waiting.pop()):
                if one in full and one not in found:
                    found.add(one)
                    waiting.append(one)
        return found

    def auth_difference(self) -> set[int]:
        """The events that are in some full auth chains and not in others."""
        chains: list[set[int]] = [
            {one for nid in state.values() for one in self.chain(nid)} | set(state.values()) for state in self.states
        ]
        return {one for chain in chains for one in chain if any(one not in other for other in chains)}

    def subgraph(self, conflicted: set[int]) -> set[int]:
        """The events from which and to which a conflicted event leads."""
        above = conflicted.union(*(self.chain(nid) for nid in conflicted))
        return {nid for nid in above if nid in conflicted or self.chain(nid) & conflicted}

    def is_power_event(self, nid: int) -> bool:
        """Whether it may take away somebody's ability to do something."""
        event = self.lookup.event(nid)
        if event.type in ("m.room.power_levels", "m.room.join_rules"):
            return event.state_key == ""
        return (
            event.type == "m.room.member"
            and event.content.get("membership") in ("leave", "ban")
            and event.sender != event.state_key
        )

    def power_order(self, nids: set[int]) -> list[int]:
        """The reverse topological power ordering."""
        order: list[int] = []
        left = set(nids)
        while left:
            ready = [nid for nid in left if not left.intersection(self.named(nid))]
            first = min(ready, key=self.power_key)
            order.append(first)
            left.remove(first)
        return order

    def power_key(self, nid: int) -> tuple[float, int, str]:
        """By what events are compared there."""
        event = self.lookup.event(nid)
        source = self.levels_of(nid)
        levels = PowerLevels(self.version, None if source is None else self.lookup.event(source), self.create)
        return -levels.user(event.sender), event.origin_server_ts, event.event_id

    def levels_of(self, nid: int) -> int | None:
        """The power levels among an event's auth events."""
        found = [one for one in self.named(nid) if self.slot(one) == LEVELS]
        return found[0] if found else None

    def levels_below(self, nid: int) -> list[int]:
        """The power levels that an event names, those that these name, and so on."""
        found = []
        source = self.levels_of(nid)
        while source is not None:
            found.append(source)
            source = self.levels_of(source)
        return found

    def mainline_order(self, nids: set[int], levels: int | None) -> list[int]:
        """The mainline ordering."""
        mainline = [] if levels is None else [levels, *self.levels_below(levels)]

        def key(nid: int) -> tuple[float, int, str]:
            position = next((mainline.index(one) for one in self.levels_below(nid) if one in mainline), math.inf)
            event = self.lookup.event(nid)
            return -position, event.origin_server_ts, event.event_id

        return sorted(nids, key=key)

    def slot(self, nid: int) -> Slot | None:
        """Where an event is in the state."""
        event = self.lookup.event(nid)
        return None if event.state_key is None else (event.type, event.state_key)

    def iterative(self, start: Mapping[Slot, int], order: list[int]) -> dict[Slot, int]:
        """The iterative auth checks."""
        state = dict(start)
        for nid in order:
            slot = self.slot(nid)
            usable = [one for one in self.named(nid) if not self.lookup.is_rejected(one)]
            known: dict[Slot | None, int] = {self.slot(one): one for one in usable}
            known.update((place, one) for place, one in state.items())

            def find(kind: str, key: str, known: dict[Slot | None, int] = known) -> Event | None:
                return self.lookup.event(known[kind, key]) if (kind, key) in known else None

            if slot is not None:
                try:
                    check_event(self.lookup.event(nid), find, self.create)
                except NotAllowed:
                    continue
                state[slot] = nid
        return state
