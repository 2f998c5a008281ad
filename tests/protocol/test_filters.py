"""Patterns of event types in filters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.filters import EventRule


def expected(pattern: str, event_type: str) -> bool:
    """What a regular expression says, which is right and can be slow."""
    return re.fullmatch(".*".join(map(re.escape, re.split(r"\*+", pattern))), event_type, re.DOTALL) is not None


@given(st.text("ab*\n", max_size=8), st.text("ab\n", max_size=8))
def test_stars_stand_for_any_characters(pattern: str, event_type: str) -> None:
    """A pattern means what it means anywhere else."""
    assert EventRule(types=[pattern]).allows(event_type, None) is expected(pattern, event_type)
    assert EventRule(not_types=[pattern]).allows(event_type, None) is not expected(pattern, event_type)


@pytest.mark.parametrize("pattern", ["*a" * 5000 + "c", "*" * 5000 + "c", "a*" * 5000 + "c"])
def test_no_pattern_is_slow(pattern: str) -> None:
    """Patterns on which a backtracking matcher would not end are judged at once."""
    assert not EventRule(types=[pattern]).allows("a" * 255, None)
