"""The owner's account; making it locks the name in."""

from typing import Any

from litestar.types import ASGIApp

from appliance.owner.fields import SHORTEST_PASSWORD, AnswerError
from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from web.wizard.session import Visit
from web.wizard.wizard import WizardPage


class OwnerPage(WizardPage):
    """Making the first account."""

    step = Step.OWNER
    template = "wizard/owner.html"

    @page("GET", "/setup/owner")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/owner

        Asks for user name and password.
        """
        return self.shown(request)

    @page("POST", "/setup/owner")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/owner

        Makes the account.
        """
        return await self.taken(request)

    def values(self, visitor: Visit) -> dict[str, Any]:
        """The name that is about to be locked in."""
        return {
            "server_name": self.wizard.setup.draft.settings.server_name,
            "shortest": SHORTEST_PASSWORD,
            "is_secure": visitor.is_secure,
        }

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Make the account."""
        username = _tidy(form.get("owner.username", ""), self.wizard.setup.draft.settings.server_name)
        password = form.get("owner.password", "")
        if password != form.get("owner.password.again", ""):
            raise AnswerError("owner.password.again", "The two passwords are not the same: type both again.")
        await self.wizard.setup.owner(username, password)
        return self.onward()


def _tidy(text: str, server_name: str) -> str:
    """The user name out of what was typed, which may be the whole user id."""
    return text.strip().lower().removeprefix("@").removesuffix(f":{server_name}")
