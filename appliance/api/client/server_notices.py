"""Saying something to a user in the server's name, as Synapse's tools ask for it."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import forbidden
from appliance.rooms.acts.notices import Notices
from appliance.rooms.snapshot import Transaction
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

PATH = "/_synapse/admin/v1/send_server_notice"


class Notice(Struct):
    """The body of the request."""

    user_id: str
    content: dict[str, Any]


class ServerNoticesApi(Controller):
    """What owners have the server say."""

    notices: Notices

    @endpoint("POST", PATH)
    async def say(self, request: Asked) -> ASGIApp:
        """POST /_synapse/admin/v1/send_server_notice

        Sends a user a server notice.
        """
        return await self._say(request, f"request-{request.scope['request_id']}")  # type: ignore[typeddict-item]

    @endpoint("PUT", PATH + "/{txn_id:str}")
    async def say_once(self, request: Asked, txn_id: str) -> ASGIApp:
        """PUT /_synapse/admin/v1/send_server_notice/{txnId}

        Sends a user a server notice, once for each transaction id.
        """
        return await self._say(request, f"once-{txn_id}")

    async def _say(self, request: Asked, name: str) -> ASGIApp:
        asker = request.requester
        if not asker.admin:
            raise forbidden("Only an owner of this server may do this.")
        wanted = await request.struct(Notice)
        transaction = Transaction(asker.user_id, asker.device_id, "send_server_notice", name)
        return answer({"event_id": await self.notices.say(wanted.user_id, wanted.content, transaction)})
