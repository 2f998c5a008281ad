"""Filters that clients keep on the server and name by a number when they sync.

Client-server API, "Filtering". A filter's shape is checked when it is kept, so that whoever applies it can trust it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import orjson

from appliance.errors import bad_json, not_found, too_large
from appliance.protocol import canonical
from appliance.protocol.filters import Filter, read_filter
from appliance.protocol.identifiers import is_room_id, is_user_id
from appliance.storage import filters
from appliance.storage.database import Database
from appliance.storage.lru import SizedLru

MAX_FILTER_BYTES = 64 * 1024
MAX_FILTERS = 1000
"""Filters kept for one user; the oldest are dropped beyond that."""
KEPT_BYTES, LONGEST_KEPT = 4 * 1024 * 1024, 64 * 1024
"""Bytes of the filters that are kept parsed, about, and how long the text of one may be."""
_BESIDE, _OBJECTS = 1_000, 12
"""What a filter takes, and how many times its text what is made of it."""
_MAX_NUMBER = 2**63 - 1


def check_filter(value: dict[str, Any]) -> Filter:
    """A filter as sync reads it, if it can be kept.

    Raises:
        MatrixError: ``M_BAD_JSON`` with what is wrong: a field of the wrong type, or a room or user id that is none.
    """
    try:
        parsed = read_filter(value)
    except ValueError as error:
        raise bad_json(f"This filter cannot be used: {error}") from error
    room = parsed.room
    events = (room.timeline, room.state, room.ephemeral, room.account_data)
    _check_ids("rooms", is_room_id, [ids for part in (room, *events) for ids in (part.rooms, part.not_rooms)])
    by_sender = (parsed.presence, parsed.account_data, *events)
    _check_ids("senders", is_user_id, [ids for part in by_sender for ids in (part.senders, part.not_senders)])
    return parsed


def _check_ids(name: str, grammar: Callable[[str], bool], lists: Iterable[list[str] | None]) -> None:
    for ids in lists:
        for entry in ids or ():
            if not grammar(entry):
                raise bad_json(f"This filter cannot be used: {entry} has no place among {name}.")


class Filters:
    """The filters of this server's users.

    Args:
        database: hearth.db.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parsed: SizedLru[tuple[str, str], Filter] = SizedLru(KEPT_BYTES)

    def parsed(self, user_id: str, text: str) -> Filter:
        """A filter as a request names it: by its id, or as JSON. Parsed once; a kept filter never changes.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``.
            ValueError: a sentence that says why the JSON is no filter.
        """
        key = ("" if text.startswith("{") else user_id, text)
        found = self._parsed.get(key)
        if found is None:
            json = text if text.startswith("{") else self._json(user_id, text)
            found = read_filter(orjson.loads(json))
            if len(json) <= LONGEST_KEPT:
                self._parsed.put(key, found, _BESIDE + _OBJECTS * len(json))
        return found

    async def keep(self, user_id: str, value: dict[str, Any]) -> str:
        """Keep a filter; answers its id, which equal filters of one user share.

        Raises:
            MatrixError: ``M_BAD_JSON`` as ``check_filter``, 413 ``M_TOO_LARGE`` above 64 KiB.
        """
        check_filter(value)
        encoded = canonical.encode(value)
        if len(encoded) > MAX_FILTER_BYTES:
            raise too_large("A filter may have at most 64 KiB.")
        text = encoded.decode()
        return str(await self._database.write(lambda tx: filters.keep_filter(tx, user_id, text, MAX_FILTERS)))

    def get(self, user_id: str, filter_id: str) -> dict[str, Any]:
        """A filter as it was kept.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``.
        """
        value: dict[str, Any] = msgspec.json.decode(self._json(user_id, filter_id))
        return value

    def _json(self, user_id: str, filter_id: str) -> str:
        known = filter_id.isascii() and filter_id.isdigit() and len(filter_id) < len(str(_MAX_NUMBER))
        json = filters.find_filter(self._database, user_id, int(filter_id)) if known else None
        if json is None:
            raise not_found("There is no such filter.")
        return json
