"""The chores: all of them in a round, in small pieces, at quiet times, and stopped at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from appliance.app.clock import now_ms
from appliance.rooms.upkeep import housekeeping
from appliance.rooms.upkeep.housekeeping import PAGES, SPARE_PAGES, Housekeeping, Quiet
from appliance.rooms.upkeep.purging import Purging
from appliance.storage import pruning, state
from appliance.storage.database import Tx
from appliance.storage.errors import StorageFull
from appliance.storage.pruning import DAY_MS
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio

NOW = 100 * DAY_MS


class Pause:
    """What happens between two slices: nothing, and it is counted."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


def keeper(home: House, quiet: Callable[[], Awaitable[None]], **more: object) -> Housekeeping:
    """The housekeeping of a house."""
    database, living = home.owning.database, home.living
    purging = Purging(database, living.graph.rooms, living.graph.standings, lambda: NOW)
    return Housekeeping(database, purging, lambda: NOW, quiet=quiet, **more)  # type: ignore[arg-type]


async def test_a_round_clears_all_kinds_away(home: House) -> None:
    database = home.owning.database
    room = await home.with_mallory()
    await home.living.acts.membership.leave(ALICE, room.room_id)
    await home.living.acts.membership.forget(ALICE, room.room_id)

    def litter(tx: Tx) -> None:
        tx.execute_many(
            "INSERT INTO redacted_originals VALUES (?, 0, zeroblob(4000))", [(n,) for n in range(9000, 9900)]
        )
        tx.execute_many("INSERT INTO device_list_changes VALUES (?, '@a:x')", [(n,) for n in range(1, 300)])

    await database.write(litter)
    quiet = Pause()
    await keeper(home, quiet).round()
    assert database.read("SELECT COUNT(*) FROM rooms") == [(0,)]
    assert database.read("SELECT COUNT(*) FROM events") == [(0,)]
    assert database.read("SELECT COUNT(*) FROM redacted_originals") == [(0,)]
    assert database.read("SELECT COUNT(*) FROM device_list_changes") == [(1,)]
    assert pruning.free_pages(database)[0] <= SPARE_PAGES
    assert quiet.count >= 900 / pruning.ROWS + (900 - SPARE_PAGES) / PAGES


async def test_a_second_round_finds_nothing_to_do(home: House) -> None:
    await home.with_mallory()
    quiet = Pause()
    house_keeper = keeper(home, quiet)
    for _ in range(3):
        await house_keeper.round()
    assert quiet.count == 0


async def test_states_are_dropped_in_the_round_after_the_one_that_saw_them(home: House) -> None:
    database = home.owning.database
    room = await home.with_mallory()
    house_keeper = keeper(home, Pause())
    await house_keeper.round()
    groups = state.highest_group(database)
    number = home.living.graph.numbers.group()
    await database.write(
        lambda tx: state.insert_changed(tx, number, room.nid, groups, {("m.room.topic", ""): (None, 1)})
    )
    await house_keeper.round()
    assert state.highest_group(database) == number
    await house_keeper.round()
    assert state.highest_group(database) == groups
    await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "on what is there"})


async def test_originals_are_kept_as_long_as_is_wished(home: House) -> None:
    database = home.owning.database
    await database.write(
        lambda tx: tx.execute_many(
            "INSERT INTO redacted_originals VALUES (?, ?, x'00')", [(9, NOW - 5), (10, NOW - 50)]
        )
    )
    await keeper(home, Pause(), originals_ms=lambda: 20).round()
    assert database.read("SELECT event_nid FROM redacted_originals") == [(9,)]


@pytest.mark.parametrize(("days", "left"), [(7, [8, 9]), (3, [9]), (0, [])])
async def test_the_owner_says_how_long(home: House, days: int, left: list[int]) -> None:
    database, day = home.owning.database, 24 * 3600 * 1000
    ages = [(9, now_ms() - day), (8, now_ms() - 5 * day), (7, now_ms() - 8 * day)]
    await database.write(lambda tx: tx.execute_many("INSERT INTO redacted_originals VALUES (?, ?, x'00')", ages))
    home.owning.settings.rooms_redacted_days = days
    async for _ in home.living.upkeep.housekeeping._old_rows():
        pass
    assert database.read("SELECT event_nid FROM redacted_originals ORDER BY event_nid") == [(nid,) for nid in left]


async def test_others_chores_are_done_until_they_are_through(home: House) -> None:
    left = [2, 1, 0, 7]

    async def chore() -> int:
        return left.pop(0)

    quiet = Pause()
    await keeper(home, quiet, others=[chore]).round()
    assert (left, quiet.count) == ([7], 2)


async def test_a_chore_that_fails_keeps_no_other_from_being_done(home: House) -> None:
    """Else one room that cannot be taken out, or one row, would let everything grow for ever."""
    done: list[str] = []

    async def failing() -> int:
        raise RuntimeError("a mistake")

    async def other() -> int:
        done.append("other")
        return 0

    async def broken() -> AsyncIterator[None]:
        yield
        raise RuntimeError("a mistake")

    async def space() -> AsyncIterator[None]:
        done.append("space")
        yield

    housekeeping = keeper(home, Pause(), others=(failing, other))
    housekeeping._purging.marked_rooms = broken  # type: ignore[method-assign]
    housekeeping._space = space  # type: ignore[method-assign]
    await housekeeping.round()
    assert done == ["other", "space"]


async def test_it_stops_at_once_while_it_waits_for_a_quiet_time(home: House) -> None:
    waiting = asyncio.Event()

    async def never() -> None:
        waiting.set()
        await asyncio.Event().wait()

    await home.owning.database.write(
        lambda tx: tx.execute_many("INSERT INTO device_list_changes VALUES (?, '@a:x')", [(n,) for n in range(1, 300)])
    )
    house_keeper = keeper(home, never)
    house_keeper.start()
    house_keeper.start()
    house_keeper.look()
    await asyncio.wait_for(waiting.wait(), 20)
    await asyncio.wait_for(house_keeper.stop(), 20)
    await house_keeper.stop()
    # The slice before is kept, the rest is for the next time.
    ((count,),) = home.owning.database.read("SELECT COUNT(*) FROM device_list_changes")
    assert 1 < count < 299


async def test_a_full_disk_puts_it_off(home: House, caplog: pytest.LogCaptureFixture) -> None:
    tried, done = 0, asyncio.Event()

    async def chore() -> int:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise StorageFull("The disk is full.") if tried == 1 else KeyError("a mistake")
        done.set()
        return 0

    house_keeper = keeper(home, Pause(), others=[chore])
    house_keeper.start()
    while not done.is_set():
        house_keeper.look()
        await asyncio.sleep(0.01)
    await house_keeper.stop()
    assert "put off: The disk is full." in caplog.text
    assert "KeyError: 'a mistake'" in caplog.text


class Commits:
    """As much of a database as ``Quiet`` looks at: with every look so many commits more."""

    def __init__(self, *more: int) -> None:
        self._more = list(more)
        self._commits = 0
        self.looks = 0

    @property
    def commits(self) -> int:
        """How many there were."""
        self.looks += 1
        if self._more:
            self._commits += self._more.pop(0)
        return self._commits


async def test_a_moment_is_quiet_when_little_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MOMENT_S", 0.001)
    monkeypatch.setattr(housekeeping, "LATE_S", 60)
    commits = Commits(0, 50, 0, 9, 0, 1)
    await asyncio.wait_for(Quiet(commits)(), 20)  # type: ignore[arg-type]
    assert commits.looks == 6


async def test_a_server_that_is_never_quiet_is_cleaned_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "MOMENT_S", 0.001)
    monkeypatch.setattr(housekeeping, "PATIENCE_S", 0.02)
    commits = Commits(*range(100_000))
    await asyncio.wait_for(Quiet(commits)(), 20)  # type: ignore[arg-type]
    assert commits.looks >= 2


async def test_a_loop_that_comes_back_late_is_not_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """So all patience is spent, though nothing was committed."""
    monkeypatch.setattr(housekeeping, "MOMENT_S", 0.001)
    monkeypatch.setattr(housekeeping, "LATE_S", -1)
    monkeypatch.setattr(housekeeping, "PATIENCE_S", 0.02)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.wait_for(Quiet(Commits())(), 20)  # type: ignore[arg-type]
    assert loop.time() - start >= 0.02
