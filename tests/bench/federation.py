"""Two servers on loopback, each a process of its own with TLS between them: joins, and how fast words arrive.

Both share the machine's cores with this client, as the goals mean it.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from appliance.app import Living, Owning
from appliance.rooms.acts.presets import CreateRoom
from appliance.rooms.graph.appending import Draft
from appliance.storage.database import Database
from tests.bench.client import PASSWORD, PREFIX, Person
from tests.bench.figures import Figure
from tests.support.network import Network

ONE, TWO = "one.bench", "two.bench"
AT_ONCE = 100
"""Events of state that are committed together when a large room is made."""
TEXT = "The kettle is on, and there is cake for everybody who comes in time. " * 3
PAST = 500


async def measure(folder: Path, events: tuple[int, int], rounds: int) -> list[Figure]:
    """Joins of two rooms, delivery, a burst, and the past.

    Args:
        folder: an empty one.
        events: how many events of state the two rooms have.
        rounds: how many messages are sent one at a time.
    """
    with Network(folder) as network:
        one, two = network.hearth(ONE, start=False), network.hearth(TWO)
        rooms = await furnished(one.folder, (0, *events))
        await asyncio.to_thread(one.start)
        alice = await Person.login(one.http, "alice")
        bob = await Person.register(two.http, "bob")
        figures = []
        # The first join of all loads what talks with others, finds the other server, and fetches its keys.
        for room, number, goal in zip(rooms, (0, *events), (None, 0.146, 15.0), strict=True):
            begin = time.perf_counter()
            await join(bob, room)
            name = f"join elsewhere, {number} events of state" if number else "first join elsewhere after a start"
            figures.append(Figure(name, time.perf_counter() - begin, "s", goal))
        room = await alice.create_room()
        await join(bob, room)
        await bob.sync()
        times = [await delivered(alice, bob, room, f"word {number} of it") for number in range(rounds)]
        figures.append(Figure("delivery elsewhere, p50", statistics.median(times) * 1000, "ms", 16))
        figures.append(Figure("delivery elsewhere, longest", max(times) * 1000, "ms"))
        figures += await past(alice, bob, min(PAST, 10 * rounds))
        for person in (alice, bob):
            person.close()
        return figures


async def furnished(folder: Path, events: Sequence[int]) -> list[str]:
    """Rooms of Alice's with so many events of state each, on a server that does not run: by its services and without
    its listeners, which takes a tenth of the time.
    """
    database = await Database.open(folder / "hearth.db")
    owning = Owning(database, folder)
    try:
        living = Living(owning)
        alice = await owning.accounts.create("alice", PASSWORD)
        rooms = []
        for count in events:
            room = await living.acts.creation.create(alice, CreateRoom(preset="public_chat"))
            for start in range(0, count, AT_ONCE):
                numbers = range(start, min(count, start + AT_ONCE))
                await living.acts.appender.append(room, lambda draft, numbers=numbers: put(draft, alice, numbers))  # type: ignore[misc]
            rooms.append(room)
        return rooms
    finally:
        await owning.close()


def put(draft: Draft, sender: str, numbers: range) -> None:
    """Put events of state onto the end of a room."""
    for number in numbers:
        draft.add("bench.thing", sender, {"is": number}, str(number))


async def join(person: Person, room: str) -> None:
    """Join a room of the other server."""
    await person.call("POST", f"{PREFIX}/join/{quote(room)}?via={ONE}", {})


async def delivered(sender: Person, reader: Person, room: str, text: str) -> float:
    """Seconds from sending a message to its end in the sync of somebody elsewhere, who waits for it."""

    async def wait() -> None:
        while text.encode() not in await reader.sync(timeout_ms=30_000):
            pass

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0.05)
    begin = time.perf_counter()
    await sender.send(room, text)
    await asyncio.wait_for(waiting, 60)
    return time.perf_counter() - begin


async def past(sender: Person, reader: Person, count: int) -> list[Figure]:
    """How long it takes to read what was said before one came, from the other server."""
    room = await sender.create_room()
    for number in range(count):
        await sender.send(room, f"{number} {TEXT}")
    await join(reader, room)
    begin = time.perf_counter()
    found, page = 0, ""
    while found < count:
        query = f"dir=b&limit=100{f'&from={page}' if page else ''}"
        answer = await reader.call("GET", f"{PREFIX}/rooms/{quote(room)}/messages?{query}")
        found += sum(event["type"] == "m.room.message" for event in answer["chunk"])
        page = answer.get("end", "")
        if not page:
            break
    assert found == count, f"{found} of {count} messages came"
    return [Figure(f"the past of {count} messages", (time.perf_counter() - begin) * 1000, "ms")]
