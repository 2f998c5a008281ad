"""Where to find this server, for clients, for other servers and for people with a question."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.accounts import Accounts
from appliance.api.client.calls import transports
from appliance.errors import not_found
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access
from appliance.settings import Settings


class WellKnown(Controller):
    """The files under ``/.well-known/matrix``."""

    settings: Settings
    accounts: Accounts

    @endpoint("GET", "/.well-known/matrix/client", access=Access.NOBODY)
    async def client(self, request: Asked) -> ASGIApp:
        """GET /.well-known/matrix/client

        The address that clients use.
        """
        if not self.settings.reached_at:
            raise not_found("This server is not set up yet.")
        told: dict[str, Any] = {"m.homeserver": {"base_url": f"https://{self.settings.reached_at}"}}
        if self.settings.calls_livekit:
            # What Element Call asked for before it asked the server itself (MSC4143).
            told["org.matrix.msc4143.rtc_foci"] = transports(self.settings)
        return answer(told)

    @endpoint("GET", "/.well-known/matrix/server", access=Access.NOBODY)
    async def server(self, request: Asked) -> ASGIApp:
        """GET /.well-known/matrix/server

        Where other servers reach this one: the https listener, which serves federation too.
        """
        if not self.settings.reached_at or not self.settings.federation_enabled:
            raise not_found("This server does not talk with other servers.")
        return answer({"m.server": with_port(self.settings.reached_at)})

    @endpoint("GET", "/.well-known/matrix/support", access=Access.NOBODY)
    async def support(self, request: Asked) -> ASGIApp:
        """GET /.well-known/matrix/support

        Whom to ask: the owner, and the addresses that the settings name.
        """
        contact: dict[str, str] = {}
        owner = self.accounts.first_admin()
        if owner is not None:
            contact["matrix_id"] = owner
        if self.settings.support_email:
            contact["email_address"] = self.settings.support_email
        told: dict[str, Any] = {}
        if contact:
            told["contacts"] = [{**contact, "role": "m.role.admin"}]
        if self.settings.support_page:
            told["support_page"] = self.settings.support_page
        if not told:
            raise not_found("This server has no owner yet.")
        return answer(told)

    @endpoint("GET", "/.well-known/matrix/policy_server", access=Access.NOBODY)
    async def policy_server(self, request: Asked) -> ASGIApp:
        """GET /.well-known/matrix/policy_server

        The key of the policy server at this name, where there is one.
        """
        if not self.settings.policy_server_key:
            raise not_found("There is no policy server at this name.")
        return answer({"public_keys": {"ed25519": self.settings.policy_server_key}})


def with_port(authority: str) -> str:
    """``host:port`` of ``host[:port]``; without a port it is 443, where 8448 would be assumed otherwise."""
    host_ends = authority.rfind("]")
    return authority if ":" in authority[host_ends + 1 :] else f"{authority}:443"
