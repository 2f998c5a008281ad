"""Requests that other servers send us: who signed them (server-server API, "Request Authentication")."""

from collections.abc import Callable, Sequence

from appliance.errors import MatrixError, not_json
from appliance.federation.keyring import Keyring
from appliance.federation.policy import Policy
from appliance.protocol import canonical, signing
from appliance.protocol.identifiers import is_server_name
from appliance.protocol.x_matrix import XMatrix, parse, signed_bytes
from appliance.settings import Settings

MOST_HEADERS = 4
"""Signatures of one request that are looked at."""

Headers = Sequence[tuple[bytes, bytes]]


class SignedRequests:
    """Finds out who signed a request.

    Args:
        settings: our name.
        policy: whom we listen to.
        keyring: the keys of others.

    Attributes:
        contacts: called with the name of every server whose request was found good.
    """

    def __init__(self, settings: Settings, policy: Policy, keyring: Keyring) -> None:
        self._settings = settings
        self._policy = policy
        self._keyring = keyring
        self.contacts: list[Callable[[str], None]] = []

    async def authenticate(self, method: str, target: bytes, body: bytes, headers: Headers) -> str:
        """The name of the server that signed a request.

        Any one good signature is enough, as a server may sign with several keys.

        Args:
            method: as sent.
            target: raw path and query, as sent.
            body: as sent.
            headers: names in lower case; ``Authorization`` may be there several times.

        Raises:
            MatrixError: 401 ``M_UNAUTHORIZED`` where no signature is good, 403 ``M_FORBIDDEN`` where we do not talk
                with that server, 400 ``M_NOT_JSON``.
        """
        claims = [
            claim
            for name, value in headers
            if name == b"authorization" and (claim := parse(value.decode("latin-1"))) is not None
        ][:MOST_HEADERS]
        if not claims:
            raise _unauthorized("This request must be signed by the server that sends it (X-Matrix).")
        try:
            uri = target.decode("ascii")
            content = canonical.encode(canonical.decode(body, max_depth=canonical.DEEPEST)) if body else None
        except ValueError as error:
            raise not_json() from error
        refusal = _unauthorized("The signature of this request is not good.")
        for claim in claims:
            try:
                await self._check(claim, method, uri, content)
            except MatrixError as error:
                refusal = error
            else:
                for contact in self.contacts:
                    contact(claim.origin)
                return claim.origin
        raise refusal

    async def _check(self, claim: XMatrix, method: str, uri: str, content: bytes | None) -> None:
        here = self._settings.server_name
        if claim.destination is not None and claim.destination != here:
            raise _unauthorized(f"This request is meant for another server; this one is {here}.")
        if not is_server_name(claim.origin) or claim.origin == here:
            raise _unauthorized("The origin of this request is not the name of another server.")
        self._policy.may_be_asked(claim.origin)
        key = await self._keyring.current_key(claim.origin, claim.key)
        if key is None:
            raise _unauthorized(f"The key {claim.key[:80]} of {claim.origin} cannot be had, or is no longer valid.")
        data = signed_bytes(method, uri, claim.origin, claim.destination, content)
        # Some old servers sign the destination although they do not name it in the header.
        if not signing.verify(data, claim.signature, key) and not (
            claim.destination is None
            and signing.verify(signed_bytes(method, uri, claim.origin, here, content), claim.signature, key)
        ):
            raise _unauthorized("The signature of this request is not good.")


def _unauthorized(message: str) -> MatrixError:
    return MatrixError("M_UNAUTHORIZED", message, 401)
