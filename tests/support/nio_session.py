"""A day with a real client library (matrix-nio): a space with rooms, threads, edits, reactions, receipts, leaving.

Each person's client syncs by long polling and looks at what the library made of it.
"""

from typing import Any

from nio import (
    AsyncClient,
    MessageDirection,
    RoomContextResponse,
    RoomForgetResponse,
    RoomGetStateError,
    RoomMessageText,
    RoomPreset,
    SpaceGetHierarchyResponse,
    SyncResponse,
    UpdateReceiptMarkerResponse,
)
from nio.api import ReceiptType, RelationshipType

from tests.support.nio_chat import Person, logged_in, until


async def session(url: str, first: Person, second: Person) -> None:
    """Live it.

    Args:
        url: the server's base address.
        first: who makes the rooms.
        second: who comes.
    """
    async with logged_in(url, first) as alice, logged_in(url, second) as bob:
        for client in (alice, bob):
            assert isinstance(await client.sync(timeout=0), SyncResponse)
        space, tea = await _house(alice)
        await _visit(bob, space, tea)
        said = await _talk(alice, bob, tea)
        await _change(alice, bob, tea, said)
        await _read(alice, bob, tea)
        await _go(alice, bob, tea)


async def _house(alice: AsyncClient) -> tuple[str, str]:
    """A space with a room."""
    space = await _made(alice.room_create(name="House", space=True, preset=RoomPreset.public_chat))
    tea = await _made(alice.room_create(name="Tea", topic="At five", preset=RoomPreset.public_chat))
    await _made(alice.room_put_state(space, "m.space.child", {"via": ["hearth.example"]}, tea), "event_id")
    await until(alice, lambda: space in alice.rooms and tea in alice.rooms)
    assert alice.rooms[space].room_type == "m.space"
    return space, tea


async def _visit(bob: AsyncClient, space: str, tea: str) -> None:
    """Find the room by the space, and join both."""
    await bob.join(space)
    tree = await bob.space_get_hierarchy(space)
    assert isinstance(tree, SpaceGetHierarchyResponse), tree
    assert [room["room_id"] for room in tree.rooms] == [space, tea]
    await bob.join(tea)
    await until(bob, lambda: space in bob.rooms and tea in bob.rooms)
    assert bob.rooms[space].children == {tea}
    assert bob.rooms[tea].topic == "At five"


async def _talk(alice: AsyncClient, bob: AsyncClient, room: str) -> str:
    """Say something, answer it in a thread; each hears the other."""
    heard = _ear(bob, room)
    said = await _say(alice, room, {"body": "The kettle is on."})
    await until(bob, lambda: said in heard)
    thread = {"rel_type": "m.thread", "event_id": said}
    heard_too = _ear(alice, room)
    answer = await _say(bob, room, {"body": "On my way.", "m.relates_to": thread})
    await until(alice, lambda: answer in heard_too)
    assert heard_too[answer]["content"]["m.relates_to"] == thread
    found = await _related(alice, room, said, RelationshipType.thread)
    assert found == [answer]
    return said


async def _change(alice: AsyncClient, bob: AsyncClient, room: str, said: str) -> None:
    """Edit, react, take something back; all of it can be asked for."""
    edit = await _say(
        alice, room,
        {
            "body": "* The kettle boils.",
            "m.new_content": {"msgtype": "m.text", "body": "The kettle boils."},
            "m.relates_to": {"rel_type": "m.replace", "event_id": said},
        },
    )  # fmt: skip
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "❤"}}
    heart = await _made(bob.room_send(room, "m.reaction", annotation), "event_id")
    assert await _related(bob, room, said, RelationshipType.replacement) == [edit]
    assert await _related(alice, room, said, RelationshipType.annotation) == [heart]
    await _made(bob.room_redact(room, heart, reason="a slip"), "event_id")
    assert await _related(alice, room, said, RelationshipType.annotation) == []
    context = await bob.room_context(room, said)
    assert isinstance(context, RoomContextResponse), context
    assert context.event.event_id == said
    assert context.event.source["content"]["body"] == "The kettle is on."  # an edited event keeps its content


async def _read(alice: AsyncClient, bob: AsyncClient, room: str) -> None:
    """Read it, in the main thread and in all; the other sees that."""
    heard = _ear(bob, room)
    last = await _say(alice, room, {"body": "Milk, Bob?", "m.mentions": {"user_ids": [bob.user_id]}})
    await until(bob, lambda: last in heard and bob.rooms[room].unread_highlights == 1)
    there = alice.rooms[room]
    answer = await bob.update_receipt_marker(room, last, ReceiptType.read, thread_id="main")
    assert isinstance(answer, UpdateReceiptMarkerResponse), answer
    await until(alice, lambda: "main" in there.threaded_read_receipts.get(bob.user_id, {}))
    await bob.room_read_markers(room, last, last)
    await until(alice, lambda: bob.user_id in there.read_receipts)
    assert there.read_receipts[bob.user_id].event_id == last
    await until(bob, lambda: bob.rooms[room].unread_highlights == 0)
    await until(bob, lambda: bob.rooms[room].fully_read_marker == last)


async def _go(alice: AsyncClient, bob: AsyncClient, room: str) -> None:
    """Leave and forget; the other sees that too."""
    await bob.room_leave(room)
    await until(alice, lambda: bob.user_id not in alice.rooms[room].users)
    forgotten = await bob.room_forget(room)
    assert isinstance(forgotten, RoomForgetResponse), forgotten
    refused = await bob.room_get_state(room)
    assert isinstance(refused, RoomGetStateError), refused
    assert refused.status_code == "M_FORBIDDEN"


def _ear(client: AsyncClient, room: str) -> dict[str, Any]:
    """The texts that a client hears in a room from now on, by event id."""
    heard: dict[str, Any] = {}

    async def note(where: Any, event: RoomMessageText) -> None:
        if where.room_id == room:
            heard[event.event_id] = event.source

    client.add_event_callback(note, RoomMessageText)  # type: ignore[arg-type]
    return heard


async def _say(client: AsyncClient, room: str, content: dict[str, Any]) -> str:
    return await _made(client.room_send(room, "m.room.message", {"msgtype": "m.text", **content}), "event_id")


async def _related(client: AsyncClient, room: str, event_id: str, kind: RelationshipType) -> list[str]:
    found = client.room_get_event_relations(room, event_id, kind, direction=MessageDirection.back)
    return [event.event_id async for event in found]


async def _made(asked: Any, name: str = "room_id") -> str:
    """The id in an answer that must be a success."""
    answer = await asked
    assert hasattr(answer, name), answer
    return str(getattr(answer, name))
