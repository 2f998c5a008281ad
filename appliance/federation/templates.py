"""Events that other servers make for their users with our help: templates for joining, leaving and knocking.

Server-server API, "Joining Rooms", "Leaving Rooms" and "Knocking upon a room".
"""

from collections.abc import Sequence
from typing import Any

from appliance.errors import MatrixError, forbidden
from appliance.federation.access import RoomAccess
from appliance.protocol.auth import auth_event_slots
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.identifiers import is_user_id, server_of
from appliance.rooms.acts.admitting import Admitting
from appliance.rooms.graph.appending import Appender, Draft
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MAX_PARENTS, MEMBER


class Templates:
    """Makes templates.

    Args:
        access: which servers may ask.
        appender: builds events.
        admitting: who is let into restricted rooms.
    """

    def __init__(self, access: RoomAccess, appender: Appender, admitting: Admitting) -> None:
        self._access = access
        self._appender = appender
        self._admitting = admitting

    async def join(self, server: str, room_id: str, user_id: str, versions: Sequence[str]) -> dict[str, Any]:
        """A template for a join.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``, ``M_INCOMPATIBLE_ROOM_VERSION``,
                ``M_UNABLE_TO_AUTHORISE_JOIN``, ``M_UNABLE_TO_GRANT_JOIN``.
        """
        room = await self._room(server, room_id, user_id)
        _check_version(room, versions)
        content = {"membership": "join"}
        authoriser = await self._admitting.authoriser(room, room.head, user_id)
        if authoriser is not None:
            content[AUTHORISER] = authoriser
        return self._template(room, user_id, content)

    async def knock(self, server: str, room_id: str, user_id: str, versions: Sequence[str]) -> dict[str, Any]:
        """A template for a knock.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``, ``M_INCOMPATIBLE_ROOM_VERSION``.
        """
        room = await self._room(server, room_id, user_id)
        _check_version(room, versions)
        return self._template(room, user_id, {"membership": "knock"})

    async def leave(self, server: str, room_id: str, user_id: str) -> dict[str, Any]:
        """A template for leaving a room, or for rejecting an invitation to it.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        room = await self._room(server, room_id, user_id)
        return self._template(room, user_id, {"membership": "leave"})

    async def _room(self, server: str, room_id: str, user_id: str) -> Room:
        if not is_user_id(user_id) or server_of(user_id) != server:
            raise forbidden("A server can only ask for its own users.")
        return await self._access.open_room(server, room_id)

    def _template(self, room: Room, user_id: str, content: dict[str, Any]) -> dict[str, Any]:
        head = room.head
        parents = head.extremities[:MAX_PARENTS]
        slots = auth_event_slots(room.version, type=MEMBER, sender=user_id, state_key=user_id, content=content)
        auth = [head.state[slot] for slot in slots if slot in head.state]
        event = self._appender.builder.build(room, parents, auth, MEMBER, user_id, content, user_id)
        Draft(room, self._appender).judge(event)
        own = ("hashes", "signatures", "event_id")
        template = {key: value for key, value in event.pdu.items() if key not in own}
        return {
            "room_version": room.version.identifier,
            "event": {**template, "origin": self._appender.server_name},
        }


def _check_version(room: Room, versions: Sequence[str]) -> None:
    if room.version.identifier not in (versions or ("1",)):
        raise MatrixError(
            "M_INCOMPATIBLE_ROOM_VERSION",
            f"Your server does not know version {room.version.identifier}, which this room has.",
            400,
            room_version=room.version.identifier,
        )
