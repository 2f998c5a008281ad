"""Keys of devices: uploading, asking for them, claiming them, and whose changed (module "End-to-end encryption")."""

from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.encryption import claims, queries, upload_bodies
from appliance.encryption.claims import Claims
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.queries import Queries
from appliance.encryption.uploads import Uploads
from appliance.errors import bad_json, missing_param
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit
from appliance.storage.database import Database
from appliance.storage.tokens import read_sync
from appliance.sync.lineage import Lineage

TIMEOUT_MS, LONGEST_TIMEOUT_MS = 10_000, 60_000


class DeviceKeysApi(Controller):
    """The keys of devices."""

    database: Database
    uploads: Uploads
    queries: Queries
    claims: Claims
    device_lists: DeviceLists
    lineage: Lineage

    @endpoint("POST", "/_matrix/client/v3/keys/upload", guests=True, suspended=True)
    async def upload(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/keys/upload

        Keeps the keys of the device that asks, and answers how many one-time keys it has.
        """
        who = request.requester
        given = upload_bodies.read_plain(await request.body_bytes()) or upload_bodies.read(await request.object())
        counts = await self.uploads.upload(who.user_id, who.device_id, given)
        return answer({"one_time_key_counts": counts})

    @endpoint("POST", "/_matrix/client/v3/keys/query", guests=True, suspended=True, limit=Limit.READ)
    async def query(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/keys/query

        The keys of users and their devices.
        """
        body = await request.object()
        wanted = queries.read_wanted(_required(body, "device_keys"))
        return answer(await self.queries.query(request.requester.user_id, wanted, _timeout(body)))

    @endpoint("POST", "/_matrix/client/v3/keys/claim", guests=True, limit=Limit.READ)
    async def claim(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/keys/claim

        Gives out one-time keys, each once.
        """
        body = await request.object()
        wanted = claims.read_wanted(_required(body, "one_time_keys"))
        given, failures = await self.claims.claim(wanted, _timeout(body))
        return answer(orjson.dumps({"one_time_keys": given, "failures": failures}))

    @endpoint("GET", "/_matrix/client/v3/keys/changes")
    async def changes(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/keys/changes

        Whose devices changed between two of sync's tokens, and who shares no room with the user any more.
        """
        ends = [request.query_text(name) for name in ("from", "to")]
        if not all(ends):
            raise missing_param("from and to are needed: tokens of sync.")
        first, last = (read_sync(text or "") for text in ends)
        since = first.position if self.lineage.knows(first.boot, first.position) else 0
        upto = min(last.position, self.database.position)
        found = await self.device_lists.between(request.requester.user_id, since, max(since, upto))
        return answer({"changed": found.changed, "left": found.left})


def _required(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise missing_param(f"{name} is missing.")
    return body[name]


def _timeout(body: dict[str, Any]) -> int:
    value = body.get("timeout", TIMEOUT_MS)
    if not isinstance(value, int) or isinstance(value, bool):
        raise bad_json("timeout must be a number of milliseconds.")
    return max(0, min(value, LONGEST_TIMEOUT_MS))
