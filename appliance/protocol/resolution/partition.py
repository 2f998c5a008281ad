"""What several states agree on, and what not."""

from collections.abc import Mapping, Sequence

from appliance.protocol.auth import Slot


def partition(
    states: Sequence[Mapping[Slot, int]], *, absent_differs: bool
) -> tuple[dict[Slot, int], list[dict[Slot, int]]]:
    """Split states into what all of them hold and, for each, what it holds where they do not agree.

    Args:
        states: the states, at least one.
        absent_differs: whether states disagree about a place that some of them lack, as algorithm v2 has it. Version 1
            takes what the others hold there.
    """
    if len(states) == 2 and absent_differs:
        return _of_two(*states)
    first, others = states[0], states[1:]
    differing: set[Slot] = set()
    for other in others:
        if other is first:
            continue
        get = other.get
        missing = {slot for slot, nid in first.items() if get(slot) != nid}
        differing |= missing
        if missing or len(other) != len(first):
            differing.update(slot for slot in other if slot not in first)
    agreed = dict(first)
    for slot in differing:
        agreed.pop(slot, None)
    if not absent_differs:
        for slot in list(differing):
            held = {state[slot] for state in states if slot in state}
            if len(held) == 1:
                agreed[slot] = held.pop()
                differing.discard(slot)
    return agreed, [{slot: state[slot] for slot in differing if slot in state} for state in states]


def _of_two(first: Mapping[Slot, int], other: Mapping[Slot, int]) -> tuple[dict[Slot, int], list[dict[Slot, int]]]:
    """The same for two states in one pass."""
    agreed: dict[Slot, int] = {}
    ones: dict[Slot, int] = {}
    others: dict[Slot, int] = {}
    get, shared = other.get, 0
    for slot, nid in first.items():
        held = get(slot)
        if held == nid:
            agreed[slot] = nid
            shared += 1
            continue
        ones[slot] = nid
        if held is not None:
            others[slot] = held
            shared += 1
    if shared != len(other):
        others.update((slot, nid) for slot, nid in other.items() if slot not in first)
    return agreed, [ones, others]
