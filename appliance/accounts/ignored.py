"""Whom somebody ignores (client-server API, module "Ignoring users")."""

from itertools import islice

import orjson

from appliance.storage.account_data import find_account_data
from appliance.storage.database import Database
from appliance.storage.lru import Lru

IGNORED_USERS = "m.ignored_user_list"
USERS_KEPT = 1_000
MOST_IGNORED = 5_000
"""Users of a list that are looked at: each count of what is unread asks for all of them."""


class Ignored:
    """Knows whom each user ignores, out of their account data.

    Args:
        database: where that is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lists: Lru[str, frozenset[str]] = Lru(USERS_KEPT)

    def of(self, user_id: str) -> frozenset[str]:
        """The ids of those whom a user ignores; nobody ignores themselves."""
        found = self._lists.get(user_id)
        if found is None:
            found = self._read(user_id)
            self._lists.put(user_id, found)
        return found

    def changed(self, user_id: str, position: int) -> None:
        """Read a user's list anew when next asked: some account data of theirs changed."""
        self._lists.drop(user_id)

    def _read(self, user_id: str) -> frozenset[str]:
        text = find_account_data(self._database, user_id, "", IGNORED_USERS)
        named = orjson.loads(text).get("ignored_users") if text else None
        return frozenset(islice(named, MOST_IGNORED) if isinstance(named, dict) else ()) - {user_id}
