"""What users keep about their rooms and lists are filtered by: direct chats, tags."""

from typing import Any

import orjson
from msgspec import Struct

from appliance.storage.account_data import find_account_data, of_type
from appliance.storage.database import Database
from appliance.storage.lru import Lru

USERS_KEPT = 300
DIRECT, TAG = "m.direct", "m.tag"


class Own(Struct, frozen=True):
    """What a user keeps.

    Args:
        direct: the ids of the rooms that are direct chats.
        tags: the tags of each tagged room, by its id.
    """

    direct: frozenset[str]
    tags: dict[str, frozenset[str]]


class OwnData:
    """Reads it, and keeps it while it does not change.

    Args:
        database: where account data is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: Lru[str, Own] = Lru(USERS_KEPT)

    def note(self, user_id: str, position: int) -> None:
        """Read a user's anew when next asked: some of their account data changed."""
        self._kept.drop(user_id)

    def of(self, user_id: str) -> Own:
        """What a user keeps now."""
        own = self._kept.get(user_id)
        if own is None:
            own = Own(self._direct(user_id), self._tags(user_id))
            self._kept.put(user_id, own)
        return own

    def _direct(self, user_id: str) -> frozenset[str]:
        content = _object(find_account_data(self._database, user_id, "", DIRECT))
        rooms = [room for named in content.values() if isinstance(named, list) for room in named]
        return frozenset(room for room in rooms if isinstance(room, str))

    def _tags(self, user_id: str) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for room_id, content in of_type(self._database, user_id, TAG):
            tags = _object(content).get("tags")
            if isinstance(tags, dict) and tags:
                found[room_id] = frozenset(tags)
        return found


def _object(content: str | None) -> dict[str, Any]:
    read = orjson.loads(content) if content else {}
    return read if isinstance(read, dict) else {}
