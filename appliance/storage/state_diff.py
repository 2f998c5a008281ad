"""What differs between states, found by what differs: along the groups' chains to the group that they all stand on.

Every delta says what it put into a slot and what its base held there, so that the way down tells all: what each state
holds, and what they had in common. Nothing else of the states is read, however large they are. Only where two states
have no group in common, or have it so far below that reading both is cheaper, they are read whole.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from appliance.storage.database import Reads
from appliance.storage.state import CHAIN_SHARE, Slot, numbered_group, slots_of

_ANCESTORS_SQL = """
WITH RECURSIVE line (group_nid, base_nid) AS (
    SELECT group_nid, base_nid FROM state_groups WHERE group_nid = ?1
    UNION ALL
    SELECT g.group_nid, g.base_nid FROM line JOIN state_groups g ON g.group_nid = line.base_nid LIMIT ?2
)
SELECT group_nid, base_nid FROM line
"""
_PATH_SQL = """
WITH RECURSIVE line (group_nid, base_nid) AS (
    SELECT group_nid, base_nid FROM state_groups WHERE group_nid = ?1 AND group_nid > ?2
    UNION ALL
    SELECT g.group_nid, g.base_nid FROM line JOIN state_groups g ON g.group_nid = line.base_nid
    WHERE line.base_nid > ?2
)
SELECT d.slot_nid, d.event_nid, d.previous_nid FROM line JOIN state_group_entries d USING (group_nid)
ORDER BY line.group_nid
"""
_FIRST_CHUNK, _LAST_CHUNK = 32, 2048
LEAST_STEPS = 1024
"""How far to walk in any case before states are read whole instead."""


class Differences(Struct, frozen=True):
    """What differs between some states.

    Args:
        groups: the states, as they were given.
        base_nid: the nearest group that all of them stand on; None where they have none, or it is too far.
        values: the slots in which not all hold the same, with what each holds there, in the order of ``groups``; None
            for nothing. In every other slot all hold what ``state.lookup`` says of any of them.
    """

    groups: tuple[int, ...]
    base_nid: int | None
    values: dict[Slot, tuple[int | None, ...]]

    @property
    def conflicts(self) -> dict[Slot, set[int]]:
        """The same as sets of events, as state resolution wants it."""
        return {slot: {nid for nid in values if nid is not None} for slot, values in self.values.items()}


def diff(reads: Reads, group_a: int, group_b: int) -> dict[Slot, tuple[int | None, int | None]]:
    """The slots in which two states differ, with what the first and the second hold there; None for nothing.

    ``state.insert_changed`` takes it as it is to store the second as what differs from the first.
    """
    found = differences(reads, (group_a, group_b))
    return {slot: (values[0], values[1]) for slot, values in found.values.items()}


def differences(reads: Reads, groups: Sequence[int]) -> Differences:
    """What differs between any number of states.

    Args:
        reads: where they are. They must all be stored and of one room.
        groups: the numbers of the groups; the same one may come twice.

    Raises:
        KeyError: a group that is not there.
    """
    distinct = list(dict.fromkeys(groups))
    if len(distinct) < 2:
        return Differences(tuple(groups), distinct[0] if distinct else None, {})
    base = _common(reads, distinct)
    held = _whole(reads, distinct) if base is None else _along(reads, distinct, base)
    places = [distinct.index(group) for group in groups]
    names = slots_of(reads, held)
    values = {names[number]: tuple(each[place] for place in places) for number, each in held.items()}
    return Differences(tuple(groups), base, values)


def _along(reads: Reads, groups: Sequence[int], base: int) -> dict[int, list[int | None]]:
    """What the groups hold in the slots that changed on the way from a common base, where that is not the same."""
    before: dict[int, int | None] = {}
    after: list[dict[int, int | None]] = []
    for group in groups:
        now: dict[int, int | None] = {}
        for number, event_nid, previous_nid in reads.read(_PATH_SQL, (group, base)):
            if number not in now:
                before[number] = previous_nid
            now[number] = event_nid
        after.append(now)
    held = {number: [now.get(number, was) for now in after] for number, was in before.items()}
    return {number: each for number, each in held.items() if _differ(each)}


def _whole(reads: Reads, groups: Sequence[int]) -> dict[int, list[int | None]]:
    """The same for states that have nothing in common that is known."""
    states = [numbered_group(reads, group) for group in groups]
    numbers = dict.fromkeys(number for state in states for number in state)
    held = {number: [state.get(number) for state in states] for number in numbers}
    return {number: each for number, each in held.items() if _differ(each)}


def _differ(each: Sequence[int | None]) -> bool:
    return any(one != each[0] for one in each)


def _common(reads: Reads, groups: Sequence[int]) -> int | None:
    """The nearest group that all stand on; None where there is none, or the way is not worth it.

    A base has a lower number than what is built on it, so whichever has the highest number is the one to go on from.
    """
    walks = [_ancestors(reads, group) for group in groups]
    here = [next(walk, None) for walk in walks]
    if None in here:
        raise KeyError(groups[here.index(None)])
    steps = _worth(reads, groups)
    while None not in here:
        highest = max(here)  # type: ignore[type-var]
        if all(one == highest for one in here):
            return highest
        steps -= 1
        if steps < 0:
            return None
        for place, one in enumerate(here):
            if one == highest:
                here[place] = next(walks[place], None)
    return None


def _ancestors(reads: Reads, group: int) -> Iterator[int]:
    """A group and what it stands on, in falling order; read in growing pieces."""
    start: int | None = group
    size = _FIRST_CHUNK
    while start is not None:
        rows = reads.read(_ANCESTORS_SQL, (start, size))
        start = None
        for group_nid, base_nid in rows:
            yield group_nid
            start = base_nid
        size = min(2 * size, _LAST_CHUNK)


def _worth(reads: Reads, groups: Sequence[int]) -> int:
    """How many steps cost about as much as reading the states whole: ``longest`` is a share of their size."""
    marks = ",".join("?" * len(groups))
    ((size,),) = reads.read(f"SELECT MAX(longest) FROM state_groups WHERE group_nid IN ({marks})", groups)
    return max(LEAST_STEPS, int(size) * CHAIN_SHARE)
