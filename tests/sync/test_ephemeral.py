"""Receipts and typing: what a sync asks for, whom they wake, and how they are put together."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from appliance.protocol.filters import Filter
from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Room
from appliance.rooms.signs.receipts import PRIVATE, READ
from appliance.storage.receipts import Receipt
from appliance.storage.tokens import SyncToken
from appliance.sync.ephemeral import contents
from appliance.sync.sections import Options
from tests.federation.house import ALICE, HERE, House, house

BOB, CAROL = f"@bob:{HERE}", f"@carol:{HERE}"


def at_home(tmp_path: Path, story: Callable[[House], Awaitable[None]]) -> None:
    """Run a story in a house of its own, with Bob and Carol in it too."""

    async def live() -> None:
        async with house(tmp_path) as home:
            for name in ("bob", "carol"):
                await home.owning.accounts.create(name, "wonderland")
            await story(home)

    asyncio.run(live())


async def room_of_two(home: House) -> Room:
    """A room of Alice's that Bob has joined."""
    room = await home.room()
    await home.living.acts.membership.join(BOB, room.room_id)
    return room


async def synced(home: House, user_id: str, since: SyncToken | None = None) -> tuple[dict[str, Any], SyncToken]:
    """A sync of a user's, and the token for the next one."""
    answer = await home.living.syncing.sync.answer(Asker(user_id, "DEVICE"), since, Options(Filter()))
    return orjson.loads(answer.body), answer.token


def latest(room: Room) -> str:
    """The id of a room's last event."""
    return room.published.extremities[0].event_id


def test_a_sync_asks_only_for_rooms_whose_receipts_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question for the one room of many in which somebody read, none for its history, and none the next time."""

    async def story(home: House) -> None:
        rooms = [await room_of_two(home) for _ in range(5)]
        for room in rooms:
            await home.living.signs.receipts.read(ALICE, room.room_id, READ, latest(room))
        _, token = await synced(home, BOB)
        await home.living.signs.receipts.read(BOB, rooms[3].room_id, READ, latest(rooms[3]))
        asked: list[str] = []
        database = home.owning.database
        read = database.read
        said: list[Any] = []
        monkeypatch.setattr(
            database,
            "read",
            lambda sql, parameters=(): asked.append(sql) or said.append(parameters) or read(sql, parameters),
        )
        answer, following = await synced(home, BOB, token)
        assert answer["rooms"]["join"].keys() == {rooms[3].room_id}
        of_receipts = [one for sql, one in zip(asked, said, strict=True) if "FROM receipts" in sql]
        assert of_receipts
        assert all(rooms[3].room_id in one for one in of_receipts)
        assert not [sql for sql in asked if "state" in sql or "e.json" in sql]
        asked.clear()
        answer, _ = await synced(home, BOB, following)
        assert "rooms" not in answer
        assert not asked

    at_home(tmp_path, story)


def test_whom_a_receipt_wakes(tmp_path: Path) -> None:
    """Everybody in the room, or with a private one its user; nobody else, and nobody where nothing changed."""

    async def story(home: House) -> None:
        room = await room_of_two(home)
        receipts, notifier = home.living.signs.receipts, home.living.notifier

        async def woken_by(kind: str) -> set[str]:
            waiting = {user: notifier.wait(user) for user in (ALICE, BOB, CAROL)}
            await receipts.read(BOB, room.room_id, kind, latest(room))
            await home.owning.database.write(lambda tx: tx.position())  # what is noted is noted before this
            notifier.wake(0)
            for user, future in waiting.items():
                notifier.leave(user, future)
            return {user for user, future in waiting.items() if future.done()}

        assert await woken_by(PRIVATE) == {BOB}
        assert await woken_by(READ) == {ALICE, BOB}
        assert await woken_by(READ) == set()

    at_home(tmp_path, story)


def test_whom_typing_wakes_and_how_it_ends(tmp_path: Path) -> None:
    """Beginning and ending wake those in the room; a new time replaces the one before."""

    async def story(home: House) -> None:
        room = await room_of_two(home)
        typing, notifier = home.living.signs.typing, home.living.notifier
        _, token = await synced(home, ALICE)
        bobs, carols = notifier.wait(BOB), notifier.wait(CAROL)
        await typing.say(ALICE, room.room_id, 0)
        await typing.say(ALICE, room.room_id, 30_000)
        await asyncio.wait_for(bobs, 10)
        assert typing.now() == {room.room_id: [ALICE]}
        assert typing.since(token.boot, token.serial) == {room.room_id: [ALICE]}
        bobs = notifier.wait(BOB)
        await typing.say(ALICE, room.room_id, 0)
        assert not bobs.done()
        await asyncio.wait_for(bobs, 10)
        assert not carols.done()
        assert typing.now() == {}
        assert typing.since(token.boot, token.serial) == {room.room_id: []}
        assert typing.since(token.boot, typing.serial) == {}
        assert typing.since(token.boot + 2, 0) == {}

    at_home(tmp_path, story)


def receipt(user_id: str, event_id: str, thread_id: str = "", kind: str = READ) -> Receipt:
    """A receipt whose data says which one it is."""
    data = orjson.dumps({"thread_id": thread_id} if thread_id else {}).decode()
    return Receipt("!room", user_id, kind, thread_id, event_id, data)


def made(*receipts: Receipt) -> list[Any]:
    """The contents of the events for some receipts, as clients read them."""
    found: list[Any] = orjson.loads(orjson.dumps(contents(receipts)))
    return found


def test_receipts_share_an_event_where_they_can() -> None:
    """By event, type and user; one without a thread hides a threaded one of the same place; two threads need two."""
    assert made() == []
    assert made(
        receipt(ALICE, "$a"), receipt(BOB, "$a"), receipt(BOB, "$a", kind=PRIVATE), receipt(CAROL, "$b", "main")
    ) == [{"$a": {READ: {ALICE: {}, BOB: {}}, PRIVATE: {BOB: {}}}, "$b": {READ: {CAROL: {"thread_id": "main"}}}}]
    assert made(receipt(BOB, "$a", "main"), receipt(BOB, "$a"), receipt(BOB, "$a", "$a")) == [{"$a": {READ: {BOB: {}}}}]
    assert made(receipt(BOB, "$a", "main"), receipt(BOB, "$a", "$a"), receipt(ALICE, "$a", "$a")) == [
        {"$a": {READ: {BOB: {"thread_id": "main"}, ALICE: {"thread_id": "$a"}}}},
        {"$a": {READ: {BOB: {"thread_id": "$a"}}}},
    ]
