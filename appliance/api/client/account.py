"""The account itself: changing its password, ending it."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.accounts import Accounts
from appliance.accounts.bodies import as_struct
from appliance.accounts.interactive import PASSWORD, Interactive, Proof
from appliance.accounts.passwords import check_new_password
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.settings import Settings

MAX_ACCOUNT_BODY = 16 * 1024
_FLOWS = ((PASSWORD,),)


class PasswordChange(Struct):
    """The body of POST /account/password, but for ``auth``."""

    new_password: str | None = None
    logout_devices: bool = True


class Deactivation(Struct):
    """The body of POST /account/deactivate, but for ``auth``."""

    erase: bool = False


class Account(Controller):
    """The user's account. Both endpoints work without an access token for whoever knows the password."""

    accounts: Accounts
    interactive: Interactive
    settings: Settings

    @endpoint(
        "POST",
        "/_matrix/client/v3/account/password",
        access=Access.OPTIONAL,
        suspended=True,
        limit=Limit.LOGIN,
        max_body=MAX_ACCOUNT_BODY,
    )
    async def change_password(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/password

        Changes the password and, unless told otherwise, ends the user's other sessions.
        """
        body = await request.object()
        offered = as_struct(body, PasswordChange)
        if offered.new_password is not None:
            check_new_password(offered.new_password, self.settings.passwords_shortest)
        proof = await self._prove(request, "POST /account/password", body)
        change = as_struct(proof.body, PasswordChange)
        await self.accounts.set_password(
            proof.user_id,
            check_new_password(change.new_password, self.settings.passwords_shortest),
            change.logout_devices,
            keep=request.requester.device_id or None,
        )
        return answer()

    @endpoint(
        "POST",
        "/_matrix/client/v3/account/deactivate",
        access=Access.OPTIONAL,
        suspended=True,
        limit=Limit.LOGIN,
        max_body=MAX_ACCOUNT_BODY,
    )
    async def deactivate(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/deactivate

        Ends the account for ever. There are no third-party identifiers here that an identity server would have to be
        told about.
        """
        body = await request.object()
        as_struct(body, Deactivation)
        proof = await self._prove(request, "POST /account/deactivate", body)
        await self.accounts.deactivate(proof.user_id, erase=as_struct(proof.body, Deactivation).erase)
        return answer({"id_server_unbind_result": "success"})

    async def _prove(self, request: Asked, endpoint: str, body: dict[str, Any]) -> Proof:
        return await self.interactive.prove(endpoint=endpoint, asker=request.requester.user_id, flows=_FLOWS, body=body)
