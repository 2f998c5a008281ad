"""Memberships that other servers made out of our templates: taken in, and answered with what their server needs.

Server-server API, "Joining Rooms", "Leaving Rooms" and "Knocking upon a room".
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import orjson

from appliance.errors import MatrixError, forbidden, invalid_param
from appliance.federation.access import RoomAccess
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.identifiers import server_of
from appliance.rooms.acts.admitting import Admitting
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Accepting, Unacceptable, Verdict
from appliance.rooms.room import Room
from appliance.rooms.shown.outlined import outline
from appliance.rooms.snapshot import MEMBER
from appliance.storage import events as event_rows
from appliance.storage import served
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Reader


class Relays(Protocol):
    """Tells the other servers in a room (``outbox.py``)."""

    def relaying(self, event_id: str, origin: str) -> AbstractContextManager[None]:
        """Inside, an event that comes in is passed on to the other servers in its room."""
        ...


class _Told(NamedTuple):
    """A state that is being read, by its number."""

    group_nid: int
    read: "asyncio.Future[tuple[list[bytes], list[bytes]]]"


class Handshakes:
    """Takes such memberships in.

    Args:
        database: where everything is.
        access: which servers may ask.
        accepting: judges events.
        admitting: who is let into restricted rooms.
        identity: as whom this server vouches.
        relays: tells the other servers, which nobody else does.
    """

    def __init__(
        self,
        database: Database,
        access: RoomAccess,
        accepting: Accepting,
        admitting: Admitting,
        identity: Identity,
        relays: Relays,
    ) -> None:
        self._database = database
        self._access = access
        self._accepting = accepting
        self._admitting = admitting
        self._identity = identity
        self._relays = relays

    async def join(self, server: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> bytes:
        """Let a user of another server in.

        Returns:
            the state before the join, what allows it, and the join as it is sent to others, as the body of an answer.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no good join; ``M_FORBIDDEN``, ``M_NOT_FOUND``, and what
                ``Admitting`` raises.
        """
        room = await self._access.open_room(server, room_id)
        event = _checked(room, server, event_id, pdu, "join")
        authoriser = event.content.get(AUTHORISER)
        if room.version.restricted and isinstance(authoriser, str) and self._is_ours(authoriser):
            await self._admitting.authoriser(room, room.head, event.sender)
            event = event.with_signature(self._identity.server_name, self._identity.key)
        servers = list(self._access.servers(room))
        before = room.published.group_nid
        told: list[_Told] = []

        def submitted(verdict: Verdict) -> None:
            # Mostly the room was as it is published: then the state is read while the join is being committed.
            if verdict is Verdict.ACCEPTED:
                told.append(_Told(before, asyncio.ensure_future(self._read(room, before, event))))

        try:
            await self._take_in(room, event, server, submitted)
            return await self._welcome(room, event, servers, told)
        finally:
            for one in told:
                one.read.cancel()

    async def leave(self, server: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> None:
        """Take in that a user of another server leaves, or rejects an invitation.

        Raises:
            MatrixError: ``M_INVALID_PARAM``, ``M_FORBIDDEN``, ``M_NOT_FOUND``.
        """
        room = await self._access.open_room(server, room_id)
        await self._take_in(room, _checked(room, server, event_id, pdu, "leave"), server)

    async def knock(self, server: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> dict[str, Any]:
        """Take in a knock of a user of another server; answers with what the room shows of itself.

        Raises:
            MatrixError: ``M_INVALID_PARAM``, ``M_FORBIDDEN``, ``M_NOT_FOUND``.
        """
        room = await self._access.open_room(server, room_id)
        event = _checked(room, server, event_id, pdu, "knock")
        await self._take_in(room, event, server)
        return {"knock_room_state": [one.pdu for one in outline(room, room.head)]}

    def _is_ours(self, user_id: str) -> bool:
        return user_id.startswith("@") and ":" in user_id and server_of(user_id) == self._identity.server_name

    async def _take_in(
        self, room: Room, event: Event, server: str, submitted: Callable[[Verdict], None] | None = None
    ) -> None:
        try:
            with self._relays.relaying(event.event_id, server):
                verdict = await self._accepting.accept(room.room_id, event.pdu, server, submitted)
        except (InvalidEvent, Unacceptable) as problem:
            raise invalid_param(str(problem)) from problem
        row = event_rows.by_id(self._database, event.event_id)
        if verdict is Verdict.WAITING or row is None:
            raise MatrixError("M_UNKNOWN", "This event stands on others that this server does not have.", 400)
        if row.rejected or row.soft_failed:
            raise forbidden("The room does not allow this.")

    async def _welcome(self, room: Room, event: Event, servers: list[str], told: "list[_Told]") -> bytes:
        """What the server of somebody who joined needs."""
        row = event_rows.by_id(self._database, event.event_id)
        groups = None if row is None else state_rows.groups_of(self._database, row.nid)
        if row is None or groups is None:
            raise MatrixError("M_UNKNOWN", "The join was not kept.", 500)
        reading = next((one.read for one in told if one.group_nid == groups[0]), None)
        state, chain = await (reading or self._read(room, groups[0], event))
        head = orjson.dumps(
            {"members_omitted": False, "origin": self._identity.server_name, "servers_in_room": servers}
        )
        parts = (b',"auth_chain":[', b",".join(chain), b'],"state":[', b",".join(state), b'],"event":', row.json, b"}")
        return head[:-1] + b"".join(parts)

    async def _read(self, room: Room, group_nid: int, event: Event) -> tuple[list[bytes], list[bytes]]:
        """A state of a room, and what allows it and an event that stands on it."""

        def read(reader: Reader) -> tuple[list[bytes], list[bytes]]:
            state = list(state_rows.numbered_group(reader, group_nid).values())
            named = event_rows.nids_of(reader, event.auth_events)
            return served.with_chain(reader, state, [*named.values(), *room.implied()])

        return await self._database.reading(read)


def _checked(room: Room, server: str, event_id: str, pdu: dict[str, Any], membership: str) -> Event:
    """A membership that is what it must be; its signatures are checked where it is taken in."""
    try:
        event = Event.from_pdu(room.version, pdu)
    except InvalidEvent as problem:
        raise invalid_param(str(problem)) from problem
    if event.room_id != room.room_id or event.event_id != event_id:
        raise invalid_param("The event is another one than the path names.")
    if event.type != MEMBER or event.membership != membership:
        raise invalid_param(f"The event is not a {membership}.")
    if event.state_key != event.sender or server_of(event.sender) != server:
        raise invalid_param("The event is not about a user of the server that sent it.")
    return event
