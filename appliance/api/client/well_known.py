"""Where to find this server, for clients, for other servers and for people with a question."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.accounts import Accounts
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
        return answer({"m.homeserver": {"base_url": f"https://{self.settings.reached_at}"}})

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

        Whom to ask: the owner.
        """
        owner = self.accounts.first_admin()
        if owner is None:
            raise not_found("This server has no owner yet.")
        return answer({"contacts": [{"matrix_id": owner, "role": "m.role.admin"}]})


def with_port(authority: str) -> str:
    """``host:port`` of ``host[:port]``; without a port it is 443, where 8448 would be assumed otherwise."""
    host_ends = authority.rfind("]")
    return authority if ":" in authority[host_ends + 1 :] else f"{authority}:443"
