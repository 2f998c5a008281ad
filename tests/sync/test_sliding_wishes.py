"""Which state a connection of sliding sync wants, and what two ways of wanting it make together."""

from itertools import product

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from appliance.sync.sliding.wishes import ANY, RequiredState, RoomConfig

MEMBER = "m.room.member"
TYPES, KEYS = (MEMBER, "m.room.name", "x"), ("", "@a:b", "c")
keys = st.frozensets(st.sampled_from((*KEYS, ANY)), max_size=2)


@st.composite
def wanted(draw: st.DrawFn) -> RequiredState:
    """Some state, as the codecs make it."""
    types = draw(st.dictionaries(st.sampled_from(TYPES), keys, max_size=3))
    lazy = draw(st.booleans())
    if lazy:
        types.setdefault(MEMBER, frozenset())
    return RequiredState(types, draw(keys), lazy=lazy)


SLOTS = list(product((*TYPES, "other"), (*KEYS, "d")))


@given(wanted(), wanted())
def test_together_they_want_what_one_of_them_wants(one: RequiredState, other: RequiredState) -> None:
    both = one.union(other)
    for slot in SLOTS:
        assert both.wants(*slot) == (one.wants(*slot) or other.wants(*slot))
    assert both.lazy == (one.lazy or other.lazy)


@given(wanted(), wanted())
def test_what_is_wanted_already_changes_nothing(one: RequiredState, other: RequiredState) -> None:
    both = one.union(other)
    assert both.union(one) == both == both.union(other) == both.union(both)
    assert hash(both.union(one)) == hash(both)


@given(wanted(), st.integers(0, 5), st.frozensets(st.sampled_from(("receipts", "account_data"))))
def test_it_can_be_written_down(one: RequiredState, limit: int, told: frozenset[str]) -> None:
    config = RoomConfig(limit, one, told)
    assert msgspec.json.decode(msgspec.json.encode(config), type=RoomConfig) == config


def test_what_is_excluded_is_not_wanted() -> None:
    everything = RequiredState(any_type=frozenset({ANY}), exclude=frozenset({(MEMBER, None), (None, "c")}))
    assert not everything.wants(MEMBER, "@a:b")
    assert not everything.wants("x", "c")
    assert everything.wants("x", "")
    # Whoever wants it besides gets it.
    assert everything.union(RequiredState({MEMBER: frozenset({"@a:b"})})).wants(MEMBER, "@a:b")
