"""Each case of state resolution, in each room version that it is tried in, ends as its file says."""

import pytest

from tests.protocol.resolution.cases import Case, all_cases
from tests.protocol.resolution.naive import Naive

CASES = all_cases()


@pytest.mark.parametrize(("name", "version"), CASES)
def test_case(name: str, version: str) -> None:
    case = Case(name, version)
    states = case.states
    agreed = {slot: nid for slot, nid in states[0].items() if all(state.get(slot) == nid for state in states)}
    resolved = case.resolved()
    besides = {slot: nid for slot, nid in resolved.items() if slot not in agreed}
    assert case.names(besides) == case.expected
    assert {slot: nid for slot, nid in resolved.items() if slot in agreed} == agreed


@pytest.mark.parametrize(("name", "version"), [(name, version) for name, version in CASES if version != "1"])
def test_case_by_the_letter(name: str, version: str) -> None:
    case = Case(name, version)
    assert case.resolved() == Naive(case.version, case.states, case.lookup, case.create).resolve()
