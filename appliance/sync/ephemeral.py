"""What a sync tells of a room that is neither timeline nor state: receipts, and who is typing.

Receipts are told as what changed since the token; whoever is told of a room anew is told all that there are. Of typing
the whole list is told when it changed. A sync asks the database only for rooms whose receipts changed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import orjson
from msgspec import Struct

from appliance.protocol.filters import RoomEventRule
from appliance.rooms.room import Room
from appliance.rooms.signs.serial import Serial
from appliance.rooms.signs.typing import Typing
from appliance.storage.database import Database
from appliance.storage.receipts import Receipt, last_receipts, receipts_between
from appliance.storage.tokens import SyncToken

RECEIPT, TYPING = "m.receipt", "m.typing"


class News(Struct, frozen=True):
    """What there may be to tell at one moment.

    Args:
        receipts: the ids of the rooms with receipts since the token, if the filter wants any.
        read: those rooms, whether or not it does: what is unread may have changed.
        typing: who is typing, by room, where that changed since the token.
        now: who is typing, by room, where somebody is.
        boot: the number of the server's run, for the next token.
        serial: the number of the last change in memory, for the next token.
    """

    receipts: AbstractSet[str]
    read: AbstractSet[str]
    typing: dict[str, list[str]]
    now: dict[str, list[str]]
    boot: int
    serial: int

    def __contains__(self, room_id: str) -> bool:
        """Whether there may be something to tell of a room."""
        return room_id in self.read or room_id in self.typing


class Ephemeral:
    """Tells receipts and typing.

    Args:
        database: where receipts are.
        typing: who is typing.
        serial: the number of the last change in memory.
    """

    def __init__(self, database: Database, typing: Typing, serial: Serial) -> None:
        self._serial = serial
        self._database = database
        self._typing = typing
        self._last: OrderedDict[str, int] = OrderedDict(last_receipts(database))
        """The position of each room's last receipt, the latest at the end."""

    def note(self, receipt: Receipt, room: Room, position: int) -> None:
        """Take note of a receipt that was just published."""
        self._last[receipt.room_id] = position
        self._last.move_to_end(receipt.room_id)

    def last_receipt(self, room_id: str) -> int:
        """The position of a room's last receipt; 0 for none."""
        return self._last.get(room_id, 0)

    def news(self, since: SyncToken | None, rule: RoomEventRule) -> News:
        """What there may be to tell after a token, or without one, of what a filter wants."""
        read: set[str] = set()
        if since is not None:
            for room_id, position in reversed(self._last.items()):
                if position <= since.position:
                    break
                read.add(room_id)
        receipts = read if rule.allows(RECEIPT, None) else frozenset[str]()
        now: dict[str, list[str]] = {}
        typing: dict[str, list[str]] = {}
        if rule.allows(TYPING, None):
            now = self._typing.now()
            typing = now if since is None else self._typing.since(since.boot, since.serial)
        return News(receipts, read, typing, now, self._serial.boot, self._serial.value)

    async def events(
        self, news: News, room_id: str, user_id: str, after: int | None, upto: int, rule: RoomEventRule
    ) -> list[dict[str, Any]]:
        """The ephemeral events of a room that a user is in.

        Args:
            news: what was found for the sync.
            room_id: the room.
            user_id: who asks.
            after: up to which position the client knows the room; None where it knows nothing of it.
            upto: the last position that counts.
            rule: the filter.
        """
        if not rule.allows_room(room_id):
            return []
        found: list[dict[str, Any]] = []
        users = news.now.get(room_id) if after is None else news.typing.get(room_id)
        if users is not None:
            found.append({"type": TYPING, "content": {"user_ids": users}})
        receipts: Sequence[Receipt] = ()
        if after is not None and room_id in news.receipts:
            receipts = receipts_between(self._database, room_id, user_id, after, upto)
        elif after is None and room_id in self._last and rule.allows(RECEIPT, None):
            receipts = await self._database.reading(
                lambda reader: receipts_between(reader, room_id, user_id, 0, upto),
            )
        return found + [{"type": RECEIPT, "content": content} for content in contents(receipts)]


def contents(receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """The contents of the ``m.receipt`` events that tell of receipts in one room.

    One event has place for one receipt of a user for an event. Where they have a threaded one beside one that is not,
    the latter says it all (MSC4102); two threaded ones need two events.
    """
    found: list[dict[str, Any]] = []
    whole: set[tuple[str, str, str]] = set()
    for receipt in sorted(receipts, key=lambda one: one.thread_id != ""):
        key = (receipt.event_id, receipt.type, receipt.user_id)
        if not receipt.thread_id:
            whole.add(key)
        elif key in whole:
            continue
        for content in found:
            if receipt.user_id not in content.get(receipt.event_id, {}).get(receipt.type, {}):
                break
        else:
            content = {}
            found.append(content)
        users = content.setdefault(receipt.event_id, {}).setdefault(receipt.type, {})
        users[receipt.user_id] = orjson.Fragment(receipt.data)
    return found
