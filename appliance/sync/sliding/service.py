"""Answers on a connection of sliding sync (MSC4186): the core behind both codecs.

An answer is made for one moment, as sync's are: the published position, the lists and the snapshots of the rooms are
taken in one step, and all else is read up to that position. What the connection remembers afterwards is written before
the answer is given, and only where it differs from before.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.rooms.reading.serving import Asker
from appliance.storage.tokens import ConnectionToken
from appliance.sync.activity import Activity
from appliance.sync.sliding.connections import Connection, Connections, Memory, Rest, unknown_pos
from appliance.sync.sliding.extensions import OF_ROOMS, Context, Covered, Extension
from appliance.sync.sliding.lists import Lists
from appliance.sync.sliding.moments import Moment, Moments
from appliance.sync.sliding.remembering import known_everywhere, remember
from appliance.sync.sliding.rooms import RoomResult, RoomResults
from appliance.sync.sliding.wishes import Wishes

SLICE = 10
"""Rooms to tell of before others get their turn: a few milliseconds."""
TO_DEVICE = "to_device"
"""The extension whose messages are told until they are acknowledged."""


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


class SlidingSync:
    """Answers.

    Args:
        activity: when something happened in each room.
        lists: makes lists.
        moments: takes the moments that answers are about.
        results: makes what is told of rooms.
        connections: what connections remember.
        extensions: by the names that clients ask for.
    """

    def __init__(
        self,
        activity: Activity,
        lists: Lists,
        moments: Moments,
        results: RoomResults,
        connections: Connections,
        extensions: Mapping[str, Extension],
    ) -> None:
        self._activity = activity
        self._lists = lists
        self._moments = moments
        self._results = results
        self._connections = connections
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
            moment = await self._moments.take(connection, before, asker, token, wishes)
            results: dict[str, RoomResult] = {}
            for number, task in enumerate(moment.tasks.values()):
                if number % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                results[task.history.room_id] = await self._results.of(task, asker)
            parts, unasked = await self._parts(self._context(connection, before, asker, token, moment, results), wishes)
            if moment.still and token is not None:
                pos = ConnectionToken(connection.nid, base, moment.upto, moment.news.boot, moment.news.serial)
                return Answered(pos, moment.counts, {}, parts, unasked, _gives_no_messages(parts))
            memory = remember(connection, before, wishes, moment, results, self._activity)
            generation = await self._connections.advance(connection, base, memory)
            counted = token is not None and connection.counts == moment.counts
            connection.counts = moment.counts
            lasting = moment.order.lasting
            connection.rest = Rest(generation, wishes, *moment.rest) if lasting else None
        pos = ConnectionToken(connection.nid, generation, moment.upto, moment.news.boot, moment.news.serial)
        empty = unasked and not results and counted and generation == base
        return Answered(pos, moment.counts, results, parts, empty, lasting and _gives_no_messages(parts))

    # Extensions --------------------------------------------------------------------------------------------------

    def _context(
        self,
        connection: Connection,
        before: Memory,
        asker: Asker,
        token: ConnectionToken | None,
        moment: Moment,
        results: Mapping[str, RoomResult],
    ) -> Context:
        return Context(
            asker,
            None if token is None else token.sync,
            moment.upto,
            moment.news,
            known_everywhere(connection, before),
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

    def _covered(self, connection: Connection, before: Memory, moment: Moment) -> list[Covered]:
        covered = []
        sinces: dict[tuple[int | None, int], dict[str, int | None]] = {}  # shared: most rooms are told alike
        for nid, one in moment.looked.items():
            told, known = before.get(nid), moment.known[nid]
            way = known, 0 if told is None else told.config_nid
            since = sinces.get(way)
            if since is None:
                names = frozenset[str]() if told is None else connection.configs[told.config_nid].told
                since = sinces[way] = {name: known if name in names else None for name in OF_ROOMS}
            history, change = one.candidate.history, one.candidate.change
            covered.append(Covered(history.room_id, nid, one.lists, one.subscribed, change.membership == "join", since))
        return covered


def _gives_no_messages(parts: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether an answer has no messages to a device: these are told again until the client says that it has them."""
    return not parts.get(TO_DEVICE, {}).get("events")
