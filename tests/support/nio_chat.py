"""Two people with a real client library (matrix-nio): they meet, talk by long-polling sync, and find it all again."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from nio import (
    AsyncClient,
    AsyncClientConfig,
    JoinResponse,
    LoginResponse,
    RoomCreateResponse,
    RoomInviteResponse,
    RoomMessagesResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
)

PATIENCE = 30.0


class Person(Struct, frozen=True):
    """Who logs in: a full user id and a password."""

    user_id: str
    password: str


@asynccontextmanager
async def logged_in(url: str, person: Person, trust: ssl.SSLContext | None = None) -> AsyncIterator[AsyncClient]:
    """A client that is logged in on a device of its own.

    Args:
        url: the server's base address.
        person: who.
        trust: for HTTPS, the context that holds the roots to trust and no others.
    """
    config = AsyncClientConfig(encryption_enabled=False, request_timeout=60, max_timeouts=1, max_limit_exceeded=1)
    client = AsyncClient(url, person.user_id, config=config, ssl=trust)
    try:
        answer = await client.login(person.password, device_name="story")
        assert isinstance(answer, LoginResponse), answer
        yield client
    finally:
        await client.close()


async def chat(url: str, first: Person, second: Person, trust: ssl.SSLContext | None = None) -> tuple[str, list[str]]:
    """One makes a room and invites the other, who joins; each says something that the other hears.

    Returns:
        the room's id and what was said, in order.
    """
    async with logged_in(url, first, trust) as alice, logged_in(url, second, trust) as bob:
        for client in (alice, bob):
            assert isinstance(await client.sync(timeout=0), SyncResponse)
        made = await alice.room_create(name="Tea", topic="At five")
        assert isinstance(made, RoomCreateResponse), made
        room = made.room_id
        assert isinstance(await alice.room_invite(room, second.user_id), RoomInviteResponse)
        await until(bob, lambda: room in bob.invited_rooms)
        assert bob.invited_rooms[room].inviter == first.user_id
        assert isinstance(await bob.join(room), JoinResponse)
        await until(alice, lambda: room in alice.rooms and second.user_id in alice.rooms[room].users)
        await until(bob, lambda: room in bob.rooms)
        assert bob.rooms[room].name == "Tea"
        words = ["The kettle is on.", "On my way."]
        await asyncio.gather(hears(bob, room, words[0]), says(alice, room, words[0]))
        await asyncio.gather(hears(alice, room, words[1]), says(bob, room, words[1]))
        return room, words


async def find_again(
    url: str, person: Person, room: str, words: list[str], trust: ssl.SSLContext | None = None
) -> None:
    """Log in anew and find the room with what was said in it, by sync and by paging back."""
    async with logged_in(url, person, trust) as client:
        answer = await client.sync(timeout=0, full_state=True)
        assert isinstance(answer, SyncResponse), answer
        assert client.rooms[room].name == "Tea"
        messages = await client.room_messages(room, start=answer.next_batch, limit=50)
        assert isinstance(messages, RoomMessagesResponse), messages
        said = [event.body for event in messages.chunk if isinstance(event, RoomMessageText)]
        assert said == words[::-1]


async def says(client: AsyncClient, room: str, text: str) -> None:
    """Send a text."""
    answer = await client.room_send(room, "m.room.message", {"msgtype": "m.text", "body": text})
    assert isinstance(answer, RoomSendResponse), answer


async def hears(client: AsyncClient, room: str, text: str) -> None:
    """Sync with long polls until a text arrives."""
    heard: list[str] = []

    async def note(_: Any, event: RoomMessageText) -> None:
        heard.append(event.body)

    client.add_event_callback(note, RoomMessageText)  # type: ignore[arg-type]
    await until(client, lambda: text in heard)


async def until(client: AsyncClient, true: Any) -> None:
    """Sync with long polls until something holds."""

    async def turn() -> None:
        while not true():
            answer = await client.sync(timeout=10_000)
            assert isinstance(answer, SyncResponse), answer

    await asyncio.wait_for(turn(), PATIENCE)
