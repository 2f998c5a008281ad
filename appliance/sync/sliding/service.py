"""Answers on a connection of sliding sync (MSC4186): the core behind both codecs.

An answer is made for one moment, as sync's are: the published position, the lists and the snapshots of the rooms are
taken in one step, and all else is read up to that position. What the connection remembers afterwards is written before
the answer is given, and only where it differs from before.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Rooms
from appliance.storage.database import Database
from appliance.storage.receipts import read_since
from appliance.storage.sliding import Told
from appliance.storage.tokens import ConnectionToken
from appliance.sync.account_data import AccountDataStream
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import Ephemeral, News
from appliance.sync.held import NOWHERE, Held
from appliance.sync.sliding.connections import Connection, Connections, Memory, Rest, unknown_pos
from appliance.sync.sliding.extensions import OF_ROOMS, Context, Covered, Extension
from appliance.sync.sliding.lists import Lists, Relevant
from appliance.sync.sliding.order import STAYING, Candidate, Order
from appliance.sync.sliding.own import DIRECT
from appliance.sync.sliding.rooms import ALL, RoomResult, RoomResults, Task
from appliance.sync.sliding.wishes import RoomConfig, Wishes

SLICE = 10
"""Rooms to tell of before others get their turn: a few milliseconds."""
TO_DEVICE = "to_device"
"""The extension whose messages are told until they are acknowledged."""
EVERYWHERE = 0
"""Under this number of no room a connection remembers which extensions told something of no room in particular."""


class Answered(Struct, frozen=True):
    """An answer before a codec gives it its form.

    Args:
        token: for the next request.
        counts: how many rooms each list has.
        rooms: what is told of rooms, by their ids.
        extensions: what extensions tell, by their names.
        empty: whether it tells nothing new, so that the client may be left waiting.
        whole: whether there is nothing more to tell to whoever goes on from it, unless something happens.
    """

    token: ConnectionToken
    counts: dict[str, int]
    rooms: dict[str, RoomResult]
    extensions: dict[str, dict[str, Any]]
    empty: bool
    whole: bool


class _Moment(Struct, frozen=True):
    """What was taken in one step."""

    upto: int
    since: int | None
    order: Order
    relevant: dict[int, Relevant]
    counts: dict[str, int]
    news: News
    changed: tuple[tuple[str, str, bytes], ...]
    known: dict[int, int | None]
    forgotten: int
    tasks: dict[int, Task]


class SlidingSync:
    """Answers.

    Args:
        database: the stream.
        rooms: the rooms in memory.
        activity: when something happened in each room.
        lists: makes lists.
        results: makes what is told of rooms.
        connections: what connections remember.
        account_data: what changed of account data.
        ephemeral: receipts and typing.
        extensions: by the names that clients ask for.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        activity: Activity,
        lists: Lists,
        results: RoomResults,
        connections: Connections,
        account_data: AccountDataStream,
        ephemeral: Ephemeral,
        extensions: Mapping[str, Extension],
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._activity = activity
        self._lists = lists
        self._results = results
        self._connections = connections
        self._account_data = account_data
        self._ephemeral = ephemeral
        self._extensions = extensions

    async def connection(self, asker: Asker, name: str, token: ConnectionToken | None) -> Connection:
        """The connection that a request comes on, begun anew where it has no token; raises as ``Connections.find``."""
        if token is None:
            return self._connections.begin(asker.user_id, asker.device_id, name)
        return await self._connections.find(asker.user_id, asker.device_id, name, token)

    def place(self, asker: Asker, token: ConnectionToken, wishes: Wishes) -> tuple[Any, ...]:
        """What tells apart where those stand who go on from a token: the token, their wishes, and what happens outside
        of the stream.
        """
        return str(token), self._lists.forgotten(asker.user_id), wishes

    async def answer(
        self, connection: Connection, asker: Asker, token: ConnectionToken | None, wishes: Wishes
    ) -> Answered:
        """What there is to tell after a token.

        Args:
            connection: the connection.
            asker: the user and the device.
            token: where the client's knowledge ends; None where it knows nothing.
            wishes: what it wants to know.

        Raises:
            MatrixError: 400 ``M_UNKNOWN_POS`` where the connection was begun anew, or went on, meanwhile.
        """
        async with connection.lock:
            base = 0 if token is None else token.generation
            before = connection.generations.get(base)
            if before is None:
                # Another request went on from a later answer meanwhile.
                raise unknown_pos()
            still = await self._still(connection, before, asker, token, wishes)
            if still is not None:
                return still
            moment = await self._moment(connection, before, asker, token, wishes)
            results: dict[str, RoomResult] = {}
            for number, task in enumerate(moment.tasks.values()):
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                results[task.history.room_id] = await self._results.of(task, asker)
            parts, unasked = await self._parts(self._context(connection, before, asker, token, moment, results), wishes)
            memory = self._memory(connection, before, wishes, moment, results)
            generation = await self._connections.advance(connection, base, memory)
            counted = token is not None and connection.counts == moment.counts
            connection.counts = moment.counts
            lasting = moment.order.lasting
            connection.rest = Rest(generation, wishes, moment.forgotten) if lasting else None
        pos = ConnectionToken(connection.nid, generation, moment.upto, moment.news.boot, moment.news.serial)
        empty = unasked and not results and counted and generation == base
        return Answered(pos, moment.counts, results, parts, empty, lasting and _gives_no_messages(parts))

    async def _still(
        self, connection: Connection, before: Memory, asker: Asker, token: ConnectionToken | None, wishes: Wishes
    ) -> Answered | None:
        """The answer where nothing happened in any room that the asker has to do with; None where something did.

        Lists, windows and what is remembered are then as they were when the connection was last answered, if that was
        for the same wishes and left the memory that the token names. Most requests are such.
        """
        rest = connection.rest
        if token is None or rest is None or rest.generation != token.generation or not rest.wishes.are_as(wishes):
            return None
        upto = self._database.position
        since = min(token.position, upto)
        news = self._ephemeral.news(token.sync, ALL)
        if self._lists.stirred(asker.user_id, since, news) or self._lists.forgotten(asker.user_id) != rest.forgotten:
            return None
        if any(True for _ in self._account_data.between(asker.user_id, since, upto)):
            return None
        context = Context(asker, token.sync, upto, news, self._known_to(connection, before), (), {}, ())
        parts, unasked = await self._parts(context, wishes)
        pos = ConnectionToken(connection.nid, token.generation, upto, news.boot, news.serial)
        return Answered(pos, connection.counts, {}, parts, unasked, _gives_no_messages(parts))

    # The moment --------------------------------------------------------------------------------------------------

    async def _moment(
        self, connection: Connection, before: Memory, asker: Asker, token: ConnectionToken | None, wishes: Wishes
    ) -> _Moment:
        held: dict[int, Held] = {}
        while True:
            upto = self._database.position
            since = None if token is None else min(token.position, upto)
            order = self._lists.order(asker.user_id, upto, since, before)
            relevant, counts = self._lists.relevant(asker.user_id, wishes, order)
            news = self._ephemeral.news(None if token is None else token.sync, ALL)
            changed = () if since is None else tuple(self._account_data.between(asker.user_id, since, upto))
            known = {nid: self._known_upto(before.get(nid), one, since, upto) for nid, one in relevant.items()}
            wanted = {
                nid: one
                for nid, one in relevant.items()
                if self._is_to_be_told(connection, before.get(nid), one, known[nid], news, asker.user_id)
            }
            missing = [
                one.candidate.history
                for nid, one in wanted.items()
                if nid not in held or held[nid].position < self._activity.since(nid)
            ]
            if not missing:
                break
            for history in missing:
                room = await self._rooms.find(history.room_id)
                held[history.room_nid] = NOWHERE if room is None else room
        directs = any(kind == DIRECT and not room_id for room_id, kind, _ in changed)
        tasks = {
            nid: self._task(connection, before.get(nid), one, held[nid], asker, known[nid], since, upto, directs)
            for nid, one in wanted.items()
            if nid in held
        }
        forgotten = self._lists.forgotten(asker.user_id)
        return _Moment(upto, since, order, relevant, counts, news, changed, known, forgotten, tasks)

    def _known_upto(self, told: Told | None, one: Relevant, since: int | None, upto: int) -> int | None:
        """Up to where the client knows a room; None where it knows nothing, or knew it before it was out of it."""
        if told is None or since is None:
            return None
        known = since if told.upto is None else told.upto
        candidate = one.candidate
        if candidate.change.membership == "join" and candidate.history.came_in(known, upto):
            return None
        return known

    def _is_to_be_told(
        self,
        connection: Connection,
        told: Told | None,
        one: Relevant,
        known: int | None,
        news: News,
        user_id: str,
    ) -> bool:
        change = one.candidate.change
        if known is None or told is None or change.position > known:
            return True
        if change.membership in STAYING and change.membership != "join":
            return False
        if change.membership == "join":
            history = one.candidate.history
            if self._activity.since(history.room_nid) > known or told.upto is not None:
                return True
            # What they read themselves changes what is unread.
            if history.room_id in news.read and read_since(self._database, history.room_id, user_id, known):
                return True
        before, now = connection.configs[told.config_nid], one.config
        return now.timeline_limit > before.timeline_limit or (
            now.required != before.required and before.required.union(now.required) != before.required
        )

    def _task(
        self,
        connection: Connection,
        told: Told | None,
        one: Relevant,
        room: Held,
        asker: Asker,
        known: int | None,
        since: int | None,
        upto: int,
        directs: bool,
    ) -> Task:
        history, change = one.candidate.history, one.candidate.change
        return Task(
            history=history,
            membership=change.membership,
            snapshot=room.published,
            position=room.position,
            since=known,
            upto=upto if change.membership in STAYING else change.position,
            live_from=since,
            config=one.config,
            before=None if told is None or known is None else connection.configs[told.config_nid],
            lists=one.lists,
            is_direct=self._lists.is_direct(asker.user_id, history.room_id) if known is None or directs else None,
        )

    # Extensions --------------------------------------------------------------------------------------------------

    def _context(
        self,
        connection: Connection,
        before: Memory,
        asker: Asker,
        token: ConnectionToken | None,
        moment: _Moment,
        results: Mapping[str, RoomResult],
    ) -> Context:
        return Context(
            asker,
            None if token is None else token.sync,
            moment.upto,
            moment.news,
            self._known_to(connection, before),
            tuple(self._covered(connection, before, moment)),
            results,
            moment.changed,
        )

    async def _parts(self, context: Context, wishes: Wishes) -> tuple[dict[str, dict[str, Any]], bool]:
        """What the extensions tell, and whether that is nothing new."""
        found: dict[str, dict[str, Any]] = {}
        empty = True
        for name, wish in wishes.extensions.items():
            extension = self._extensions.get(name)
            if extension is not None:
                part = await extension.tell(context, wish)
                empty = empty and part.empty
                if part.content is not None:
                    found[name] = part.content
        return found, empty

    @staticmethod
    def _known_to(connection: Connection, before: Memory) -> frozenset[str]:
        """The names of the extensions that told the client something of no room in particular."""
        known = before.get(EVERYWHERE)
        return frozenset() if known is None else connection.configs[known.config_nid].told

    def _covered(self, connection: Connection, before: Memory, moment: _Moment) -> list[Covered]:
        covered = []
        sinces: dict[tuple[int | None, int], dict[str, int | None]] = {}  # shared: most rooms are told alike
        for nid, one in moment.relevant.items():
            told, known = before.get(nid), moment.known[nid]
            way = known, 0 if told is None else told.config_nid
            since = sinces.get(way)
            if since is None:
                names = frozenset[str]() if told is None else connection.configs[told.config_nid].told
                since = sinces[way] = {name: known if name in names else None for name in OF_ROOMS}
            history, change = one.candidate.history, one.candidate.change
            covered.append(Covered(history.room_id, nid, one.lists, one.subscribed, change.membership == "join", since))
        return covered

    # What is remembered ------------------------------------------------------------------------------------------

    def _memory(
        self,
        connection: Connection,
        before: Memory,
        wishes: Wishes,
        moment: _Moment,
        results: Mapping[str, RoomResult],
    ) -> Memory:
        """What the client knows once it got the answer."""
        memory: dict[int, Told] = {}
        told = OF_ROOMS.intersection(wishes.extensions)
        if told:
            memory[EVERYWHERE] = Told(connection.number(RoomConfig(told=told)))
        behind = {room_id for room_id, _, _ in moment.changed}
        for nid, was in before.items():
            one = moment.order.candidates.get(nid)
            if nid == EVERYWHERE or one is None or nid in moment.relevant:
                continue
            fell_behind = was.upto is None and moment.since is not None and self._moved(one, moment, behind)
            memory[nid] = Told(was.config_nid, moment.since) if fell_behind else was
        unchanged: dict[tuple[int, int, frozenset[str]], Told] = {}
        by_lists: dict[tuple[str, ...], frozenset[str]] = {}
        for nid, rel in moment.relevant.items():
            known, result = before.get(nid), results.get(rel.candidate.history.room_id)
            if not rel.candidate.lasting or (known is None and result is None):
                continue
            told_by = None if rel.subscribed else by_lists.get(rel.lists)
            if told_by is None:
                told_by = _told_by(wishes, told, rel)
                if not rel.subscribed:
                    by_lists[rel.lists] = told_by
            # Most rooms are told as before, in one of a few ways.
            way = (0 if known is None else known.config_nid, id(rel.config), told_by)
            if result is None and way in unchanged:
                memory[nid] = unchanged[way]
                continue
            old = None if known is None else connection.configs[known.config_nid]
            memory[nid] = Told(connection.number(_remembered(old, rel.config, told_by, result)))
            if result is None:
                unchanged[way] = memory[nid]
        return memory

    def _moved(self, one: Candidate, moment: _Moment, behind: set[str]) -> bool:
        """Whether something happened in a room that is not told, although it was until now."""
        since, room_id = moment.since or 0, one.history.room_id
        if one.change.position > since or room_id in behind or room_id in moment.news.receipts:
            return True
        return one.change.membership == "join" and self._activity.since(one.history.room_nid) > since


def _gives_no_messages(parts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an answer has no messages to a device: these are told again until the client says that it has them."""
    return not parts.get(TO_DEVICE, {}).get("events")


def _told_by(wishes: Wishes, names: frozenset[str], rel: Relevant) -> frozenset[str]:
    """Which extensions tell of a room."""
    room_id = rel.candidate.history.room_id
    return frozenset(name for name in names if wishes.extensions[name].covers(rel.lists, room_id, rel.subscribed))


def _remembered(
    old: RoomConfig | None, now: RoomConfig, told_by: frozenset[str], result: RoomResult | None
) -> RoomConfig:
    """How a room is told by now: as it was, as far as nothing is missing in that, and as it is wanted."""
    if old is None or (result is not None and result.initial):
        return replace(now, told=told_by)
    required, limit = old.required.union(now.required), max(old.timeline_limit, now.timeline_limit)
    if result is not None and result.unsent:
        required = now.required
    if result is not None and result.limited and not result.expanded:
        # There is a gap in what was told: more than what is wanted now cannot be said to be known.
        limit = now.timeline_limit
    return RoomConfig(limit, required, told_by)
