"""Cross-signing: uploading the keys of a user, and signatures (module "End-to-end encryption", "Cross-signing")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.interactive import PASSWORD, Interactive
from appliance.encryption.cross_signing import FIELDS, CrossSigning, read_keys
from appliance.encryption.signatures import Signatures
from appliance.errors import forbidden
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_FLOWS = ((PASSWORD,),)


class CrossSigningApi(Controller):
    """The cross-signing keys of users."""

    cross_signing: CrossSigning
    signatures: Signatures
    interactive: Interactive

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/device_signing/upload",
        "/_matrix/client/unstable/keys/device_signing/upload",
        suspended=True,
    )
    async def upload(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/keys/device_signing/upload

        Keeps a user's cross-signing keys. The first ones, and the same ones again, are kept without further ado; who
        replaces or adds some must prove to be the user by password, unless the owner has just allowed it. An account
        without a password is told so, since no proof that is offered could help it.
        """
        user_id = request.requester.user_id
        body = await request.object()
        given = read_keys(body, user_id)
        # What follows up on a proof may carry nothing but that.
        whole = body.get("auth") is None or any(name in body for name in FIELDS)
        if whole and await self.cross_signing.upload(user_id, given, proved=False):
            return answer()
        if not self.interactive.has_password(user_id):
            raise forbidden(
                "These keys are in place of others, and this account has no password to prove whose it is. An owner of "
                "this server can allow it for some minutes: hearth user allow-key-reset."
            )
        proof = await self.interactive.prove(
            endpoint="POST /keys/device_signing/upload", asker=user_id, flows=_FLOWS, body=body
        )
        await self.cross_signing.upload(user_id, read_keys(proof.body, user_id), proved=True)
        return answer()

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/signatures/upload",
        "/_matrix/client/unstable/keys/signatures/upload",
        suspended=True,
    )
    async def sign(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/keys/signatures/upload

        Keeps signatures that the user made of devices and master keys; says which were not good.
        """
        failures = await self.signatures.upload(request.requester.user_id, await request.object())
        return answer({"failures": failures})
