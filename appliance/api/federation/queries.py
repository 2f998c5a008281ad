"""What other servers ask about users and aliases (server-server API, "Querying for information")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.profiles import Profiles
from appliance.errors import forbidden, invalid_param, missing_param, not_found
from appliance.protocol.identifiers import is_room_alias, is_user_id, server_of
from appliance.rooms.acts.aliases import Aliases
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access
from appliance.settings import Settings


class QueriesApi(Controller):
    """Queries."""

    aliases: Aliases
    profiles: Profiles
    settings: Settings

    @endpoint("GET", "/_matrix/federation/v1/query/directory", access=Access.SERVER)
    async def directory(self, request: Asked) -> ASGIApp:
        """GET /_matrix/federation/v1/query/directory

        Answers the room behind an alias of this server.
        """
        alias = request.query_text("room_alias")
        if alias is None:
            raise missing_param("room_alias is missing.")
        if not is_room_alias(alias) or server_of(alias) != self.settings.server_name:
            raise not_found("This is no alias of this server.")
        room_id, servers = await self.aliases.find(alias)
        return answer({"room_id": room_id, "servers": servers})

    @endpoint("GET", "/_matrix/federation/v1/query/profile", access=Access.SERVER)
    async def profile(self, request: Asked) -> ASGIApp:
        """GET /_matrix/federation/v1/query/profile

        Answers the profile of a user of this server, or one field of it.
        """
        user_id, field = request.query_text("user_id"), request.query_text("field")
        if user_id is None:
            raise missing_param("user_id is missing.")
        if not is_user_id(user_id) or server_of(user_id) != self.settings.server_name:
            raise invalid_param("This is no user of this server.")
        if not self.profiles.tells_servers():
            raise forbidden("This server shows profiles only to those who share a room with their users.")
        profile = self.profiles.profile(user_id)
        if field is None:
            return answer(profile)
        return answer({field: profile[field]} if field in profile else {})

    @endpoint("GET", "/_matrix/federation/v1/query/{query_type:str}", access=Access.SERVER)
    async def anything(self, request: Asked, query_type: str) -> ASGIApp:
        """GET /_matrix/federation/v1/query/{queryType}

        Says that there is no such query.
        """
        raise not_found(f"Hearth knows no query of the type {query_type}.")
