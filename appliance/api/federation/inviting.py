"""Invitations that other servers bring (server-server API, "Inviting to a room")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.federation.invitations import Invitations
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class Invitation(Struct):
    """An invitation, and what its room shows of itself."""

    room_version: str
    event: dict[str, Any]
    invite_room_state: list[Any] | None = None


class InvitingApi(Controller):
    """Invitations."""

    invitations: Invitations

    @endpoint("PUT", "/_matrix/federation/v2/invite/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def take(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v2/invite/{roomId}/{eventId}

        Takes an invitation for a user of this server, and signs it.
        """
        brought = await request.struct(Invitation)
        signed = await self.invitations.take(
            request.requester.server,
            room_id,
            event_id,
            brought.room_version,
            brought.event,
            brought.invite_room_state,
        )
        return answer({"event": signed})

    @endpoint("PUT", "/_matrix/federation/v1/invite/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def take_as_of_old(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/invite/{roomId}/{eventId}

        The same in the shape that older servers expect, for room versions 1 and 2, whose events look alike.
        """
        pdu = await request.object()
        unsigned = pdu.get("unsigned")
        shown = unsigned.get("invite_room_state") if isinstance(unsigned, dict) else None
        signed = await self.invitations.take(request.requester.server, room_id, event_id, "2", pdu, shown)
        return answer([200, {"event": signed}])
