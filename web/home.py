"""The root of the site: for the person who typed the server's name into a browser."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.owner.setup import Setup
from appliance.server.endpoints import page
from appliance.settings import Settings
from web.rendering import html, see


class Home(Controller):
    """A calm page that says what this is."""

    settings: Settings
    setup: Setup

    @page("GET", "/")
    async def show(self) -> ASGIApp:
        """GET /

        Says that this is a Matrix server and what to do with it; leads to the wizard while there is one.
        """
        if not self.setup.is_finished:
            return see("/setup")
        return html("home.html", server_name=self.settings.server_name, address=f"https://{self.settings.reached_at}")
