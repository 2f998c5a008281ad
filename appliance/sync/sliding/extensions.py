"""What a connection tells beside rooms (MSC4186, "Extensions"): account data, receipts, typing, and what others add.

Each extension is one small object. Those that belong to rooms tell of the rooms that the request is about, as far as
its wish covers them: all there is of a room that was not told yet, and of others what changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import orjson
from msgspec import Struct

from appliance.rooms.reading.serving import Asker
from appliance.storage.account_data import in_room
from appliance.storage.database import Database
from appliance.storage.receipts import receipts_between
from appliance.storage.tokens import SyncToken
from appliance.sync.account_data import AccountDataStream
from appliance.sync.ephemeral import RECEIPT, TYPING, Ephemeral, News, contents
from appliance.sync.sliding.rooms import RoomResult
from appliance.sync.sliding.wishes import ExtensionWish

ACCOUNT_DATA, RECEIPTS, TYPING_NAME = "account_data", "receipts", "typing"
OF_ROOMS = frozenset((ACCOUNT_DATA, RECEIPTS))
"""Those that tell of rooms what changed since something was told of them."""


class Covered(Struct, frozen=True):
    """A room of which an extension may tell.

    Args:
        room_id: its id.
        room_nid: its number.
        lists: in which lists' windows it is.
        subscribed: whether it is subscribed to.
        joined: whether the asker is in it.
        since: up to where the client knows what each extension tells of it, by name; None where it knows nothing.
    """

    room_id: str
    room_nid: int
    lists: tuple[str, ...]
    subscribed: bool
    joined: bool
    since: Mapping[str, int | None]


class Context(Struct, frozen=True):
    """What an answer is about.

    Args:
        asker: who asks.
        token: where the client's knowledge ends; None where it knows nothing.
        upto: the last position that counts.
        news: receipts and typing since the token.
        known: the names of the extensions that told the client something before.
        rooms: those that the request is about.
        results: what is told of rooms, by their ids.
        changed: what account data was written since the token: (room id, type, content).
    """

    asker: Asker
    token: SyncToken | None
    upto: int
    news: News
    known: frozenset[str]
    rooms: tuple[Covered, ...]
    results: Mapping[str, RoomResult]
    changed: tuple[tuple[str, str, bytes], ...]

    def covered(self, wish: ExtensionWish) -> Iterable[Covered]:
        """The rooms of which an extension shall tell; the asker is in all of them."""
        return (room for room in self.rooms if room.joined and wish.covers(room.lists, room.room_id, room.subscribed))


class Part(Struct, frozen=True):
    """What an extension tells.

    Args:
        content: its part of the answer; None where there is none.
        empty: whether it tells nothing new, so that a client may be left waiting.
    """

    content: dict[str, Any] | None
    empty: bool


NOTHING = Part(None, True)


class Extension(Protocol):
    """One extension."""

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """What there is to tell."""
        ...


class AccountDataExtension:
    """MSC3959: account data, for all rooms and for each.

    Args:
        database: where it is.
        stream: tells what changed.
    """

    def __init__(self, database: Database, stream: AccountDataStream) -> None:
        self._database = database
        self._stream = stream

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """What was written since, and at first all that there is."""
        user_id = context.asker.user_id
        everything: dict[str, list[dict[str, Any]]] | None = None
        if context.token is None or ACCOUNT_DATA not in context.known:
            everything = {}
            for room_id, kind, content in self._stream.between(user_id, None, context.upto):
                everything.setdefault(room_id, []).append(_event(kind, content))
            top = everything.get("", [])
        else:
            top = [_event(kind, content) for room_id, kind, content in context.changed if not room_id]
        rooms: dict[str, list[dict[str, Any]]] = {}
        live: set[str] = set()
        for room in context.covered(wish):
            since = room.since[ACCOUNT_DATA]
            if context.token is not None and since == context.token.position:
                live.add(room.room_id)
            elif since is None and everything is not None:
                if room.room_id in everything:
                    rooms[room.room_id] = everything[room.room_id]
            elif read := in_room(self._database, user_id, room.room_id, since or 0, context.upto):
                rooms[room.room_id] = [_event(one.type, one.content.encode()) for one in read]
        for room_id, kind, content in context.changed:
            if room_id in live:
                rooms.setdefault(room_id, []).append(_event(kind, content))
        told = {name: part for name, part in (("global", top), ("rooms", rooms)) if part}
        return Part(told, False) if told else NOTHING


class ReceiptsExtension:
    """MSC3960: up to where others have read; of a room that is told for the first time only what concerns the events
    that are told of it, and the asker's own.

    Args:
        database: where they are.
        ephemeral: knows in which rooms there are any.
    """

    def __init__(self, database: Database, ephemeral: Ephemeral) -> None:
        self._database = database
        self._ephemeral = ephemeral

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """Receipts of each room."""
        user_id, rooms = context.asker.user_id, dict[str, Any]()
        for room in context.covered(wish):
            since = room.since[RECEIPTS]
            live = since is not None and context.token is not None and since == context.token.position
            if live and room.room_id not in context.news.receipts:
                continue
            if self._ephemeral.last_receipt(room.room_id) <= (since or 0):
                continue
            found = receipts_between(self._database, room.room_id, user_id, since or 0, context.upto)
            if since is None:
                result = context.results.get(room.room_id)
                ids = set(result.timeline_ids) if result is not None else set()
                found = [one for one in found if one.user_id == user_id or one.event_id in ids]
            merged: dict[str, Any] = {}
            for content in contents(found):
                for event_id, types in content.items():
                    for kind, users in types.items():
                        merged.setdefault(event_id, {}).setdefault(kind, {}).update(users)
            if merged:
                rooms[room.room_id] = {"type": RECEIPT, "content": merged}
        return Part({"rooms": rooms}, False) if rooms else NOTHING


class TypingExtension:
    """MSC3961: who is typing."""

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """The whole list of each room in which it changed, or which is told for the first time."""
        rooms: dict[str, Any] = {}
        if not (context.news.typing or context.news.now):
            return NOTHING
        for room in context.covered(wish):
            result = context.results.get(room.room_id)
            new = context.token is None or (result is not None and result.initial)
            users = (context.news.now if new else context.news.typing).get(room.room_id)
            if users is not None:
                rooms[room.room_id] = {"type": TYPING, "content": {"user_ids": users}}
        return Part({"rooms": rooms}, False) if rooms else NOTHING


def _event(kind: str, content: bytes) -> dict[str, Any]:
    return {"type": kind, "content": orjson.Fragment(content)}
