"""Which state a connection of sliding sync wants, and what two ways of wanting it make together."""

from itertools import product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import MatrixError
from appliance.sync.sliding import accepted, deployed
from appliance.sync.sliding.lists import MOST_COMBINATIONS, _Configs
from appliance.sync.sliding.wishes import ANY, ListWish, RequiredState, RoomConfig, Wishes

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


def test_rooms_are_wanted_in_so_many_ways() -> None:
    """Each combination of lists and subscriptions is put together once; beyond so many, all of them together count."""
    lists = {
        str(number): ListWish(RoomConfig(1, RequiredState({f"type{number}": frozenset(("",))})))
        for number in range(100)
    }
    configs = _Configs(Wishes(lists=lists))
    made = [configs.of((str(number), str(number + 1)), None) for number in range(MOST_COMBINATIONS)]
    assert made[3].required.wants("type3", "") and made[3].required.wants("type4", "")
    assert not made[3].required.wants("type5", "")
    assert configs.of(("3", "4"), None) is made[3]
    rest = [configs.of((str(number),), None) for number in range(90)]
    assert all(one is rest[0] for one in rest)
    assert all(rest[0].required.wants(f"type{number}", "") for number in range(100))


def test_so_much_state_can_be_wanted() -> None:
    """In all lists and subscriptions together, in both forms."""
    state = [[f"type{number}", ""] for number in range(500)]
    lists = {str(number): {"timeline_limit": 1, "required_state": state} for number in range(5)}
    body = msgspec.convert({"lists": lists}, deployed.DeployedRequest)
    with pytest.raises(MatrixError, match="required_state"):
        deployed.wishes(body, "@a:x")
    include = [{"type": event_type} for event_type, _ in state]
    more = {name: {"timeline_limit": 1, "required_state": {"include": include}} for name in lists}
    with pytest.raises(MatrixError, match="required_state"):
        accepted.wishes(msgspec.convert({"lists": more}, accepted.AcceptedRequest))
