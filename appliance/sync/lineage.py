"""Whether a token is of a time that the database knows.

After a restored backup clients come with tokens of a time that never was, as far as the server knows. Their positions
are given again, for other things: whoever is taken at their word there misses what came since the backup, and
acknowledges messages that they never had. So a token names the run of the server that made it, and the database knows
where each run began: no token of a run can name a position beyond the beginning of the next.
"""

import logging

from appliance.rooms.signs.serial import Serial
from appliance.storage import runs as rows
from appliance.storage.database import Database
from appliance.storage.errors import StorageError

log = logging.getLogger("hearth.sync")

KEPT = 1_000
"""Runs that are known. A token from before them is taken at its word."""


class Lineage:
    """Knows the runs of the server.

    Args:
        database: where they are.
        serial: has the number of this one.
    """

    def __init__(self, database: Database, serial: Serial) -> None:
        self._database = database
        self._serial = serial
        found = rows.runs(database)
        position = database.position
        ends = [began for _, began in found[1:]] + [position]
        self._ends = {boot: end for (boot, _), end in zip(found, ends, strict=True)} if found else {}
        self._first = found[0][1] if found else position

    async def begin(self) -> None:
        """Let this run be known, before any token of it is given out. Where that cannot be stored, as the disk is full,
        those who have its tokens begin anew after the next start.
        """
        boot, position = self._serial.boot, self._database.position
        try:
            await self._database.write(lambda tx: rows.begin(tx, boot, position, KEPT))
        except StorageError as error:
            log.warning("That the server started could not be noted: %s", error)

    def knows(self, boot: int, position: int) -> bool:
        """Whether what a token says is true here.

        Args:
            boot: the run that made it.
            position: up to where its holder was told everything.
        """
        if boot == self._serial.boot:
            return position <= self._database.position
        return position <= self._ends.get(boot, self._first)
