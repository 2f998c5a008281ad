"""Servers' keys, for other servers (server-server API, "Server Authentication")."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.federation.keys import PublishedKeys
from appliance.federation.notary import Notary
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit


class Criteria(Struct):
    """What is wanted of one key."""

    minimum_valid_until_ts: int | None = None


class KeysQuery(Struct):
    """The body of a query for the keys of several servers."""

    server_keys: dict[str, dict[str, Criteria]]


class KeysApi(Controller):
    """Published keys."""

    published: PublishedKeys
    notary: Notary

    @endpoint("GET", "/_matrix/key/v2/server", access=Access.NOBODY)
    async def server_keys(self, request: Asked) -> ASGIApp:
        """GET /_matrix/key/v2/server

        Answers the keys that this server signs with and has signed with, signed.
        """
        return answer(self.published.document())

    @endpoint("GET", "/_matrix/key/v2/query/{server_name:str}", access=Access.NOBODY, limit=Limit.READ)
    async def query_one(self, request: Asked, server_name: str) -> ASGIApp:
        """GET /_matrix/key/v2/query/{serverName}

        Answers what is known of another server's keys, with this server's signature beside its own.
        """
        at = request.query_int("minimum_valid_until_ts", 0)
        return answer(await self.notary.answer({server_name: {}}, at or None))

    @endpoint("POST", "/_matrix/key/v2/query", access=Access.NOBODY, limit=Limit.READ)
    async def query(self, request: Asked) -> ASGIApp:
        """POST /_matrix/key/v2/query

        Answers the same of several servers; those of which nothing is known are left out.
        """
        body = await request.struct(KeysQuery)
        wanted = {
            server: {key_id: one.minimum_valid_until_ts for key_id, one in keys.items()}
            for server, keys in body.server_keys.items()
        }
        return answer(await self.notary.answer(wanted))
