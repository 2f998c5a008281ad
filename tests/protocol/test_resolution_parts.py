"""The parts of state resolution one by one: what is replayed, and in which order."""

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from appliance.protocol.events import Event
from appliance.protocol.resolution.conflicted import auth_difference, conflicted_subgraph
from appliance.protocol.resolution.graph import AuthGraph
from appliance.protocol.resolution.mainline import mainline_order
from appliance.protocol.resolution.partition import partition
from appliance.protocol.resolution.power_order import is_power_event, power_order, with_chains
from appliance.protocol.resolution.resolver import resolve, resolve_conflicts
from appliance.protocol.versions import VERSIONS
from tests.protocol.resolution.cases import KnownEvents, State
from tests.protocol.room import ALICE, BOB

TOPIC, NAME = ("m.room.topic", ""), ("m.room.name", "")


class Asked(KnownEvents):
    """Events that count what they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of its auth events."""
        self.asked.append(nid)
        return super().auth(nid)


def graph(*named: Sequence[int]) -> AuthGraph:
    """Nothing but links: which events each event names."""
    lookup = KnownEvents()
    for auth in named:
        lookup.add(event("m.room.topic"), auth)
    return AuthGraph(lookup)


def event(
    kind: str, sender: str = ALICE, state_key: str | None = "", *, version: str = "11", name: str = "", **more: Any
) -> Event:
    """An event of which only a few things matter."""
    pdu = {
        "type": kind,
        "sender": sender,
        "state_key": state_key,
        "room_id": "!room:one.example",
        "content": more.pop("content", {}),
        "depth": 1,
        "origin_server_ts": more.pop("at", 0),
        "prev_events": [],
        "auth_events": [],
    }
    return Event(VERSIONS[version], pdu, f"${name}", b"")


class TestPartition:
    def test_same_and_different(self) -> None:
        agreed, differences = partition([{TOPIC: 1, NAME: 2}, {TOPIC: 1, NAME: 3}], absent_differs=True)
        assert agreed == {TOPIC: 1}
        assert differences == [{NAME: 2}, {NAME: 3}]

    @pytest.mark.parametrize("states", [[{TOPIC: 1}, {}], [{}, {TOPIC: 1}], [{}, {TOPIC: 1}, {}]])
    def test_a_place_that_a_state_lacks(self, states: list[State]) -> None:
        agreed, differences = partition(states, absent_differs=True)
        assert agreed == {}
        assert differences == states
        assert partition(states, absent_differs=False) == ({TOPIC: 1}, [{} for _ in states])

    def test_three_values_of_which_two_are_the_same(self) -> None:
        for absent_differs in (True, False):
            agreed, differences = partition([{TOPIC: 1}, {TOPIC: 2}, {TOPIC: 1}], absent_differs=absent_differs)
            assert agreed == {}
            assert differences == [{TOPIC: 1}, {TOPIC: 2}, {TOPIC: 1}]


class TestAuthDifference:
    def test_what_only_some_chains_have(self) -> None:
        links = graph([], [0], [0], [1], [1, 2])
        assert auth_difference(links, [], [[3], [4]]) == {2, 3, 4}

    def test_what_all_states_hold_is_in_all_chains(self) -> None:
        links = graph([], [0], [0], [2], [1])
        assert auth_difference(links, [], [[3], [4]]) == {1, 2, 3, 4}
        assert auth_difference(links, [2], [[3], [4]]) == {1, 3, 4}

    def test_what_rests_on_an_event_of_the_other_state(self) -> None:
        links = graph([], [0], [1], [2])
        assert auth_difference(links, [0], [[1], [3]]) == {2, 3}

    def test_three_states(self) -> None:
        links = graph([], [0], [0], [1], [1, 2], [2])
        assert auth_difference(links, [], [[3], [4], [5]]) == {1, 2, 3, 4, 5}
        assert auth_difference(links, [], [[4], [4, 3], [4]]) == {3}

    def test_states_that_hold_the_same(self) -> None:
        assert auth_difference(graph([], [0], [1]), [0], [[2], [2]]) == set()

    def test_the_walk_ends_where_the_chains_meet(self) -> None:
        lookup = Asked()
        for nid in range(1000):
            lookup.add(event("m.room.topic"), [nid - 1] if nid else [])
        lookup.add(event("m.room.topic"), [998])
        assert auth_difference(AuthGraph(lookup), range(900), [[999], [1000]]) == {999, 1000}
        assert len(lookup.asked) < 5


class TestConflictedSubgraph:
    def test_paths_between_conflicted_events(self) -> None:
        #  0 ← 1 ← 2 ← 4, and 3 between 1 and 4 as well; 5 leads to 1 but is not on the way to another one.
        links = graph([], [0], [1], [1], [2, 3], [1], [0])
        assert conflicted_subgraph(links, {1, 4}) == {1, 2, 3, 4}
        assert conflicted_subgraph(links, {1, 4, 6}) == {1, 2, 3, 4, 6}

    def test_a_path_through_a_third_one(self) -> None:
        assert conflicted_subgraph(graph([], [0], [1], [2], [3]), {0, 2, 4}) == {0, 1, 2, 3, 4}

    def test_conflicted_events_that_do_not_lead_to_each_other(self) -> None:
        assert conflicted_subgraph(graph([], [0], [0]), {1, 2}) == {1, 2}

    def test_nothing(self) -> None:
        assert conflicted_subgraph(graph([]), set()) == set()


class TestPowerOrder:
    @pytest.mark.parametrize(
        ("one", "is_one"),
        [
            (event("m.room.power_levels"), True),
            (event("m.room.power_levels", state_key="x"), False),
            (event("m.room.join_rules"), True),
            (event("m.room.create"), False),
            (event("m.room.topic"), False),
            (event("m.room.member", ALICE, BOB, content={"membership": "ban"}), True),
            (event("m.room.member", ALICE, BOB, content={"membership": "leave"}), True),
            (event("m.room.member", ALICE, BOB, content={"membership": "invite"}), False),
            (event("m.room.member", ALICE, ALICE, content={"membership": "leave"}), False),
            (event("m.room.member", ALICE, BOB, content={"membership": ["ban"]}), False),
        ],
    )
    def test_power_events(self, one: Event, is_one: bool) -> None:
        assert is_power_event(one) is is_one

    def test_chains_within_the_full_conflicted_set(self) -> None:
        links = graph([], [0], [1], [2], [3], [0])
        assert with_chains(links, [4], {1, 3, 4, 5}) == {3, 4}
        assert with_chains(links, [4], {1, 2, 3, 4, 5}) == {1, 2, 3, 4}

    def test_links_then_power_then_time_then_id(self) -> None:
        lookup = KnownEvents()
        create = event("m.room.create", content={"creator": ALICE})
        lookup.add(create, [])
        lookup.add(event("m.room.power_levels", content={"users": {ALICE: 100, BOB: 50}}), [0])
        order = [
            lookup.add(event("m.room.topic", ALICE, at=9, name="e"), [1]),
            lookup.add(event("m.room.topic", BOB, at=1, name="d"), [1]),
            lookup.add(event("m.room.topic", BOB, at=2, name="a"), [1]),
            lookup.add(event("m.room.topic", BOB, at=2, name="b"), [1]),
        ]
        # More power and an earlier time than the others, but it rests on the last of them.
        order.append(lookup.add(event("m.room.topic", ALICE, at=0, name="c"), [1, order[-1]]))
        # No power levels are named, so it counts as sent by one without power.
        order.append(lookup.add(event("m.room.topic", BOB, at=0, name="f"), [0]))
        assert power_order(AuthGraph(lookup), set(order), create) == order

    def test_creators_come_before_all(self) -> None:
        lookup = KnownEvents()
        create = event("m.room.create", ALICE, version="12", content={"additional_creators": [BOB]})
        lookup.add(create, [])
        lookup.add(event("m.room.power_levels", version="12", content={"users": {"@x:x": 2**53 - 1}}), [])
        second = lookup.add(event("m.room.topic", "@x:x", version="12", at=0), [1])
        first = lookup.add(event("m.room.topic", BOB, version="12", at=1), [1])
        assert power_order(AuthGraph(lookup), {first, second}, create) == [first, second]


class TestMainlineOrder:
    def test_older_power_levels_first_then_time_then_id(self) -> None:
        lookup = KnownEvents()
        lookup.add(event("m.room.create"), [])
        lookup.add(event("m.room.power_levels"), [0])
        lookup.add(event("m.room.power_levels"), [0, 1])
        aside = lookup.add(event("m.room.power_levels"), [0, 1])
        further_aside = lookup.add(event("m.room.power_levels"), [0, aside])
        strange = lookup.add(event("m.room.power_levels"), [0])
        order = [
            lookup.add(event("m.room.topic", at=8, name="b"), [0]),
            lookup.add(event("m.room.topic", at=9, name="a"), [0, strange]),
            lookup.add(event("m.room.topic", at=5, name="z"), [0, 1]),
            lookup.add(event("m.room.topic", at=6, name="y"), [0, further_aside]),
            lookup.add(event("m.room.topic", at=6, name="yy"), [0, aside]),
            lookup.add(event("m.room.topic", at=1, name="c"), [0, 2]),
        ]
        assert mainline_order(AuthGraph(lookup), set(order), 2) == order

    def test_without_power_levels_the_time_decides(self) -> None:
        lookup = KnownEvents()
        lookup.add(event("m.room.power_levels"), [])
        late = lookup.add(event("m.room.topic", at=2), [])
        early = lookup.add(event("m.room.topic", at=1), [0])
        assert mainline_order(AuthGraph(lookup), {late, early}, None) == [early, late]


@pytest.mark.parametrize("version", ["2", "11", "12"])
def test_the_smaller_id_comes_first_at_the_same_time(version: str) -> None:
    lookup = KnownEvents()
    create = event("m.room.create", version=version, content={"creator": ALICE}, name="room:one.example")
    lookup.add(create, [])
    join = event("m.room.member", ALICE, ALICE, version=version, content={"membership": "join"})
    lookup.add(join, [0])
    smaller = lookup.add(event("m.room.topic", version=version, name="a"), [0, 1])
    larger = lookup.add(event("m.room.topic", version=version, name="b"), [0, 1])
    start = {("m.room.create", ""): 0, ("m.room.member", ALICE): 1}
    states = [{**start, TOPIC: larger}, {**start, TOPIC: smaller}]
    assert resolve(VERSIONS[version], states, lookup, create)[TOPIC] == larger


@pytest.mark.parametrize("version", ["1", "2", "12"])
def test_few_differences_in_a_large_room_need_few_events(version: str) -> None:
    lookup = Asked()
    create = event("m.room.create", version=version, content={"creator": ALICE}, name="room:one.example")
    lookup.add(create, [])
    lookup.add(event("m.room.member", ALICE, ALICE, version=version, content={"membership": "join"}), [0])
    rules = event("m.room.join_rules", version=version, content={"join_rule": "public"})
    state = {
        ("m.room.create", ""): 0,
        ("m.room.member", ALICE): 1,
        ("m.room.join_rules", ""): lookup.add(rules, [0, 1]),
    }
    for number in range(2000):
        user = f"@{number}:two.example"
        member = event("m.room.member", user, user, version=version, content={"membership": "join"})
        state["m.room.member", user] = lookup.add(member, [0, 2])
    differences = []
    for at, name in enumerate(("earlier", "later")):
        topic = event("m.room.topic", version=version, at=at, name=name)
        differences.append({TOPIC: lookup.add(topic, [0, 1])})
    resolved = resolve_conflicts(VERSIONS[version], state, differences, lookup, create)
    assert len(resolved) == 1
    assert len(set(lookup.asked)) < 10


class TestVersion1:
    """Depth and hashes of ids, where the authorisation rules do not decide."""

    def resolved(self, kind: str, state_key: str, contents: Sequence[tuple[str, int, dict[str, Any]]]) -> str:
        """The id of the event that remains of several by Alice, of which each state holds one."""
        lookup = KnownEvents()
        create = event("m.room.create", version="1", content={"creator": ALICE})
        lookup.add(create, [])
        lookup.add(event("m.room.member", ALICE, ALICE, version="1", content={"membership": "join"}), [0])
        states = []
        for name, depth, content in contents:
            one = event(kind, ALICE, state_key, version="1", name=name, content=content)
            one.depth = depth
            states.append(
                {("m.room.create", ""): 0, ("m.room.member", ALICE): 1, (kind, state_key): lookup.add(one, [0, 1])}
            )
        result = resolve(VERSIONS["1"], states, lookup, create)
        return lookup.events[result[kind, state_key]].event_id

    @pytest.mark.parametrize("kind", ["m.room.topic", "m.room.power_levels", "m.room.join_rules"])
    def test_the_smallest_hash_among_equal_depths(self, kind: str) -> None:
        hashed = {name: hashlib.sha1(f"${name}".encode(), usedforsecurity=False).hexdigest() for name in "abc"}
        smallest = min(hashed, key=hashed.__getitem__)
        content = {"users": {ALICE: 100}, "join_rule": "public"}
        assert self.resolved(kind, "", [(name, 5, content) for name in "abc"]) == f"${smallest}"

    @pytest.mark.parametrize("kind", ["m.room.topic", "m.room.power_levels", "m.room.join_rules"])
    def test_the_greatest_depth(self, kind: str) -> None:
        content = {"users": {ALICE: 100}, "join_rule": "public"}
        for order in itertools.permutations("abc"):
            assert (
                self.resolved(kind, "", [(name, 5 + at, content) for at, name in enumerate(order)]) == f"${order[-1]}"
            )

    def test_the_first_that_is_not_allowed_ends_the_chain(self) -> None:
        # After "b" Alice may not give as much as "c" does. She might do "d", but it is not looked at any more.
        levels = [{ALICE: 100}, {ALICE: 60}, {ALICE: 60, BOB: 100}, {ALICE: 60, BOB: 50}]
        contents = [
            (name, 5 + at, {"users": users}) for at, (name, users) in enumerate(zip("abcd", levels, strict=True))
        ]
        assert self.resolved("m.room.power_levels", "", contents) == "$b"

    def test_the_lowest_stays_where_none_is_allowed(self) -> None:
        # Nobody may set state under another's user id.
        assert self.resolved("m.room.topic", BOB, [("a", 6, {}), ("b", 5, {}), ("c", 7, {})]) == "$b"
