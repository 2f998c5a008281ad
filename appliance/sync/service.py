"""Sync v2: what a client does not know yet (client-server API, "Syncing").

An answer is made for one moment: the published position and the snapshots of all rooms are taken in one step, and all
else is read up to that position. Making it changes nothing, so that the same token gives the same again.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import orjson
from msgspec import Struct

from appliance.accounts.invite_rules import InviteRules
from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Rooms
from appliance.rooms.standings import History, Standings, UserRooms
from appliance.storage.database import Database
from appliance.storage.tokens import SyncToken
from appliance.sync.activity import Activity
from appliance.sync.encryption import EncryptionParts
from appliance.sync.ephemeral import Ephemeral, News
from appliance.sync.held import Held, hold
from appliance.sync.lazy import Chain, Chains
from appliance.sync.presence import PresenceStream
from appliance.sync.sections import Options, Sections, Window


class AccountData(Protocol):
    """What accounts tell a sync."""

    def between(self, user_id: str, after: int | None, upto: int) -> Iterable[tuple[str, str, bytes]]:
        """(room id, type, content as JSON) of what was written after one position and not after another; with
        ``after`` None everything, rules for notifications included.
        """
        ...

    def of_room(self, user_id: str, room_id: str, upto: int) -> Iterable[tuple[str, bytes]]:
        """(type, content as JSON) of all that is kept about one room, up to a position."""
        ...


class Following(Struct, frozen=True):
    """What an answer goes on from.

    Args:
        initial: whether the client knows nothing yet.
        chain: which members it was told of; None where that does not matter.
        by_room: account data to tell, by room.
        news: what there may be to tell of receipts and typing.
    """

    initial: bool
    chain: Chain | None
    by_room: Mapping[str, list[dict[str, Any]]]
    news: News


class SyncAnswer(Struct, frozen=True):
    """An answer: its body, whether it tells nothing, the token that it ends with, and whether it tells all that there
    is to tell: of messages to a device it may be only the first ones.
    """

    body: bytes
    empty: bool
    token: SyncToken
    whole: bool


class Sync:
    """Answers syncs.

    Args:
        database: the stream.
        rooms: the rooms in memory.
        standings: who is where.
        activity: which rooms changed.
        sections: makes what an answer says of a room.
        account_data: what accounts have to tell.
        ephemeral: tells receipts and typing.
        presence: tells who is online.
        encryption: tells messages to devices and what concerns keys.
        invite_rules: by whom users want to be invited.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        standings: Standings,
        activity: Activity,
        sections: Sections,
        account_data: AccountData,
        ephemeral: Ephemeral,
        presence: PresenceStream,
        encryption: EncryptionParts,
        invite_rules: InviteRules,
    ) -> None:
        self._invite_rules = invite_rules
        self._chains = Chains()
        self._database = database
        self._rooms = rooms
        self._standings = standings
        self._activity = activity
        self._sections = sections
        self._account_data = account_data
        self._ephemeral = ephemeral
        self._presence = presence
        self._encryption = encryption

    async def answer(self, asker: Asker, since: SyncToken | None, options: Options) -> SyncAnswer:
        """What happened for a user after a token; everything without one.

        Args:
            asker: the user and the device that asks.
            since: where the client's knowledge ends.
            options: the filter and the wishes of the request.
        """
        user = self._standings.of(asker.user_id)
        known = None if since is None else min(since.position, self._database.position)
        chain_number, chain = self._chain(since, options)
        held: dict[int, Held] = {}
        while True:
            # One step: the position, what there is to tell up to it, and every room as it is published at it.
            upto = self._database.position
            top, by_room = self._data(asker.user_id, known, upto, options)
            news = self._ephemeral.news(since, options.filter.room.ephemeral)
            people = self._presence.events(asker.user_id, since, options.filter.presence)
            concerned = self._concerned(user, known, options, by_room, news)
            missing = self._not_held(concerned, held)
            if not missing or await hold(self._rooms, missing, held):
                break
        windows = [self._window(history, held[history.room_nid], known, upto) for history in concerned]
        following = Following(known is None, chain, by_room, news)
        rooms = await self._room_sections(windows, asker, options, following)
        delivered = since.to_device if since else 0
        encryption = await self._encryption.news(asker, 0 if options.anew else known, delivered, upto)
        token = SyncToken(upto, encryption.to_device, boot=news.boot, serial=news.serial, chain=chain_number)
        answer: dict[str, Any] = {"next_batch": str(token), **encryption.fields}
        if rooms:
            answer["rooms"] = rooms
        if top:
            answer["account_data"] = {"events": top}
        if people:
            answer["presence"] = {"events": people}
        empty = not rooms and not top and not people and encryption.empty
        # Whoever goes on from messages acknowledges them by that, so they are looked after.
        whole = encryption.to_device >= upto and "to_device" not in encryption.fields
        return SyncAnswer(orjson.dumps(answer), empty, token, whole)

    def _concerned(
        self, user: UserRooms, since: int | None, options: Options, by_room: Mapping[str, Any], news: News
    ) -> list[History]:
        """The rooms of which there may be something to tell."""
        if since is None or options.full_state:
            found = [history for nid, history in user.histories.items() if nid not in user.forgotten]
        else:
            changed = user.changed_since(since)
            found = [
                history for history in self._stirred(user, since, by_room, news) if history.room_nid not in changed
            ]
            found += [user.histories[nid] for nid in changed if nid not in user.forgotten or _had(user, nid, since)]
        return [history for history in found if options.filter.room.allows_room(history.room_id)]

    def _stirred(self, user: UserRooms, since: int, by_room: Mapping[str, Any], news: News) -> Iterable[History]:
        """The rooms that the user is in and in which something happened: found by what happened, or by going through
        the user's rooms, whichever are fewer.
        """
        joined = user.joined
        active = self._activity.changed_since(since, len(joined))
        if active is None or len(news.read) + len(news.typing) > len(joined):
            return [
                history
                for nid, history in joined.items()
                if self._activity.since(nid) > since or history.room_id in by_room or history.room_id in news
            ]
        nids = dict.fromkeys(nid for nid in active if nid in joined)
        for room_id in (*by_room, *news.read, *news.typing):
            history = user.by_id(room_id)
            if history is not None and history.room_nid in joined:
                nids[history.room_nid] = None
        return [joined[nid] for nid in nids]

    def _not_held(self, concerned: Iterable[History], held: dict[int, Held]) -> list[History]:
        """Those of the rooms that must be read first: not yet held, or held in a form that time went past."""
        return [
            history
            for history in concerned
            if (room := held.get(history.room_nid)) is None or room.position < self._activity.since(history.room_nid)
        ]

    def _window(self, history: History, room: Held, since: int | None, upto: int) -> Window:
        """What part of a room's life concerns the asker: from their knowledge or joining on, to now or their leave."""
        change = history.at(upto)
        if change is not None and change.membership in ("leave", "ban"):
            upto = change.position
        anew = since is not None and history.came_in(since, upto)
        quiet = since is not None and not anew and self._activity.since(history.room_nid) <= since
        return Window(history, room.published, None if anew else since, upto, room.position, anew, quiet)

    def _chain(self, since: SyncToken | None, options: Options) -> tuple[int, Chain | None]:
        """What the client was told of members, where that matters: the chain of its token, or a new one."""
        rule = options.filter.room.state
        if not rule.lazy_load_members or rule.include_redundant_members:
            return 0, None
        if since is None or not since.chain:
            number = self._chains.begin()
            return number, self._chains.of(number)
        chain = self._chains.of(since.chain)
        chain.go_on(since.position)
        return since.chain, chain

    async def _room_sections(
        self, windows: list[Window], asker: Asker, options: Options, following: Following
    ) -> dict[str, dict[str, Any]]:
        rooms: dict[str, dict[str, Any]] = {}
        by_room, news = following.by_room, following.news
        for window in windows:
            history = window.history
            room_id, membership = history.room_id, history.membership_at(window.upto)
            moved = window.since is None or history.at(window.upto) is not history.at(window.since)
            data = by_room.get(room_id, [])
            if membership == "join":
                ephemeral = await self._ephemeral.events(
                    news, room_id, asker.user_id, window.since, window.upto, options.filter.room.ephemeral
                )
                if window.anew:  # what was kept before they came is news too
                    data = self._room_data(asker.user_id, room_id, window.upto, options)
                beside = {"account_data": data, "ephemeral": ephemeral}
                # Their own receipts change the counts, whatever the filter says of receipts.
                recount = room_id in news.read
                section = await self._sections.joined(
                    window, asker, options, beside, recount=recount, chain=following.chain
                )
                if section is not None:
                    rooms.setdefault("join", {})[room_id] = section
            elif membership in ("invite", "knock"):
                if moved and not self._is_ignored(window, asker, membership):
                    state = {f"{membership}_state": self._sections.offered(window, asker.user_id)}
                    rooms.setdefault(membership, {})[room_id] = state
            elif moved and history.at(window.upto) and _tells_of_leaving(membership, following, options):
                if history.room_nid in self._standings.of(asker.user_id).forgotten:
                    section = self._sections.forgotten(options)
                else:
                    section = await self._sections.left(window, asker, options)
                    if data:
                        section["account_data"] = {"events": data}
                rooms.setdefault("leave", {})[room_id] = section
        return rooms

    def _is_ignored(self, window: Window, asker: Asker, membership: str) -> bool:
        """Whether an invitation comes from somebody whom the asker ignores or does not want to be invited by."""
        sender = self._sections.sender_of_own(window) if membership == "invite" else None
        return sender is not None and self._invite_rules.hides_invite(asker.user_id, sender)

    def _data(
        self, user_id: str, since: int | None, upto: int, options: Options
    ) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        """Account data: for all rooms, and for each."""
        top: list[dict[str, Any]] = []
        by_room: dict[str, list[dict[str, Any]]] = {}
        for room_id, event_type, content in self._account_data.between(user_id, since, upto):
            if _wanted(room_id, event_type, options):
                target = by_room.setdefault(room_id, []) if room_id else top
                target.append({"type": event_type, "content": orjson.Fragment(content)})
        return top, by_room

    def _room_data(self, user_id: str, room_id: str, upto: int, options: Options) -> list[dict[str, Any]]:
        """All account data of one room."""
        return [
            {"type": event_type, "content": orjson.Fragment(content)}
            for event_type, content in self._account_data.of_room(user_id, room_id, upto)
            if _wanted(room_id, event_type, options)
        ]


def _wanted(room_id: str, event_type: str, options: Options) -> bool:
    """Whether a filter lets account data of a type through, of a room or (with an empty id) of all."""
    in_room = options.filter.room.account_data
    if room_id:
        return in_room.allows_room(room_id) and in_room.allows(event_type, None)
    return options.filter.account_data.allows(event_type, None)


def _tells_of_leaving(membership: str, following: Following, options: Options) -> bool:
    """Whether a room that the asker is out of is told of. A first sync leaves out those that were left, unless the
    client wants them, and not those that the asker is banned from.
    """
    return not following.initial or membership == "ban" or options.filter.room.include_leave or options.anew


def _had(user: UserRooms, room_nid: int, position: int) -> bool:
    """Whether a client had a room among its own at a position: it must be told that the room is gone."""
    return user.histories[room_nid].membership_at(position) in ("join", "invite", "knock")
