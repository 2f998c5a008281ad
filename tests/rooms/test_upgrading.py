"""A kill while a room is upgraded leaves both rooms, the old one with its tombstone, or nothing of it."""

import shutil
from pathlib import Path

import pytest

from appliance.errors import MatrixError
from appliance.rooms.acts.upgrading import TOMBSTONE
from appliance.storage import rooms as rows
from tests.federation.house import ALICE, House, house
from tests.rooms.test_failing_units import Failing

ALIAS = "#kitchen:here.example"


def keep_each_commit(home: House, folder: Path) -> list[Path]:
    """From now on, keep what a kill right after each commit would leave behind: one folder a commit."""
    kept: list[Path] = []
    writer = home.owning.database._writer
    committed, path = writer._committed, home.owning.database.path

    def copy() -> None:
        committed()
        left = folder / f"killed{len(kept)}"
        left.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.with_name(name), left / name)
        kept.append(left)

    writer._committed = copy  # type: ignore[method-assign]
    return kept


async def successor(home: House, room_id: str) -> str | None:
    """The room that a room's tombstone names."""
    room = await home.found(room_id)
    tombstone = room.state_event(room.published, TOMBSTONE)
    return None if tombstone is None else str(tombstone.content["replacement_room"])


def room_ids(home: House) -> set[str]:
    """All rooms."""
    return {room_id for (room_id,) in home.owning.database.read("SELECT room_id FROM rooms")}


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["11", "12"])
async def test_a_kill_at_any_moment(tmp_path: Path, version: str) -> None:
    """After each commit on the way the new room is there exactly if the old one says so, and has its alias."""
    (tmp_path / "home").mkdir()
    async with house(tmp_path / "home") as home:
        old = (await home.room(room_alias_name="kitchen", room_version=version)).room_id
        kept = keep_each_commit(home, tmp_path)
        new = await home.living.acts.upgrading.upgrade(ALICE, old, version)
        assert await successor(home, old) == new
        before = room_ids(home) - {new}
    seen = set()
    for folder in kept:
        async with house(folder) as home:
            there = await successor(home, old)
            assert there in (None, new)
            assert room_ids(home) - before == ({new} if there else set())
            assert rows.room_of_alias(home.owning.database, ALIAS) == (new if there else old)
            seen.add(there)
    assert new in seen


@pytest.mark.anyio
async def test_an_upgrade_that_fails(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither room knows anything of it, in memory or in the database; the next try makes both."""
    old = (await home.room(room_alias_name="kitchen")).room_id
    before = room_ids(home)
    with monkeypatch.context() as spoiling:
        Failing(home.owning.database, 1, spoiling)
        with pytest.raises(Exception, match="spoilt"):
            await home.living.acts.upgrading.upgrade(ALICE, old, "12")
    assert room_ids(home) == before
    assert await successor(home, old) is None
    new = await home.living.acts.upgrading.upgrade(ALICE, old, "12")
    assert room_ids(home) == {*before, new}
    assert await successor(home, old) == new
    await home.living.acts.sending.set_state(ALICE, new, "m.room.topic", "", {"topic": "here"})


@pytest.mark.anyio
async def test_an_upgrade_is_refused(home: House) -> None:
    """Nothing of a room is left that was about to be made."""
    room = await home.with_mallory()
    before = room_ids(home)
    with pytest.raises(MatrixError, match="may not upgrade"):
        await home.living.acts.upgrading.upgrade(home.remote.event(room, "m", {}).sender, room.room_id, "12")
    assert room_ids(home) == before


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["11", "12"])
async def test_levels_of_old_rooms_are_put_right(home: House, version: str) -> None:
    """Up to version 9 a level may be text, which from version 10 on nobody may send; what is no level at all counts as
    absent there and is left out."""
    old = (await home.room(room_version="9")).room_id
    written = {
        "users": {ALICE: "100"},
        "ban": " +60 ",
        "notifications": {"room": "20"},
        "events": {"m.room.name": "050"},
    }
    await home.living.acts.appender.append(old, lambda draft: draft.add("m.room.power_levels", ALICE, written, ""))
    new = await home.found(await home.living.acts.upgrading.upgrade(ALICE, old, version))
    levels = new.state_event(new.published, "m.room.power_levels")
    assert levels is not None
    assert (levels.content["ban"], levels.content["events"]["m.room.name"]) == (60, 50)
    assert levels.content["notifications"] == {"room": 20}
    assert levels.content["users"] == ({ALICE: 100} if version == "11" else {})
