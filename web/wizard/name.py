"""The server's name, which is for ever."""

import re

from litestar.types import ASGIApp

from appliance.owner import fields
from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from web.wizard.session import Visit
from web.wizard.wizard import WizardPage


class NamePage(WizardPage):
    """Choosing the name."""

    step = Step.NAME
    template = "wizard/name.html"

    @page("GET", "/setup/name")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/name

        Asks for the name.
        """
        return self.shown(request)

    @page("POST", "/setup/name")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/name

        Takes the name for now, or shows what user ids would look like.
        """
        return await self.taken(request)

    def typed(self, visitor: Visit) -> dict[str, str]:
        """The name as it was chosen before."""
        return {"server_name": self.wizard.setup.draft.settings.server_name}

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Take the name, or preview it."""
        name = tidy(form.get("server_name", ""))
        if "preview" in form:
            fields.server_name(name)
            return self.again(visitor, {"server_name": name})
        await self.wizard.setup.name(name)
        return self.onward()


def tidy(text: str) -> str:
    """A name without what people type or paste around it: spaces, https://, a path, @you:, capitals."""
    text = re.sub(r"^[a-z]+://", "", text.strip().lower())
    if text.startswith("@"):
        text = text.partition(":")[2]
    return text.partition("/")[0].rstrip(".")
