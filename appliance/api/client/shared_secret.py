"""Making accounts with a secret that the owner shares with a program: test suites and scripts written for Synapse ask
for it at this address. It is there only while the setting holds a secret.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from typing import Any

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.accounts.accounts import Accounts
from appliance.accounts.passwords import check_new_password
from appliance.accounts.profiles import Profiles
from appliance.accounts.sessions import Sessions
from appliance.api.client.login import login_answer
from appliance.errors import MatrixError, forbidden, unrecognized
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.settings import Settings

_PATH = "/_synapse/admin/v1/register"
NONCE_SECONDS = 60
MOST_NONCES = 1000


class Wish(Struct):
    """The body of the request: an account, and the proof that its sender has the secret."""

    nonce: str
    username: str
    password: str
    mac: str
    admin: bool = False
    user_type: str | None = None
    displayname: str | None = None
    inhibit_login: bool = False


class SharedSecretApi(Controller):
    """Making accounts with the shared secret."""

    accounts: Accounts
    nonces: "Nonces"
    profiles: Profiles
    sessions: Sessions
    settings: Settings

    @endpoint("GET", _PATH, access=Access.NOBODY, limit=Limit.NONE)
    async def nonce(self, request: Asked) -> ASGIApp:
        """GET /_synapse/admin/v1/register

        A word that the next request must hold, once, within a minute.
        """
        self._secret()
        return answer({"nonce": self.nonces.make()})

    @endpoint("POST", _PATH, access=Access.NOBODY, limit=Limit.NONE)
    async def register(self, request: Asked) -> ASGIApp:
        """POST /_synapse/admin/v1/register

        Makes an account and logs in to it, for whoever proves to have the secret.
        """
        secret = self._secret()
        wish = await request.struct(Wish)
        if not self.nonces.use(wish.nonce):
            raise MatrixError("M_UNKNOWN", "This nonce is unknown, was used before or is too old.", 400)
        if not hmac.compare_digest(mac(secret, wish), wish.mac.lower()):
            raise forbidden("The HMAC is wrong: is the secret the same on both sides?")
        check_new_password(wish.password)
        user_id = await self.accounts.create(wish.username, wish.password, admin=wish.admin)
        if wish.displayname:
            await self.profiles.put(user_id, "displayname", {"displayname": wish.displayname})
        login = None if wish.inhibit_login else await self.sessions.login(user_id, None, None)
        return login_answer(user_id, login)

    def _secret(self) -> str:
        if not self.settings.registration_shared_secret:
            raise unrecognized()
        return self.settings.registration_shared_secret


class Nonces:
    """Words that are good once, for a minute."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._made: OrderedDict[str, float] = OrderedDict()

    def make(self) -> str:
        """A new one."""
        nonce = secrets.token_hex(32)
        self._made[nonce] = self._clock() + NONCE_SECONDS
        if len(self._made) > MOST_NONCES:
            self._made.popitem(last=False)
        return nonce

    def use(self, nonce: str) -> bool:
        """Use one up; whether it was good."""
        ends = self._made.pop(nonce, None)
        return ends is not None and ends > self._clock()


def mac(secret: str, wish: Wish) -> str:
    """What proves that the sender of a wish has the secret: HMAC-SHA1 in hexadecimal digits."""
    parts = [wish.nonce, wish.username, wish.password, "admin" if wish.admin else "notadmin"]
    if wish.user_type:
        parts.append(wish.user_type)
    return hmac.new(secret.encode(), b"\0".join(part.encode() for part in parts), hashlib.sha1).hexdigest()
