"""Which servers share rooms with whom, as it is kept in memory while memberships are being committed."""

import asyncio
from pathlib import Path

from appliance.encryption.local_lists import LocalLists
from appliance.federation.encryption_queues import ListUpdates
from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.storage import device_lists as rows
from appliance.storage.database import Tx
from tests.federation.house import ALICE, ELSEWHERE, HERE, House, house

CROWD = [f"@{name}:{ELSEWHERE}" for name in ("a", "b", "c")]


def memberships(home: House, room: Room, membership: str) -> list[Event]:
    """What three people of another server do, each going on from the one before."""
    found: list[Event] = []
    for user in CROWD:
        parents = [found[-1].event_id] if found else None
        depth = found[-1].depth + 1 if found else None
        event = home.remote.event(
            room, "m.room.member", {"membership": membership}, user, sender=user, parents=parents, depth=depth
        )
        found.append(event)
    return found


def test_who_comes_and_goes_in_one_commit_is_counted_once(tmp_path: Path) -> None:
    """What is read of the database while some of it is only being published must not be counted again."""

    async def story() -> None:
        async with house(tmp_path) as home:
            neighbours, rooms = home.living.neighbours, home.living.graph.rooms
            came: list[str] = []
            neighbours.came.append(lambda room_nid, server: came.append(server))
            room = await home.room()
            neighbours._servers.drop(room.nid)  # as after a start
            commits = home.owning.database.commits
            joins = [event.pdu for event in memberships(home, room, "join")]
            await home.accepting.accept_many(room.room_id, joins, ELSEWHERE)
            assert home.owning.database.commits == commits + 1
            assert came == [ELSEWHERE]
            assert neighbours.of_user(ALICE) == {ELSEWHERE}
            found = await rooms.find(room.room_id)
            assert found is room
            leaves = [event.pdu for event in memberships(home, room, "leave")]
            await home.accepting.accept_many(room.room_id, leaves[:2], ELSEWHERE)
            assert neighbours.of_user(ALICE) == {ELSEWHERE}
            await home.accepting.accept_many(room.room_id, leaves[2:], ELSEWHERE)
            assert neighbours.of_user(ALICE) == set()
            assert set(neighbours.of_room(room.nid)) == {HERE}

    asyncio.run(story())


def test_all_changes_of_devices_in_one_commit_are_told(tmp_path: Path) -> None:
    """Two changes of somebody's devices that are published together: the first is told too, and not the last alone."""

    async def story() -> None:
        async with house(tmp_path) as home:
            await home.with_mallory()
            database, lists = home.owning.database, home.living.encrypting.lists
            local = LocalLists(database, home.living.encrypting.queries, home.owning.settings)
            updates = ListUpdates(database, local, lambda user: user == ALICE, home.living.neighbours.of_user)
            lists.listeners.append(updates.changed)

            def change(device_id: str) -> "asyncio.Future[int]":
                def work(tx: Tx) -> int:
                    return rows.note_update(tx, ALICE, device_id)

                return database.submit(
                    work, published=lambda position: lists.changed(ALICE, rows.last_change(database, ALICE))
                )

            await asyncio.gather(change(""), change("D"))
            found, _ = updates.take(ELSEWHERE, 100)
            assert [b"m.signing_key_update" in one for one in found] == [True, False]

    asyncio.run(story())
