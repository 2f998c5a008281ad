"""Events of other servers that were taken and not looked at yet: none is overtaken, and no fault of ours loses one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.federation import inbox as inboxes
from appliance.federation.access import RoomAccess
from appliance.federation.inbox import Inbox
from appliance.protocol import canonical
from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.storage import inbox as rows
from appliance.storage.errors import StorageFull
from appliance.storage.inbox import UnreadEvent
from tests.federation.house import ELSEWHERE, MALLORY, House, house
from tests.support.waiting import until


class Nobody:
    """In place of whoever else an inbox turns to."""

    def __init__(self) -> None:
        self.sought: list[str] = []

    async def receive(self, origin: str, edus: Any) -> None:
        """No EDUs come."""

    def seek(self, room_id: str, origin: str) -> None:
        """Take note that something is missing."""
        self.sought.append(room_id)

    async def take(self, origin: str, room_id: str, pdu: Any) -> None:
        """No invitations end."""


def inbox(home: House, nobody: Nobody, seconds: float = 8.0) -> Inbox:
    """An inbox of the house, as after a start."""
    rooms, identity = home.living.graph.rooms, home.living.identity
    access = RoomAccess(rooms, identity)
    everybody: Any = nobody
    others = (everybody, everybody, everybody)
    return Inbox(home.owning.database, rooms, access, home.accepting, *others, identity, lambda: 1, seconds)


def said(home: House, room: Room, *texts: str) -> list[Event]:
    """Messages, each upon the one before."""
    found: list[Event] = []
    for text in texts:
        more: dict[str, Any] = {"parents": [found[-1].event_id], "depth": found[-1].depth + 1} if found else {}
        found.append(home.remote.event(room, "m.room.message", {"body": text}, **more))
    return found


async def taken(home: House, room: Room, events: list[Event]) -> None:
    """Let events have been taken before a kill."""
    for one in events:
        unread = UnreadEvent(one.event_id, room.room_id, ELSEWHERE, 1, canonical.encode(one.pdu))
        await home.owning.database.write(lambda tx, unread=unread: rows.put_unread(tx, unread))  # type: ignore[misc]


def texts(home: House) -> list[str]:
    """What Mallory said, as it came."""
    return [one.content["body"] for one in home.events_of(MALLORY) if "body" in one.content]


def failing_once(home: House, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let the disk be full when the next event is judged, which waits for what is given."""
    accept, tries, go_on = home.accepting.accept_many, [0], asyncio.Event()

    async def accept_many(*named: Any, **more: Any) -> Any:
        tries[0] += 1
        if tries[0] == 1:
            await go_on.wait()
            raise StorageFull("There is no room left.")
        return await accept(*named, **more)

    monkeypatch.setattr(home.accepting, "accept_many", accept_many)
    return go_on


def play(tmp_path: Path, story: Callable[[House], Any]) -> None:
    """Play a story."""

    async def live() -> None:
        async with house(tmp_path) as home:
            await story(home)

    asyncio.run(live())


def test_what_comes_after_a_start_does_not_overtake_what_waited(tmp_path: Path) -> None:
    async def story(home: House) -> None:
        room = await home.with_mallory()
        one, two, three = said(home, room, "one", "two", "three")
        await taken(home, room, [one, two])
        nobody = Nobody()
        box = inbox(home, nobody)
        answer = await box.receive(ELSEWHERE, "t1", {"pdus": [three.pdu]})
        assert canonical.decode(answer) == {"pdus": {three.event_id: {}}}
        assert texts(home) == ["one", "two", "three"]
        assert (nobody.sought, rows.unread_rooms(home.owning.database)) == ([], set())
        await box.look()
        assert texts(home) == ["one", "two", "three"]

    play(tmp_path, story)


def test_an_event_that_cannot_be_looked_at_now_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "AGAIN_SECONDS", 0.01)

    async def story(home: House) -> None:
        room = await home.with_mallory()
        (one,), (other,) = said(home, room, "one"), said(home, room, "other")
        await taken(home, room, [one, other])
        failing_once(home, monkeypatch).set()
        box = inbox(home, Nobody())
        await box.look()
        assert texts(home) == ["other"]
        assert rows.is_unread(home.owning.database, one.event_id)
        await until(lambda: not rows.unread_rooms(home.owning.database))
        assert texts(home) == ["other", "one"]
        await box.stop()

    play(tmp_path, story)


def test_what_fails_after_the_answer_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction is answered after some seconds; whoever sent it does not send it again."""
    monkeypatch.setattr(inboxes, "AGAIN_SECONDS", 0.01)

    async def story(home: House) -> None:
        room = await home.with_mallory()
        (one,) = said(home, room, "one")
        go_on = failing_once(home, monkeypatch)
        box = inbox(home, Nobody(), seconds=0.0)
        answer = await box.receive(ELSEWHERE, "t1", {"pdus": [one.pdu]})
        assert canonical.decode(answer) == {"pdus": {one.event_id: {}}}
        go_on.set()
        await until(lambda: texts(home) == ["one"])
        await until(lambda: not rows.unread_rooms(home.owning.database))
        await box.stop()

    play(tmp_path, story)
