"""What has to be cleared away now and then, done in small pieces while nobody needs the writer.

Rooms that everybody left, states that nothing refers to, old rows, and at last the space that they leave. Each chore is
a row of slices, each a unit of some milliseconds; between any two of them the server must have been quiet for a moment.
A chore may be cut off between two slices and begins anew the next time: what is to be done is read from the database.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial

from appliance.rooms.upkeep.purging import Purging
from appliance.storage import pruning, state
from appliance.storage.database import Database
from appliance.storage.errors import StorageError

log = logging.getLogger("hearth.rooms")

EVERY_S = 3600.0
FIRST_S = 120.0
"""How long after its start a server has other things to do."""
MOMENT_S = 0.1
BUSY_COMMITS = 2
LATE_S = 0.02
"""A server is quiet when in such a moment it committed no more than this, and its loop came back no later than this."""
PATIENCE_S = 30.0
"""A server that is never quiet has a slice cleared away as often as this, or its disk would fill."""
SPARE_PAGES, SPARE_SHARE = 512, 50
"""Empty pages that a file may keep for what comes next: two megabytes, or a fiftieth of it."""
PAGES = 64
"""Pages that one unit gives back."""

Chore = Callable[[], AsyncIterator[None]]


class Quiet:
    """Waits for quiet moments.

    Args:
        database: its commits say how busy the server is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> None:
        """Wait until the server was quiet for a moment, or for as long as patience lasts."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while loop.time() < until:
            commits, start = self._database.commits, loop.time()
            await asyncio.sleep(MOMENT_S)
            late = loop.time() - start - MOMENT_S
            if self._database.commits - commits <= BUSY_COMMITS and late <= LATE_S:
                return


class Housekeeping:
    """Does the chores every hour, and when asked.

    Args:
        database: what is to be kept clean.
        purging: takes rooms out.
        now_ms: the time, milliseconds since 1970.
        others: further chores: each takes a few rows away and answers how many, until there are none.
        originals_ms: how long the originals of redacted events are kept.
        quiet: waits between slices.
    """

    def __init__(
        self,
        database: Database,
        purging: Purging,
        now_ms: Callable[[], int],
        *,
        others: Sequence[Callable[[], Awaitable[int]]] = (),
        originals_ms: Callable[[], int] = lambda: pruning.REDACTED_ORIGINALS.keep_ms,
        quiet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._purging = purging
        self._now_ms = now_ms
        self.others = list(others)
        self._originals_ms = originals_ms
        self._quiet = quiet or Quiet(database)
        self._settled_group = 0
        self._now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first round comes a little later."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._live(), name="housekeeping")

    def look(self) -> None:
        """Do a round soon: something was left behind."""
        self._now.set()

    async def stop(self) -> None:
        """Stop between two slices, at once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def round(self) -> None:
        """Do all chores once. One that fails keeps no other from being done.

        Raises:
            StorageError: the file or its disk failed.
        """
        for chore in (
            self._purging.marked_rooms,
            self._purging.left_rooms,
            self._purging.marked_rooms,
            self._purging.slots,
            self._states,
            self._old_rows,
            self._further,
            self._space,
        ):
            try:
                await self._do(chore)
            except StorageError:
                raise
            except Exception:
                log.exception("Some of what is not needed any more could not be cleared away.")

    async def _live(self) -> None:
        wait_s = FIRST_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):  # wait_for may lose a cancellation before Python 3.12
                    await self._now.wait()
            self._now.clear()
            wait_s = EVERY_S
            try:
                await self.round()
            except StorageError as error:
                log.warning("Clearing away what is not needed any more was put off: %s", error.message)
            except Exception:
                log.exception("Clearing away what is not needed any more failed.")

    async def _do(self, chore: Chore) -> None:
        async with aclosing(chore()) as slices:  # type: ignore[type-var]
            async for _ in slices:
                await self._quiet()

    async def _states(self) -> AsyncIterator[None]:
        """States that nothing refers to. Those that came since the last round are left: a unit that refers to one may
        still be on its way.
        """
        upto, self._settled_group = self._settled_group, state.highest_group(self._database)
        while upto and await self._database.write(lambda tx: state.drop_loose(tx, upto)):
            yield

    async def _old_rows(self) -> AsyncIterator[None]:
        """Rows that nothing can ask for any more."""
        for kind in pruning.KINDS:
            keep_ms = self._originals_ms() if kind is pruning.REDACTED_ORIGINALS else None
            while keys := await pruning.find(self._database, kind, self._now_ms(), keep_ms):
                await self._database.write(partial(pruning.drop, kind=kind, keys=keys))
                yield

    async def _further(self) -> AsyncIterator[None]:
        """What others have to clear away."""
        for chore in self.others:
            try:
                while await chore():
                    yield
            except StorageError:
                raise
            except Exception:
                log.exception("Some of what is not needed any more could not be cleared away.")

    async def _space(self) -> AsyncIterator[None]:
        """Empty pages, back to the disk."""
        while True:
            free, total = pruning.free_pages(self._database)
            if free <= max(SPARE_PAGES, total // SPARE_SHARE):
                return
            await self._database.write(lambda tx: pruning.give_back(tx, PAGES))
            yield
