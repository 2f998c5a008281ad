"""Coming and going (client-server API, "Room membership")."""

from collections.abc import Sequence

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import invalid_param, not_found
from appliance.protocol.identifiers import is_room_id
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.notices import Notices
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit

ROOM = "/_matrix/client/v3/rooms/{room_id:str}"


class Reason(Struct):
    """A body that may say why."""

    reason: str | None = None


class Invitation(Struct):
    """Whom to invite, remove, ban or unban, and why."""

    user_id: str
    reason: str | None = None


class MembershipApi(Controller):
    """The asker's own memberships, and what they may do to others'."""

    membership: Membership
    notices: Notices
    aliases: Aliases

    @endpoint("POST", ROOM + "/join", guests=True, limit=Limit.JOIN)
    async def join(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/join

        Joins a room by its id.
        """
        return await self._join(request, room_id, ())

    @endpoint("POST", "/_matrix/client/v3/join/{room:str}", guests=True, limit=Limit.JOIN)
    async def join_by_name(self, request: Asked, room: str) -> ASGIApp:
        """POST /_matrix/client/v3/join/{roomIdOrAlias}

        Joins a room by its id or an alias.
        """
        room_id, servers = await self.aliases.resolve(room)
        return await self._join(request, room_id, (*via(request), *servers))

    @endpoint("POST", ROOM + "/invite", limit=Limit.INVITE)
    async def invite(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/invite

        Invites a user.
        """
        body = await request.object()
        if "user_id" not in body and "medium" in body:
            raise not_found("Invitations by e-mail or telephone number need an identity server, which Hearth has not.")
        wanted = await request.struct(Invitation)
        await self.membership.invite(request.requester.user_id, room_id, wanted.user_id, wanted.reason)
        return answer()

    @endpoint("POST", ROOM + "/leave", guests=True, suspended=True)
    async def leave(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/leave

        Leaves a room, or rejects an invitation.
        """
        wanted = await request.struct(Reason, empty=True)
        await self.notices.check_leaving(request.requester.user_id, room_id)
        await self.membership.leave(request.requester.user_id, room_id, wanted.reason)
        return answer()

    @endpoint("POST", ROOM + "/forget", guests=True, suspended=True)
    async def forget(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/forget

        Forgets a room that the asker has left.
        """
        await self.membership.forget(request.requester.user_id, room_id)
        return answer()

    @endpoint("POST", ROOM + "/kick")
    async def kick(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/kick

        Removes a user.
        """
        wanted = await request.struct(Invitation)
        await self.membership.kick(request.requester.user_id, room_id, wanted.user_id, wanted.reason)
        return answer()

    @endpoint("POST", ROOM + "/ban")
    async def ban(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/ban

        Bans a user.
        """
        wanted = await request.struct(Invitation)
        await self.membership.ban(request.requester.user_id, room_id, wanted.user_id, wanted.reason)
        return answer()

    @endpoint("POST", ROOM + "/unban")
    async def unban(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/unban

        Lifts a ban.
        """
        wanted = await request.struct(Invitation)
        await self.membership.unban(request.requester.user_id, room_id, wanted.user_id, wanted.reason)
        return answer()

    async def _join(self, request: Asked, room_id: str, servers: Sequence[str]) -> ASGIApp:
        if not is_room_id(room_id):
            raise invalid_param(f"{room_id!r} is neither a room id nor an alias.")
        await request.struct(Reason, empty=True)
        body = await request.object(empty=True)
        # What else a client says becomes part of the membership, as it does with other servers.
        said = {key: value for key, value in body.items() if key != "third_party_signed" and value is not None}
        await self.membership.join(request.requester.user_id, room_id, said, servers)
        return answer({"room_id": room_id})


def via(request: Asked) -> list[str]:
    """The servers that a client names as those that may know a room, also by the parameter's old name; some tens."""
    query = request.query_params
    return [str(one) for name in ("via", "server_name") for one in query.getall(name, [])][:50]
