"""Dehydrated devices (MSC3814)."""

from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.encryption.dehydration import Dehydration
from appliance.encryption.inbox import AT_ONCE
from appliance.errors import bad_json
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.tokens import InboxToken, read_inbox

PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


class DehydratedDevicesApi(Controller):
    """The dehydrated device of a user."""

    dehydration: Dehydration

    @endpoint("PUT", PATH)
    async def put(self, request: Asked) -> ASGIApp:
        """PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device

        Makes a dehydrated device with its keys, in place of the one before.
        """
        return answer({"device_id": await self.dehydration.put(request.requester.user_id, await request.object())})

    @endpoint("GET", PATH)
    async def get(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device

        The dehydrated device and its data.
        """
        device_id, data = self.dehydration.get(request.requester.user_id)
        return answer(orjson.dumps({"device_id": device_id, "device_data": orjson.Fragment(data)}))

    @endpoint("DELETE", PATH)
    async def delete(self, request: Asked) -> ASGIApp:
        """DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device

        Deletes the dehydrated device.
        """
        return answer({"device_id": await self.dehydration.delete(request.requester.user_id)})

    @endpoint("GET", PATH + "/{device_id:str}/events")
    async def events(self, request: Asked, device_id: str) -> ASGIApp:
        """GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events

        The messages that wait for the dehydrated device, a page at a time; the last page has no ``next_batch``.
        """
        found, token, more = self._page(
            request, device_id, request.query_text("from") or request.query_text("next_batch")
        )
        return answer(orjson.dumps({"events": found, **({"next_batch": token} if more else {})}))

    @endpoint("POST", PATH + "/{device_id:str}/events", suspended=True)
    async def events_by_post(self, request: Asked, device_id: str) -> ASGIApp:
        """POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events

        The same as older clients ask for it: there is always a ``next_batch``, and the end is a page without events.
        """
        body: dict[str, Any] = await request.object(empty=True)
        token = body.get("next_batch")
        if token is not None and not isinstance(token, str):
            raise bad_json("next_batch must be a string.")
        found, token, _ = self._page(request, device_id, token)
        return answer(orjson.dumps({"events": found, "next_batch": token}))

    def _page(self, request: Asked, device_id: str, token: str | None) -> tuple[list[orjson.Fragment], str, bool]:
        after = read_inbox(token).position if token else 0
        limit = request.query_int("limit", AT_ONCE, lowest=1, highest=AT_ONCE)
        found, cursor, more = self.dehydration.events(request.requester.user_id, device_id, after, limit)
        return found, str(InboxToken(cursor)), more
