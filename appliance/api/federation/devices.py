"""Keys of users and devices, for other servers (server-server API, "Device Management", "End-to-End Encryption")."""

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.encryption import claims, queries
from appliance.encryption.claims import Claims
from appliance.encryption.local_lists import LocalLists
from appliance.errors import missing_param, not_found
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access
from appliance.storage.accounts import find_account
from appliance.storage.database import Database


class DevicesForServersApi(Controller):
    """Keys."""

    database: Database
    claims: Claims
    lists: LocalLists

    @endpoint("POST", "/_matrix/federation/v1/user/keys/query", access=Access.SERVER)
    async def query(self, request: Asked) -> ASGIApp:
        """POST /_matrix/federation/v1/user/keys/query

        The keys of users of this server and of their devices.
        """
        body = await request.object()
        if "device_keys" not in body:
            raise missing_param("device_keys is missing.")
        found = await self.lists.keys(queries.read_wanted(body["device_keys"]))
        return answer(orjson.dumps(found))

    @endpoint("POST", "/_matrix/federation/v1/user/keys/claim", access=Access.SERVER)
    async def claim(self, request: Asked) -> ASGIApp:
        """POST /_matrix/federation/v1/user/keys/claim

        Gives out one-time keys of users of this server, each once.
        """
        body = await request.object()
        if "one_time_keys" not in body:
            raise missing_param("one_time_keys is missing.")
        given = await self.claims.claim_local(claims.read_wanted(body["one_time_keys"]))
        return answer(orjson.dumps({"one_time_keys": given}))

    @endpoint("GET", "/_matrix/federation/v1/user/devices/{user_id:str}", access=Access.SERVER)
    async def devices(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/user/devices/{userId}

        All devices of a user of this server that have keys, and the version of the list, which the changes go on from
        that are told later.
        """
        if find_account(self.database, user_id) is None:
            raise not_found("There is no such user here.")
        return answer(orjson.dumps(self.lists.devices(user_id)))
