"""Taking users whose accounts have ended out of all their rooms; a kill in between is made good at the next start."""

import asyncio
import logging

from appliance.errors import MatrixError
from appliance.later import Later
from appliance.rooms.acts.membership import Membership
from appliance.storage.database import Database
from appliance.storage.memberships import left_behind

log = logging.getLogger("hearth.rooms")

AGAIN_SECONDS = 60.0
"""Until it is tried again, where something of this server failed, such as its disk."""


class Departures:
    """Leaves rooms for those who cannot any more.

    Args:
        database: who is left behind where.
        membership: leaves.
    """

    def __init__(self, database: Database, membership: Membership) -> None:
        self._database = database
        self._membership = membership
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._later = Later(AGAIN_SECONDS, self.look)

    def look(self) -> None:
        """Look for users left behind, in the background: at start, and when an account has ended."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="departures")

    async def settled(self) -> None:
        """Wait until the present look is over, after which there is no further one."""
        self._later.cancel()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while self._again:
            self._again = False
            for user_id, room_id in left_behind(self._database):
                try:
                    await self._membership.leave(user_id, room_id)
                except MatrixError as refusal:
                    log.warning("An ended account could not leave a room: %s", refusal.message)
                except Exception:
                    log.exception("An ended account could not leave a room yet.")
                    self._later.want()
