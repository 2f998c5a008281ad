"""A whole state as bytes: the numbers of its slots in rising order, then the numbers of the events in them.

The first byte says how many bytes a number has, four or eight; the numbers are little-endian. A state of 10,000 slots
has 80 KB and is read in about a millisecond, a fraction of what as many rows take.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

_CODES = {4: "I", 8: "Q"}


def pack(state: Mapping[int, int]) -> bytes:
    """A state as bytes.

    Args:
        state: numbers of slots with the numbers of the events in them.
    """
    slots = sorted(state)
    events = [state[slot] for slot in slots]
    width = 4 if max((*slots[-1:], *events), default=0) < 2**32 else 8
    numbers = array(_CODES[width], slots)
    numbers.extend(events)
    if sys.byteorder == "big":
        numbers.byteswap()
    return bytes((width,)) + numbers.tobytes()


def unpack(packed: bytes) -> dict[int, int]:
    """The state that was packed."""
    numbers = _numbers(packed)
    half = len(numbers) // 2
    return dict(zip(numbers[:half], numbers[half:], strict=True))


def pick(packed: bytes, slots: Iterable[int]) -> dict[int, int]:
    """The events in some slots of a packed state; empty slots are left out."""
    numbers = _numbers(packed)
    half = len(numbers) // 2
    found = {}
    for slot in slots:
        place = bisect_left(numbers, slot, 0, half)
        if place < half and numbers[place] == slot:
            found[slot] = numbers[half + place]
    return found


def _numbers(packed: bytes) -> "array[int]":
    numbers = array(_CODES[packed[0]])
    numbers.frombytes(memoryview(packed)[1:])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
