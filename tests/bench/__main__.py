"""Prints a table of figures beside their goals: ``just bench``, on a machine that does nothing else meanwhile.

The load comes from this process and shares the machine's cores with the server. With ``--quick`` it is only a look
whether all of it works.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from tests.bench import accepting, bare, federation, memory, resolution, states, syncing
from tests.bench.client import Person
from tests.bench.figures import Figure
from tests.bench.process import Process

TEXT = "The kettle is on, and there is cake for everybody who comes in time. " * 3


class Sizes(NamedTuple):
    """How much of everything."""

    sends: int
    rounds: int
    restarts: int
    members: int
    conflicts: tuple[int, int, int]
    events: int
    rooms: int
    joined: tuple[int, int]
    seen: tuple[int, int]
    local: int
    elsewhere: tuple[int, int]
    waiting: int


FULL = Sizes(
    sends=4000, rounds=40, restarts=5, members=10_000, conflicts=(10, 1000, 9000), events=1000, rooms=100,
    joined=(10, 1000), seen=(100, 100_000), local=1000, elsewhere=(500, 10_000), waiting=200,
)  # fmt: skip
QUICK = Sizes(
    sends=100, rounds=3, restarts=1, members=30, conflicts=(3, 10, 25), events=20, rooms=3,
    joined=(2, 4), seen=(10, 50), local=5, elsewhere=(5, 30), waiting=60,
)  # fmt: skip


async def sending(server: Process, name: str, people: list[Person], rooms: list[str], sends: int) -> list[Figure]:
    """Everybody sends one message after the other; the first tenth is not counted.

    Args:
        server: whose CPU is counted.
        name: how the lines begin.
        people: the senders.
        rooms: the room of each.
        sends: how many messages in all.
    """
    times: list[float] = []

    async def talk(person: Person, room: str, count: int) -> None:
        for _ in range(count):
            begin = time.perf_counter()
            await person.send(room, TEXT)
            times.append(time.perf_counter() - begin)

    async def everybody(count: int) -> None:
        await asyncio.gather(*(talk(person, room, count) for person, room in zip(people, rooms, strict=True)))

    await everybody(max(1, sends // len(people) // 10))
    times.clear()
    cpu, driver, begin = server.cpu, time.process_time(), time.perf_counter()
    await everybody(sends // len(people))
    wall, cpu, driver = time.perf_counter() - begin, server.cpu - cpu, time.process_time() - driver
    alone = len(people) == 1
    figures = [
        Figure(f"{name}: rate", len(times) / wall, "sends/s", None if alone else 1000),
        Figure(f"{name}: server's CPU a send", cpu / len(times) * 1000, "ms", 1),
        Figure(f"{name}: this client's CPU a send", driver / len(times) * 1000, "ms"),
    ]
    if alone:
        figures.append(Figure(f"{name}: p50", statistics.median(times) * 1000, "ms", 4))
        figures.append(Figure(f"{name}: p99", statistics.quantiles(times, n=100)[98] * 1000, "ms"))
    return figures


async def waking(
    server: Process, name: str, sender: Person, room: str, waiters: list[Person], rounds: int
) -> list[Figure]:
    """One message at a time, while others wait in a sync: from its sending to the end of the first and last answer."""
    firsts, lasts = [], []

    async def wait(person: Person, mark: bytes) -> float:
        while mark not in await person.sync(timeout_ms=30000):
            pass
        return time.perf_counter()

    for person in waiters:
        await person.sync()
    cpu = server.cpu
    for number in range(rounds):
        mark = f"round {number} of {name}"
        waiting = [asyncio.ensure_future(wait(person, mark.encode())) for person in waiters]
        await asyncio.sleep(0.1)  # until all of them wait on the server
        begin = time.perf_counter()
        await sender.send(room, mark)
        ends = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        firsts.append(min(ends) - begin)
        lasts.append(max(ends) - begin)
    figures = [Figure(f"{name}: last woken, p50", statistics.median(lasts) * 1000, "ms", 25)]
    if len(waiters) > 1:
        figures.insert(0, Figure(f"{name}: first woken, p50", statistics.median(firsts) * 1000, "ms"))
        figures.append(Figure(f"{name}: server's CPU a sync", (server.cpu - cpu) / rounds / len(waiters) * 1000, "ms"))
    return figures


async def load(server: Process, sizes: Sizes) -> list[Figure]:
    """All that is measured on a running server that was just started."""
    figures = [Figure("memory after the start (RSS)", server.resident, "MiB")]
    people = [await Person.register(server.port, "person0")]
    room = await people[0].create_room()
    await people[0].sync()
    figures.append(Figure("memory after the first sync (RSS)", server.resident, "MiB", 90))
    people += [await Person.register(server.port, f"person{number}") for number in range(1, sizes.waiting + 1)]
    for person in people[1:]:
        await person.join(room)
    rooms = [await person.create_room() for person in people[:20]]

    figures += await sending(server, "1 sender", people[:1], [room], sizes.sends // 2)
    figures += await sending(server, "20 senders, one room", people[:20], [room] * 20, sizes.sends)
    figures += await sending(server, "20 senders, a room each", people[:20], rooms, sizes.sends)
    sender = people[0].another()
    figures += await waking(server, "1 waiting sync", sender, room, people[1:2], sizes.rounds)
    for count in (50, sizes.waiting):
        figures += await waking(server, f"{count} waiting syncs", sender, room, people[1 : count + 1], sizes.rounds)
    figures.append(Figure("memory at the end (RSS)", server.resident, "MiB"))
    for person in [*people, sender]:
        person.close()
    return figures


def starting(server: Process, sizes: Sizes) -> list[Figure]:
    """Starts on the data that the load left behind."""
    figures = []
    for name, module in (("existing data", "appliance.cli"), ("300 routes", "tests.bench.many_routes")):
        times = []
        for _ in range(sizes.restarts):
            times.append(server.start(b"/_matrix/client/versions", module))
            server.stop()
        figures.append(Figure(f"start to first answer, {name}, p50", statistics.median(times), "s", 1))
    return figures


def measure(sizes: Sizes) -> list[Figure]:
    """Everything, on a server of its own in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        server = Process(Path(folder) / "data")
        try:
            server.start(b"/health")  # so that no module has to be compiled any more
            server.stop()
            (Path(folder) / "data").rename(Path(folder) / "warm")
            figures = [Figure("start to first answer, empty folder", server.start(b"/health"), "s", 1)]
            server.stop()
            server.set_up()
            server.start(b"/_matrix/client/versions")
            figures += uvloop.run(load(server, sizes))
            server.stop()
            figures += starting(server, sizes)
        finally:
            server.stop()
    return figures + in_folders_of_their_own(sizes)


def in_folders_of_their_own(sizes: Sizes) -> list[Figure]:
    """What rooms that many servers share cost, and syncs, measured without listeners; then two servers with them."""
    works: list[Callable[[Path], Coroutine[Any, Any, list[Figure]]]] = [
        lambda folder: resolution.measure(folder, sizes.members, sizes.conflicts, sizes.restarts),
        lambda folder: accepting.measure(folder, sizes.events),
        lambda folder: memory.measure(folder, sizes.rooms, sizes.members // 10),
        lambda folder: states.measure(folder, sizes.members, 2 * sizes.members),
        lambda folder: syncing.measure(folder, sizes.joined, sizes.seen, sizes.local),
        lambda folder: federation.measure(folder, sizes.elsewhere, sizes.rounds),
        lambda folder: bare.measure(folder, 10 * sizes.rounds),
    ]
    figures: list[Figure] = []
    for work in works:
        with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
            figures += uvloop.run(work(Path(folder)))
    return figures


def alone(part: str, sizes: Sizes) -> list[Figure]:
    """What is measured of one part."""
    parts: dict[str, Callable[[Path], Coroutine[Any, Any, list[Figure]]]] = {
        "bare": lambda folder: bare.measure(folder, 10 * sizes.rounds),
        "federation": lambda folder: federation.measure(folder, sizes.elsewhere, sizes.rounds),
        "syncing": lambda folder: syncing.measure(folder, sizes.joined, sizes.seen, sizes.local),
    }
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        return uvloop.run(parts[part](Path(folder)))


def table(figures: list[Figure]) -> str:
    """The figures as text, one a line."""
    lines = [f"{'':44} {'measured':>16}   {'goal':>16}"]
    for figure in figures:
        goal = "" if figure.goal is None else f"{'≥' if figure.is_rate else '≤'} {figure.goal:g} {figure.unit}"
        value = f"{figure.value:.0f}" if figure.is_rate else f"{figure.value:.2f}"
        lines.append(f"{figure.name:44} {value + ' ' + figure.unit:>16}   {goal:>16}   {figure.verdict}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Measure and print; the exit code does not depend on the figures."""
    parser = argparse.ArgumentParser(prog="just bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["bare", "federation", "syncing"], help="only a part of it")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it works, not how fast it is")
    parser.add_argument("--json", type=Path, help="a file to keep the figures in")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}", flush=True
    )
    sizes = QUICK if options.quick else FULL
    figures = alone(options.part, sizes) if options.part else measure(sizes)
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps([figure._asdict() for figure in figures], indent=1) + "\n")


if __name__ == "__main__":
    main()
