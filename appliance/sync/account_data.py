"""What a sync tells of account data: what was written since, and at first the rules for notifications too."""

from collections.abc import Iterator

import orjson

from appliance.protocol.push_rules import default_rules
from appliance.storage.account_data import account_data_between
from appliance.storage.database import Database
from appliance.storage.lru import Lru

USERS_KEPT = 1_000
"""Users of whom it is known when their account data last changed, so that most syncs need not ask."""


class AccountDataStream:
    """Reads account data in the order of the stream.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: Lru[str, int] = Lru(USERS_KEPT)

    def note(self, user_id: str, position: int) -> None:
        """Take note of a change that was just published."""
        self._last.put(user_id, position)

    def between(self, user_id: str, after: int | None, upto: int) -> Iterator[tuple[str, str, bytes]]:
        """(room id, type, content as JSON) of what was last written in ``after < position <= upto``.

        With ``after`` None that is everything, and the rules for notifications come first: they hold from the start
        without having been written.
        """
        if after is None:
            after = 0
            yield "", "m.push_rules", orjson.dumps({"global": default_rules(user_id)})
        last = self._last.get(user_id)
        if last is not None and last <= after:
            return
        for datum in account_data_between(self._database, user_id, after, upto):
            yield datum.room_id, datum.type, datum.content.encode()
        if last is None:
            # Nothing newer than this is published; what is published from now on is noted.
            self._last.put(user_id, upto)
