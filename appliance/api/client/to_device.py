"""Messages from device to device (module "Send-to-Device messaging")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.encryption.to_device import ToDevice
from appliance.errors import missing_param
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit


class ToDeviceApi(Controller):
    """Sending to devices."""

    to_device: ToDevice

    @endpoint(
        "PUT",
        "/_matrix/client/v3/sendToDevice/{event_type:str}/{txn_id:str}",
        guests=True,
        suspended=True,
        limit=Limit.READ,
    )
    async def send(self, request: Asked, event_type: str, txn_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}

        Sends a message to each of some devices; they get it with their next sync.
        """
        body = await request.object()
        if "messages" not in body:
            raise missing_param("messages is missing.")
        who = request.requester
        await self.to_device.send(who.user_id, who.device_id, event_type, txn_id, body["messages"])
        return answer()
