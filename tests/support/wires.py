"""Wires between servers that can be cut: a TCP relay in front of a listener, in a thread."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

PIECE = 64 * 1024


class Wire:
    """One relay.

    Args:
        port: where it leads, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.leads_to = port
        self.port = 0
        """Where it listens."""
        self.down = False
        self.streams: set[asyncio.StreamWriter] = set()
        self.budget: int | None = None
        """How many bytes still pass before everything is cut; None for all."""

    async def serve(self) -> None:
        """Listen."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Cut every stream there is."""
        for writer in list(self.streams):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.streams.add(writer)
        far: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError):
            if not self.down:
                back, far = await asyncio.open_connection("127.0.0.1", self.leads_to)
                self.streams.add(far)
                await asyncio.gather(self._pass(reader, far), self._pass(back, writer))
        for one in filter(None, (writer, far)):
            self.streams.discard(one)
            one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            if self.budget is not None:
                piece = piece[: self.budget]
                self.budget -= len(piece)
            writer.write(piece)
            await writer.drain()
            if self.budget == 0:
                self.budget = None
                self.cut()
        with contextlib.suppress(OSError):
            writer.write_eof()


class Wires:
    """The relays; use it as a context manager.

    Args:
        seed: of what is drawn by lot.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def lay(self, port: int) -> Wire:
        """A wire to a port; answers it with the port at which it begins."""
        wire = Wire(port)
        self._do(wire.serve())
        return wire

    def cut(self, wire: Wire) -> None:
        """Cut all streams of a wire now; new ones can be made."""
        self._call(wire.cut)

    def cut_midway(self, wire: Wire) -> None:
        """Cut all streams of a wire after a few more bytes."""
        wire.budget = self._random.randrange(1, 20_000)

    def take_down(self, wire: Wire) -> None:
        """Cut all streams, and let nothing through."""
        wire.down = True
        self.cut(wire)

    def put_up(self, wire: Wire) -> None:
        """Let everything through."""
        wire.down, wire.budget = False, None

    def _call(self, call: Any) -> None:
        async def called() -> None:
            call()

        self._do(called())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()
