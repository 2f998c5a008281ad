"""Invitations by e-mail addresses and telephone numbers (server-server API, "Third-party invites")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import forbidden
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access


class ThirdPartyApi(Controller):
    """Refusals: Hearth works with no identity server, so that nobody here is invited in this way, nor invites."""

    @endpoint("PUT", "/_matrix/federation/v1/3pid/onbind", access=Access.NOBODY)
    async def bound(self, request: Asked) -> ASGIApp:
        """PUT /_matrix/federation/v1/3pid/onbind

        Takes note that an address belongs to a user; there is nothing to do about it.
        """
        await request.object()
        return answer()

    @endpoint("PUT", "/_matrix/federation/v1/exchange_third_party_invite/{room_id:str}", access=Access.SERVER)
    async def exchange(self, request: Asked, room_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}

        Refuses: nobody of this server can have invited somebody so.
        """
        await request.object()
        raise forbidden("Nobody of this server invites people by their addresses.")
