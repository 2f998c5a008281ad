"""What other servers may read of rooms: state, what allows events, events, and what lies before them.

Server-server API, "Backfilling and retrieving missing events", "Retrieving events" and "Retrieving event
authorisation information".
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import orjson

from appliance.errors import not_found
from appliance.federation.access import RoomAccess
from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.storage import event_times, served
from appliance.storage import events as event_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Reader
from appliance.storage.events import EventRow

MOST_BACKFILLED = 100
MOST_MISSING = 50
ROUND, MOST_ROUNDS = 50, 5
"""Events that are looked at in one go for one near a time that a server may see, and how often."""


class Sight(Protocol):
    """Says what a server may see."""

    async def seen_by(self, room: Room, server_name: str, nids: Sequence[int]) -> set[int]:
        """The numbers of those events of a room that a server may see."""
        ...

    async def emptied_for(self, room: Room, server_name: str, nids: Collection[int]) -> set[int]:
        """The numbers of those that it may see in their redacted form alone."""
        ...


class Past:
    """Answers what other servers ask of rooms.

    Args:
        database: where everything is.
        access: which servers may ask.
        sight: which events they may see.
        server_name: gives this server's name.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        access: RoomAccess,
        sight: Sight,
        server_name: Callable[[], str],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._access = access
        self._sight = sight
        self._server_name = server_name
        self._now_ms = now_ms

    async def state(self, server: str, room_id: str, event_id: str) -> bytes:
        """The state before an event and what allows it, as the body of an answer.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for an unknown room, or an event whose state is not known; ``M_FORBIDDEN``.
        """

        def read(reader: Reader, group: int) -> tuple[list[bytes], list[bytes]]:
            state = list(state_rows.numbered_group(reader, group).values())
            return served.with_chain(reader, state, room.implied())

        room, group = await self._state_group(server, room_id, event_id)
        state, chain = await self._database.reading(lambda reader: read(reader, group))
        return b'{"auth_chain":[' + b",".join(chain) + b'],"pdus":[' + b",".join(state) + b"]}"

    async def state_ids(self, server: str, room_id: str, event_id: str) -> dict[str, Any]:
        """The same by ids.

        Raises:
            MatrixError: as ``state``.
        """

        def read(reader: Reader, group: int) -> tuple[list[str], list[str]]:
            state = list(state_rows.numbered_group(reader, group).values())
            return served.ids(reader, state), served.ids(reader, served.auth_chain(reader, state, room.implied()))

        room, group = await self._state_group(server, room_id, event_id)
        state, chain = await self._database.reading(lambda reader: read(reader, group))
        return {"pdu_ids": state, "auth_chain_ids": chain}

    async def event(self, server: str, event_id: str) -> bytes:
        """One event, as the body of an answer; redacted where the server may not see it, as it may need its place in
        the graph and what it allows. What is state now, whoever is in the room may know.

        Raises:
            MatrixError: ``M_NOT_FOUND`` where there is none or it was rejected; ``M_FORBIDDEN`` for a server that is
                not in its room.
        """
        row = event_rows.by_id(self._database, event_id)
        room_id = None if row is None else served.room_of(self._database, row.room_nid)
        if row is None or row.rejected or room_id is None:
            raise not_found("There is no such event here.")
        room = await self._access.shared_room(server, room_id)
        event = room.store.event(row.nid)
        is_held = event.state_key is not None and room.published.state.get((event.type, event.state_key)) == row.nid
        return self._transaction([row.json] if is_held else await self._shown(room, [row], server))

    async def event_auth(self, server: str, room_id: str, event_id: str) -> bytes:
        """What allows an event, as the body of an answer.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        room = await self._access.shared_room(server, room_id)
        row = event_rows.by_id(self._database, event_id)
        if row is None or row.room_nid != room.nid:
            raise not_found("There is no such event in this room.")
        nid = row.nid
        implied = [one for one in room.implied() if one != nid]
        chain = await self._database.reading(
            lambda reader: served.bodies(reader, served.auth_chain(reader, [nid], implied)),
        )
        return b'{"auth_chain":[' + b",".join(chain) + b"]}"

    async def backfill(self, server: str, room_id: str, event_ids: Sequence[str], limit: int) -> bytes:
        """Events and those before them, the latest first, as the body of an answer.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        room = await self._access.shared_room(server, room_id)
        most = max(0, min(limit, MOST_BACKFILLED))
        rows = await self._database.reading(lambda reader: served.back_from(reader, room.nid, event_ids, most))
        return self._transaction(await self._shown(room, rows, server))

    async def missing(
        self,
        server: str,
        room_id: str,
        latest: Sequence[str],
        earliest: Sequence[str],
        limit: int,
        min_depth: int,
    ) -> bytes:
        """What lies between events, the earliest first, as the body of an answer.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        room = await self._access.shared_room(server, room_id)
        most, stop = max(0, min(limit, MOST_MISSING)), frozenset(earliest)
        rows = await self._database.reading(
            lambda reader: served.between(reader, room.nid, latest, stop, most, min_depth)
        )
        rows.sort(key=lambda row: (row.ordering, row.nid))
        return b'{"events":[' + b",".join(await self._shown(room, rows, server)) + b"]}"

    async def near(self, server: str, room_id: str, timestamp: int, *, backwards: bool) -> dict[str, Any]:
        """The event nearest to a time in one direction, among those that a server may see.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for an unknown room, or where there is none; ``M_FORBIDDEN``.
        """
        room = await self._access.shared_room(server, room_id)
        point: tuple[int, int] | None = None
        for _ in range(MOST_ROUNDS):
            found = event_times.near(self._database, room.nid, timestamp, ROUND, backwards=backwards, after=point)
            seen = await self._sight.seen_by(room, server, [nid for _, _, nid in found])
            for time, _, nid in found:
                if nid in seen:
                    return {"event_id": room.store.event(nid).event_id, "origin_server_ts": time}
            if len(found) < ROUND:
                break
            point = found[-1][:2]
        raise not_found("There is no such event here.")

    async def _state_group(self, server: str, room_id: str, event_id: str) -> tuple[Room, int]:
        room = await self._access.shared_room(server, room_id)
        row = event_rows.by_id(self._database, event_id)
        groups = None if row is None else state_rows.groups_of(self._database, row.nid)
        if row is None or groups is None or row.room_nid != room.nid:
            raise not_found("The state at this event is not known here.")
        return room, groups[0]

    async def _shown(self, room: Room, rows: Sequence[EventRow], server: str) -> list[bytes]:
        """The events as a server may see them: those that are not for its eyes redacted."""
        if not rows:
            return []
        seen = await self._sight.seen_by(room, server, [row.nid for row in rows])
        seen -= await self._sight.emptied_for(room, server, seen)
        return [
            row.json if row.nid in seen else Event.from_json(room.version, row.json, row.event_id).redacted().json
            for row in rows
        ]

    def _transaction(self, pdus: Sequence[bytes]) -> bytes:
        head = orjson.dumps({"origin": self._server_name(), "origin_server_ts": self._now_ms()})
        return head[:-1] + b',"pdus":[' + b",".join(pdus) + b"]}"
