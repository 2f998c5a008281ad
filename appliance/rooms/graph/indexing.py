"""The index of words follows the events: in batches, since one after the other costs several times as much; a
contributor.

Nothing is lost by a kill: the database holds a mark of how far the index has come. Whoever searches waits until it has
come to the end.
"""

import asyncio
import logging

from appliance.protocol.events import Event
from appliance.protocol.wording import TYPES, words_of
from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage import search as rows
from appliance.storage.database import Database
from appliance.storage.errors import StorageClosed, StorageError

log = logging.getLogger("hearth.rooms")


class Index:
    """Keeps the index of words.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._behind = 0
        self._following: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Bring the index to the end of what is published now."""
        before = self._following
        if before is not None and not before.done():
            # It may have looked for the last time before what was published since.
            await asyncio.wait((before,))
        if self._following is before or self._following is None:
            self._behind = 0
            self._following = asyncio.ensure_future(self._follow())
        await asyncio.shield(self._following)

    async def _follow(self) -> None:
        while await self._database.write(rows.follow) >= rows.AT_A_TIME:
            pass

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: the mark says what is not in the index."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Let the index follow, once there is enough."""
        if step.event.type not in TYPES:
            return
        self._behind += 1
        if self._behind >= rows.AT_A_TIME and (self._following is None or self._following.done()):
            self._behind = 0
            self._following = asyncio.ensure_future(self._follow())
            self._following.add_done_callback(_report)

    def emptied(self, step: Step, nid: int, event: Event) -> Statement | None:
        """Take out of the index what a redaction empties; called while the redaction is prepared."""
        if words_of(event.type, event.content) is None:
            return None
        return lambda tx, position: rows.take_out(tx, (nid,))


def _report(done: "asyncio.Task[None]") -> None:
    error = None if done.cancelled() else done.exception()
    if isinstance(error, StorageError) and not isinstance(error, StorageClosed):
        # Whoever searches next tries again, and is told.
        log.warning("The index of words could not follow: %s", error)
