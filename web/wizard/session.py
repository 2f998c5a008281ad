"""Who is at the wizard: a cookie with a secret of 256 bits, whose hash the set-up keeps once it has claimed the server.

There is nothing to sign: a secret that nobody could guess is checked against its hash. Before the claim the cookie
holds a random value of the browser's own, so that the claim's form is bound to the browser too.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from appliance.owner.setup import Setup
from appliance.server.request import Asked

COOKIE = "hearth-setup"
SECURE_COOKIE = "__Host-hearth-setup"
"""Over https a name of its own: what was set there cannot be replaced from plain http, nor get in its way."""
_LONGEST = 100


@dataclass
class Visit:
    """One request to the wizard.

    Args:
        request: the request.
        secret: the cookie's secret, new or as it was sent.
        is_new: whether the browser does not have it yet.
        is_owner: whether it is the browser that claimed the server.
    """

    request: Asked
    secret: str
    is_new: bool
    is_owner: bool

    @property
    def is_secure(self) -> bool:
        """Whether the browser came over https."""
        return self.request.scope["scheme"] == "https"

    @property
    def host(self) -> str:
        """The host that the browser asked for, with its port."""
        return self.request.headers.get("host", "")

    @property
    def form_token(self) -> str:
        """What every form of this browser carries; only who has the cookie can know it."""
        return hmac.digest(self.secret.encode(), b"hearth form", hashlib.sha256).hex()

    def cookie(self, secret: str) -> dict[bytes, bytes]:
        """The header that gives the browser a secret."""
        name, more = (SECURE_COOKIE, "; Secure") if self.is_secure else (COOKIE, "")
        return {b"set-cookie": f"{name}={secret}; Path=/; HttpOnly; SameSite=Strict{more}".encode()}

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The cookie, where the browser does not have it yet."""
        return self.cookie(self.secret) if self.is_new else {}

    def refusal(self, form: dict[str, str]) -> str:
        """Why a form cannot have been sent by a page of ours in this browser, or "" where it was."""
        if not self._same_origin():
            return (
                "This form came from another address than the page's own. Open the page anew and try again; if a "
                "proxy is in between, it must pass on the Host header as it is."
            )
        if self.is_new or not hmac.compare_digest(form.get("token", "").encode(), self.form_token.encode()):
            return "This form was out of date, or the browser keeps no cookies for this page. Please try again."
        return ""

    def _same_origin(self) -> bool:
        """By the host alone: behind a proxy we may not know that the browser's side is https."""
        origin = self.request.headers.get("origin")
        if origin is None:
            return self.request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return origin.partition("://")[2].lower() == self.host.lower()


def visit(request: Asked, setup: Setup) -> Visit:
    """Who makes this request."""
    name = SECURE_COOKIE if request.scope["scheme"] == "https" else COOKIE
    secret = request.cookies.get(name, "")
    if 20 <= len(secret) <= _LONGEST and secret.isascii():
        return Visit(request, secret, is_new=False, is_owner=setup.is_session(secret))
    return Visit(request, secrets.token_urlsafe(32), is_new=True, is_owner=False)
