"""The names that rooms of this server go by."""

from appliance.storage import rooms as rows
from appliance.storage.database import Database


class Aliases:
    """Looks aliases up.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def room_of(self, alias: str) -> str | None:
        """The id of the room that a local alias leads to, None where it leads nowhere."""
        return rows.room_of_alias(self._database, alias)
