"""What owners of this server may ask about its users (client-server API, module "Server Administration")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.accounts import Account, Accounts
from appliance.accounts.devices import Devices
from appliance.errors import forbidden, invalid_param, not_found
from appliance.protocol.identifiers import is_user_id, server_of
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Requester
from appliance.settings import Settings

_SUSPEND = (
    "/_matrix/client/v1/admin/suspend/{user_id:str}",
    "/_matrix/client/unstable/uk.timedout.msc4323/admin/suspend/{user_id:str}",
)
_LOCK = (
    "/_matrix/client/v1/admin/lock/{user_id:str}",
    "/_matrix/client/unstable/uk.timedout.msc4323/admin/lock/{user_id:str}",
)


class Suspension(Struct):
    """The body of PUT /admin/suspend/{userId}."""

    suspended: bool


class Locking(Struct):
    """The body of PUT /admin/lock/{userId}."""

    locked: bool


class AdminApi(Controller):
    """Looking at users, suspending and locking them."""

    accounts: Accounts
    devices: Devices
    settings: Settings

    @endpoint("GET", "/_matrix/client/v3/admin/whois/{user_id:str}")
    async def whois(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/admin/whois/{userId}

        From where and when a user's devices were last used; for the user and for owners.
        """
        if user_id != request.requester.user_id and not request.requester.admin:
            raise forbidden("Only an owner of this server may ask about others.")
        if self.accounts.get(user_id) is None:
            raise not_found("There is no such user on this server.")
        devices = {device.device_id: _sessions(device) for device in await self.devices.list(user_id)}
        return answer({"user_id": user_id, "devices": devices})

    @endpoint("GET", *_SUSPEND)
    async def suspended(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/admin/suspend/{userId}

        Whether a user is suspended.
        """
        return answer({"suspended": self._target(request.requester, user_id).suspended})

    @endpoint("PUT", *_SUSPEND)
    async def suspend(self, request: Asked, user_id: str) -> ASGIApp:
        """PUT /_matrix/client/v1/admin/suspend/{userId}

        Suspends a user, who then can read and not write, or takes that back.
        """
        asked = await request.struct(Suspension)
        self._target(request.requester, user_id)
        await self.accounts.restrict(user_id, suspended=asked.suspended)
        return answer({"suspended": asked.suspended})

    @endpoint("GET", *_LOCK)
    async def locked(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/admin/lock/{userId}

        Whether a user is locked out.
        """
        return answer({"locked": self._target(request.requester, user_id).locked})

    @endpoint("PUT", *_LOCK)
    async def lock(self, request: Asked, user_id: str) -> ASGIApp:
        """PUT /_matrix/client/v1/admin/lock/{userId}

        Locks a user out, who then can do nothing but log out, or takes that back.
        """
        asked = await request.struct(Locking)
        self._target(request.requester, user_id)
        await self.accounts.restrict(user_id, locked=asked.locked)
        return answer({"locked": asked.locked})

    def _target(self, requester: Requester, user_id: str) -> Account:
        """The user whom an owner may suspend or lock. Who may ask is judged before who there is."""
        if not requester.admin:
            raise forbidden("Only an owner of this server may do this.")
        if not is_user_id(user_id) or server_of(user_id) != self.settings.server_name:
            raise invalid_param("This is no user of this server.")
        account = self.accounts.get(user_id)
        if account is None or account.deactivated:
            raise not_found("There is no such user on this server.")
        if account.admin:
            raise forbidden("Owners can be neither suspended nor locked, oneself included.")
        return account


def _sessions(device: Any) -> dict[str, Any]:
    connection = {"ip": device.last_seen_ip, "last_seen": device.last_seen_ts}
    known = {name: value for name, value in connection.items() if value is not None}
    return {"sessions": [{"connections": [known] if known else []}]}
