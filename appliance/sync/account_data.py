"""What a sync tells of account data: what was written since, and at first the rules for notifications too."""

from collections.abc import Iterator, Sequence

from appliance.accounts.account_data import DELETED, PUSH_RULES, push_rules_content
from appliance.storage.account_data import AccountDatum, account_data_between, in_room
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
        first = after is None
        after = after or 0
        last = self._last.get(user_id)
        found = () if last is not None and last <= after else self._read(user_id, after, upto)
        if first and not any(datum.type == PUSH_RULES for datum in found):
            yield "", PUSH_RULES, push_rules_content(user_id, None)
        for datum in found:
            if first and datum.content == DELETED:
                continue
            content = datum.content.encode()
            if datum.type == PUSH_RULES and not datum.room_id:
                content = push_rules_content(user_id, datum.content)
            yield datum.room_id, datum.type, content
        if last is None:
            # Nothing newer than this is published; what is published from now on is noted.
            self._last.put(user_id, upto)

    def of_room(self, user_id: str, room_id: str, upto: int) -> Iterator[tuple[str, bytes]]:
        """(type, content as JSON) of all that is kept about one room."""
        for datum in in_room(self._database, user_id, room_id, 0, upto):
            if datum.content != DELETED:
                yield datum.type, datum.content.encode()

    def _read(self, user_id: str, after: int, upto: int) -> Sequence[AccountDatum]:
        return account_data_between(self._database, user_id, after, upto)
