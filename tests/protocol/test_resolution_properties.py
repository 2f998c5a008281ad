"""What holds for state resolution whatever the room went through, and whatever a server makes up."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.resolution.resolver import resolve, resolve_conflicts
from tests.protocol.resolution.cases import State
from tests.protocol.resolution.histories import DRAWS, PICKS, Draw, History, honest, hostile, states
from tests.protocol.resolution.naive import Naive

ROOM_VERSIONS = st.sampled_from(["1", "2", "6", "11", "12"])
HISTORIES = st.builds(
    lambda make, version, draws: make(version, draws), st.sampled_from([honest, hostile]), ROOM_VERSIONS, DRAWS
)


def resolved(history: History, several: Sequence[State]) -> State:
    return resolve(history.version, several, history.lookup, history.create)


def agreed(several: Sequence[State]) -> State:
    return {slot: nid for slot, nid in several[0].items() if all(state.get(slot) == nid for state in several)}


@given(HISTORIES, PICKS, st.randoms(use_true_random=False))
def test_the_order_of_the_states_does_not_matter(history: History, picks: list[list[int]], chance: Any) -> None:
    several = states(history, picks)
    result = resolved(history, several)
    chance.shuffle(several)
    assert resolved(history, several) == result
    assert resolved(history, [*several, several[0]]) == result


@given(HISTORIES, PICKS)
def test_what_all_states_hold_stays(history: History, picks: list[list[int]]) -> None:
    several = states(history, picks)
    result = resolved(history, several)
    assert agreed(several).items() <= result.items()
    known = set(range(len(history.lookup.events)))
    assert set(result.values()) <= known


@given(HISTORIES, PICKS)
def test_equal_states_are_the_result(history: History, picks: list[list[int]]) -> None:
    for state in states(history, picks):
        assert resolved(history, [state]) == state
        assert resolved(history, [state, dict(state), state]) == state


@given(HISTORIES, PICKS, st.sets(st.integers(0, 9)))
def test_known_differences_give_the_same(history: History, picks: list[list[int]], superfluous: set[int]) -> None:
    several = states(history, picks)
    unconflicted = agreed(several)
    # A caller may also name places where the states agree after all.
    places = sorted(unconflicted)
    unconflicted = {slot: unconflicted[slot] for index, slot in enumerate(places) if index not in superfluous}
    differences = [{slot: nid for slot, nid in state.items() if slot not in unconflicted} for state in several]
    changed = resolve_conflicts(history.version, unconflicted, differences, history.lookup, history.create)
    assert not changed.keys() & unconflicted.keys()
    assert {**unconflicted, **changed} == resolved(history, several)


@given(HISTORIES.filter(lambda history: history.version.identifier != "1"), PICKS)
def test_it_is_what_the_specification_says(history: History, picks: list[list[int]]) -> None:
    several = states(history, picks)
    letter = Naive(history.version, several, history.lookup, history.create)
    assert resolved(history, several) == letter.resolve()


@given(ROOM_VERSIONS, DRAWS, PICKS)
def test_arguments_are_left_alone(version: str, draws: list[Draw], picks: list[list[int]]) -> None:
    history = honest(version, draws)
    several = states(history, picks)
    before = [dict(state) for state in several]
    result = resolved(history, several)
    result["some", "thing"] = 0
    assert several == before


def test_no_states() -> None:
    history = honest("12", [])
    assert resolved(history, []) == {}
    assert resolve_conflicts(history.version, {("a", ""): 0}, [], history.lookup, history.create) == {}


@pytest.mark.parametrize("version", ["2", "12"])
def test_auth_chains_of_any_length(version: str) -> None:
    # Each change of the power levels names the one before it: far deeper than Python's stack.
    history = honest(version, [(0, 3, 0, 0, 0, 0, 0, 0)])
    start = history.after[-1]
    last = start["m.room.power_levels", ""]
    users = {} if version == "12" else {"@alice:alice.example": 100}
    alice = start["m.room.member", "@alice:alice.example"]
    for clock in range(5000):
        last = history.add(
            "@alice:alice.example",
            "m.room.power_levels",
            "",
            {"users": users, "kick": clock % 50},
            parents=[last],
            auth=[*([] if version == "12" else [0]), last, alice],
            clock=clock,
        )
    newest = {**start, ("m.room.power_levels", ""): last}
    assert resolved(history, [newest, start]) == newest
