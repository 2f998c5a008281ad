"""Filters: which types pass, and that no pattern costs more than it should."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.filters import EventRule, RoomEventRule, read_filter


@given(pattern=st.text("ab.*", max_size=8), event_type=st.text("ab.", max_size=10))
def test_patterns_match_as_expressions_do(pattern: str, event_type: str) -> None:
    """A star stands for any characters, everything else for itself."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    wanted = re.fullmatch(expression, event_type) is not None
    assert EventRule(types=[pattern]).allows(event_type, None) is wanted
    assert EventRule(not_types=[pattern]).allows(event_type, None) is not wanted


def test_many_stars_cost_nothing() -> None:
    """A pattern that would keep a backtracking matcher busy for ever is refused at once."""
    rule = EventRule(types=["a*" * 120 + "b"])
    assert not rule.allows("a" * 255, None)
    assert rule.allows("a" * 200 + "b", None)


@pytest.mark.parametrize(
    ("rule", "sender", "passes"),
    [
        (EventRule(senders=["@a:x"]), "@a:x", True),
        (EventRule(senders=["@a:x"]), "@b:x", False),
        (EventRule(senders=["@a:x"], not_senders=["@a:x"]), "@a:x", False),
        (EventRule(senders=[]), "@a:x", False),
        (EventRule(types=[]), "@a:x", False),
        (EventRule(), "@a:x", True),
    ],
)
def test_senders_and_empty_lists(rule: EventRule, sender: str, passes: bool) -> None:
    """``not_*`` wins, and an empty list lets nothing through."""
    assert rule.allows("m.room.message", sender) is passes


def test_a_rule_for_rooms() -> None:
    """Rooms and links are judged where they are asked for."""
    rule = RoomEventRule(rooms=["!a:x"], not_rooms=["!b:x"], contains_url=True)
    assert rule.allows_room("!a:x")
    assert not rule.allows_room("!b:x")
    assert not rule.allows_room("!c:x")
    assert rule.allows_event("m.room.message", "@a:x", lambda: {"url": "mxc://a/b"})
    assert not rule.allows_event("m.room.message", "@a:x", lambda: {"url": 7})
    assert RoomEventRule().trivial
    assert not rule.trivial


def test_a_filter_of_the_wrong_shape() -> None:
    """The sentence names the field."""
    with pytest.raises(ValueError, match="timeline"):
        read_filter({"room": {"timeline": {"limit": "ten"}}})
