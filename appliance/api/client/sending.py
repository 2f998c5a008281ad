"""Sending events and redacting them (client-server API, "Sending events to a room", "Redactions")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.delayed_events import scheduled
from appliance.rooms.acts.delayed import Delayed
from appliance.rooms.acts.sending import Sending
from appliance.rooms.snapshot import Transaction
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit

ROOM = "/_matrix/client/v3/rooms/{room_id:str}"


class SendingApi(Controller):
    """What the asker says."""

    delayed: Delayed
    sending: Sending

    @endpoint("PUT", ROOM + "/send/{event_type:str}/{txn_id:str}", guests=True, limit=Limit.SEND)
    async def send(self, request: Asked, room_id: str, event_type: str, txn_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}

        Sends an event that is no state, once for each transaction id; later, where a delay is asked for (MSC4140).
        """
        later = await scheduled(request, self.delayed, room_id, event_type, None, txn_id)
        if later is not None:
            return later
        content = await request.object()
        asker = request.requester
        transaction = Transaction(asker.user_id, asker.device_id, f"send/{room_id}/{event_type}", txn_id)
        event_id = await self.sending.send(asker.user_id, room_id, event_type, content, transaction)
        return answer({"event_id": event_id})

    @endpoint("PUT", ROOM + "/redact/{event_id:str}/{txn_id:str}", limit=Limit.SEND, suspended=True)
    async def redact(self, request: Asked, room_id: str, event_id: str, txn_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}

        Takes the content out of an event, once for each transaction id.
        """
        content = await request.object(empty=True)
        asker = request.requester
        transaction = Transaction(asker.user_id, asker.device_id, f"redact/{room_id}/{event_id}", txn_id)
        redaction = await self.sending.redact(asker.user_id, room_id, event_id, content, transaction)
        return answer({"event_id": redaction})
