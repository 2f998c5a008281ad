"""What the ground costs that Hearth stands on: its listener and its writer, with nothing of Matrix in between.

Answers here are ready bytes, and a write is one row. What a line of the table costs more than the like of it here is
Hearth's own; what it costs here is Granian's, SQLite's and the kernel's, and no change of ours takes it away.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from litestar.types import Receive, Scope, Send

from appliance.server.addresses import parse_address
from appliance.server.answers import answer
from appliance.server.granian_server import GranianServer
from appliance.server.loop import new_loop
from appliance.server.plan import Listener, Reach
from appliance.server.request import read_body
from appliance.storage.database import Database
from tests.bench.client import Person
from tests.bench.figures import Figure
from tests.bench.process import Process

BODY_BYTES = 1 << 20
MODULE = "tests.bench.bare"
PLACE = "/_matrix/bare"


class Bare:
    """An application that answers ready bytes, writes rows, and lets requests wait for the next row.

    Args:
        database: where the rows go.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[asyncio.Future[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``GET /_matrix/bare/SIZE``, ``GET /_matrix/bare/wait/SIZE``, ``PUT /_matrix/bare``."""
        path = scope["path"].removeprefix(PLACE).strip("/")
        size = 2
        if cast("dict[str, str]", scope)["method"] == "PUT":
            body = await read_body(scope, receive, BODY_BYTES)
            await self._database.write(lambda tx: tx.execute("INSERT INTO bare (body) VALUES (?)", (body,)))
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.set_result(None)
        else:
            size = int(path.removeprefix("wait/")) if path else size
        if path.startswith("wait/"):
            one = asyncio.get_running_loop().create_future()
            self._waiting.append(one)
            await one
        await answer(b'"' + b"x" * (size - 2) + b'"')(scope, receive, send)


async def serve(data: Path, port: int) -> None:
    """Serve on loopback until the process is ended."""
    data.mkdir(parents=True, exist_ok=True)
    database = await Database.open(data / "hearth.db")
    await database.write(lambda tx: tx.execute("CREATE TABLE bare (nid INTEGER PRIMARY KEY, body BLOB)"))
    (bind,) = parse_address(f"127.0.0.1:{port}", "--http")
    server = GranianServer(
        Listener("http", bind, False, Reach.EVERYTHING),
        Bare(database),
        host=bind.host,
        port=bind.port,
        certificate=None,
        folder=data,
        most_connections=1000,
        header_timeout=30.0,
    )
    await server.start()
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


async def measure(folder: Path, count: int) -> list[Figure]:
    """What requests cost that ask for nothing but bytes, for a row, and to be woken.

    Args:
        folder: an empty one.
        count: how many are done of each.
    """
    server = Process(folder / "data")
    server.start(PLACE.encode() + b"/2", MODULE)
    person = Person(server.port)
    others = [Person(server.port) for _ in range(50)]
    try:
        figures = []
        for size in (400, 60_000, 175_000, 330_000):
            figures.append(await _cost(server, f"{size:,} bytes answered", count, _get(person, f"/{size}")))
        for size in (300, 5_000, 9_000):
            figures.append(await _cost(server, f"{size:,} bytes made a row", count, _put(person, size)))
        for waiting in (1, 50):
            cost = await _cost(server, f"each of {waiting} woken by a row", count // 5, _wake(person, others[:waiting]))
            figures.append(cost._replace(value=cost.value / waiting))
        return figures
    finally:
        for one in (person, *others):
            one.close()
        server.stop()


async def _cost(server: Process, name: str, count: int, act: Callable[[], Awaitable[object]]) -> Figure:
    """What one of many costs the server, of which the first few are not counted."""
    for _ in range(3):
        await act()
    begin = server.cpu
    for _ in range(count):
        await act()
    return Figure(f"bare: {name}, CPU", (server.cpu - begin) / count * 1000, "ms")


def _get(person: Person, path: str) -> Callable[[], Awaitable[object]]:
    return lambda: person.raw("GET", PLACE + path)


def _put(person: Person, size: int) -> Callable[[], Awaitable[object]]:
    return lambda: person.raw("PUT", PLACE, b"x" * size)


def _wake(person: Person, others: list[Person]) -> Callable[[], Awaitable[object]]:
    async def act() -> None:
        waiting = [asyncio.ensure_future(other.raw("GET", f"{PLACE}/wait/900")) for other in others]
        await asyncio.sleep(0.03)  # until all of them wait, and as long as clients are quiet
        await person.raw("PUT", PLACE, b"x" * 300)
        await asyncio.gather(*waiting)

    return act


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(Path(options["--data"]), int(options["--http"].rpartition(":")[2])))
