"""A user's devices."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.devices import Devices
from appliance.accounts.interactive import PASSWORD, Interactive
from appliance.accounts.sessions import Sessions
from appliance.errors import bad_json, missing_param
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit
from appliance.storage.devices import Device

MAX_DEVICES_BODY = 256 * 1024
_FLOWS = ((PASSWORD,),)


class DeviceChange(Struct):
    """The body of PUT /devices/{deviceId}."""

    display_name: str | None = None


class DevicesApi(Controller):
    """Devices: looking at them, naming them, deleting them."""

    devices: Devices
    sessions: Sessions
    interactive: Interactive

    @endpoint("GET", "/_matrix/client/v3/devices", guests=True)
    async def all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/devices

        Every device of the user.
        """
        found = await self.devices.list(request.requester.user_id)
        return answer({"devices": [_told(device) for device in found]})

    @endpoint("GET", "/_matrix/client/v3/devices/{device_id:str}", guests=True)
    async def one(self, request: Asked, device_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/devices/{deviceId}

        One device of the user.
        """
        return answer(_told(self.devices.get(request.requester.user_id, device_id)))

    @endpoint("PUT", "/_matrix/client/v3/devices/{device_id:str}", guests=True)
    async def rename(self, request: Asked, device_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/devices/{deviceId}

        Names a device; without a name in the body nothing changes.
        """
        change = await request.struct(DeviceChange)
        user_id = request.requester.user_id
        if change.display_name is None:
            self.devices.get(user_id, device_id)
        else:
            await self.devices.rename(user_id, device_id, change.display_name)
        return answer()

    @endpoint(
        "DELETE",
        "/_matrix/client/v3/devices/{device_id:str}",
        suspended=True,
        limit=Limit.LOGIN,
        max_body=MAX_DEVICES_BODY,
    )
    async def delete(self, request: Asked, device_id: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/devices/{deviceId}

        Deletes a device and ends the session on it, for whoever proves to be the user by password.
        """
        user_id = request.requester.user_id
        await self.interactive.prove(
            endpoint=f"DELETE /devices/{device_id}",
            asker=user_id,
            flows=_FLOWS,
            body=await request.object(empty=True),
        )
        await self.sessions.delete_devices(user_id, [device_id])
        return answer()

    @endpoint(
        "POST",
        "/_matrix/client/v3/delete_devices",
        suspended=True,
        limit=Limit.LOGIN,
        max_body=MAX_DEVICES_BODY,
    )
    async def delete_several(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/delete_devices

        Deletes several devices as DELETE /devices/{deviceId} does one.
        """
        user_id = request.requester.user_id
        body = await request.object()
        if "devices" in body or "auth" not in body:
            _device_ids(body)
        proof = await self.interactive.prove(endpoint="POST /delete_devices", asker=user_id, flows=_FLOWS, body=body)
        await self.sessions.delete_devices(user_id, _device_ids(proof.body))
        return answer()


def _device_ids(body: dict[str, Any]) -> list[str]:
    wanted = body.get("devices")
    if wanted is None:
        raise missing_param("devices is missing: which devices are to be deleted?")
    if not isinstance(wanted, list) or not all(isinstance(device_id, str) for device_id in wanted):
        raise bad_json("devices must be a list of strings.")
    return wanted


def _told(device: Device) -> dict[str, Any]:
    """A device as clients see it: what is not known is left out."""
    told = {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_ts": device.last_seen_ts,
    }
    return {name: value for name, value in told.items() if value is not None}
