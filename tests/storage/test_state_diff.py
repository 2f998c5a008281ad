"""What differs between states is found by what differs."""

import pytest

from appliance.storage import state_diff
from appliance.storage.database import Database, Tx
from appliance.storage.state import Slot
from appliance.storage.state_diff import diff, differences
from tests.storage.forest import Counted, Forest, luck, member

pytestmark = pytest.mark.anyio


@pytest.fixture
def forest(database: Database) -> Forest:
    """No states yet."""
    return Forest(database)


def expected(forest: Forest, groups: tuple[int, ...]) -> dict[Slot, tuple[int | None, ...]]:
    """The same by comparing what the states are meant to hold."""
    states = [forest.states[group] for group in groups]
    held = {slot: tuple(state.get(slot) for state in states) for state in states for slot in state}
    return {slot: values for slot, values in held.items() if len(set(values)) > 1}


@pytest.mark.parametrize("seed", range(4))
async def test_any_states_are_compared_rightly(database: Database, forest: Forest, seed: int) -> None:
    rng = luck(seed)

    def grow(tx: Tx) -> None:
        forest.wander(tx, None, 150, 80, rng)
        for _ in range(6):
            forest.wander(tx, rng.randrange(1, forest.number + 1), rng.choice((1, 20, 90)), 80, rng)

    await database.write(grow)
    for _ in range(60):
        groups = tuple(rng.randrange(1, forest.number + 1) for _ in range(rng.choice((2, 2, 3, 5))))
        found = differences(database, groups)
        assert found.values == expected(forest, groups)
        assert found.groups == groups
        assert found.conflicts == {
            slot: {nid for nid in values if nid is not None} for slot, values in found.values.items()
        }
        if len(groups) == 2:
            assert diff(database, *groups) == found.values


async def test_the_common_base_is_the_nearest(database: Database, forest: Forest) -> None:
    def grow(tx: Tx) -> tuple[int, int, int, int]:
        rng = luck(1)
        trunk = forest.wander(tx, None, 200, 50, rng)
        a, b = forest.wander(tx, trunk, 90, 50, rng), forest.wander(tx, trunk, 200, 50, rng)
        return trunk, a, b, forest.wander(tx, a, 3, 50, rng)

    trunk, a, b, c = await database.write(grow)
    assert differences(database, (a, b)).base_nid == trunk
    assert differences(database, (a, c)).base_nid == a
    assert differences(database, (c, b, a)).base_nid == trunk
    assert differences(database, (b, b)).base_nid == b
    assert differences(database, (b, b)).values == {}
    assert differences(database, ()).values == {}


async def test_a_comparison_costs_what_differs_and_not_what_is_in_the_room(database: Database, forest: Forest) -> None:
    """Ten changes on each side of 5,000 members, with whole states stored on the way."""

    def grow(tx: Tx) -> tuple[int, int]:
        rng = luck(2)
        trunk = forest.crowd(tx, 5000)
        for start in range(0, 10_000, 20):
            trunk = forest.grow(tx, trunk, {member((start + one) % 5000): forest.event() for one in range(20)})
        return forest.wander(tx, trunk, 10, 5000, rng), forest.wander(tx, trunk, 10, 5000, rng)

    a, b = await database.write(grow)
    counted = Counted(database)
    found = differences(counted, (a, b))
    assert found.values == expected(forest, (a, b))
    assert 10 <= len(found.values) <= 60
    assert counted.bytes == 0
    assert counted.rows < 4 * len(found.values) + 2 * 32
    assert database.read("SELECT COUNT(*) FROM state_snapshots") > [(10,)]


async def test_whole_states_on_the_way_do_not_hide_what_is_common(database: Database, forest: Forest) -> None:
    def grow(tx: Tx) -> tuple[int, int, int]:
        rng = luck(3)
        trunk = forest.crowd(tx, 100)
        return trunk, forest.wander(tx, trunk, 400, 100, rng), forest.wander(tx, trunk, 400, 100, rng)

    trunk, a, b = await database.write(grow)
    counted = Counted(database)
    found = differences(counted, (a, b))
    assert found.base_nid == trunk
    assert found.values == expected(forest, (a, b))
    assert counted.bytes == 0


async def test_states_without_a_common_base_are_read_whole(database: Database, forest: Forest) -> None:
    """As after leaving a room and coming back through another server."""

    def grow(tx: Tx) -> tuple[int, int]:
        rng = luck(4)
        return forest.wander(tx, None, 100, 50, rng), forest.wander(tx, forest.crowd(tx, 300), 20, 50, rng)

    a, b = await database.write(grow)
    assert differences(database, (a, b)).base_nid is None
    assert diff(database, a, b) == expected(forest, (a, b))
    assert differences(database, (a, b, a)).values == expected(forest, (a, b, a))


async def test_states_that_are_too_far_apart_are_read_whole(
    database: Database, forest: Forest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(tx: Tx) -> tuple[int, int]:
        trunk = forest.crowd(tx, 40)
        for _ in range(3000):
            forest.grow(tx, forest.number, {member(1): forest.event()})
        return trunk, forest.number

    near, far = await database.write(grow)
    counted = Counted(database)
    found = differences(counted, (near, far))
    assert found.base_nid is None
    assert found.values == expected(forest, (near, far))
    assert counted.rows < 2 * 2048 + 200
    monkeypatch.setattr(state_diff, "LEAST_STEPS", 4000)
    assert differences(database, (near, far)) == state_diff.Differences((near, far), near, found.values)


async def test_a_group_that_is_not_there_is_an_error(database: Database, forest: Forest) -> None:
    await database.write(lambda tx: forest.crowd(tx, 3))
    with pytest.raises(KeyError):
        differences(database, (1, 9))


async def test_what_differs_is_what_can_be_stored(database: Database, forest: Forest) -> None:
    """A resolved state is stored on one of those that it resolves, as what differs."""

    def grow(tx: Tx) -> tuple[int, int]:
        rng = luck(6)
        trunk = forest.crowd(tx, 200)
        return forest.wander(tx, trunk, 10, 200, rng), forest.wander(tx, trunk, 10, 200, rng)

    a, b = await database.write(grow)
    again = await database.write(
        lambda tx: forest.grow(tx, a, {slot: values[1] for slot, values in diff(tx, a, b).items()})
    )
    assert forest.states[again] == forest.states[b]
    assert diff(database, again, b) == {}
