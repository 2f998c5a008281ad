"""Who may make an account, whether other servers are talked with, and with that the end of the set-up."""

from typing import Any, cast

from litestar.types import ASGIApp

from appliance.owner.fields import AnswerError
from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from appliance.settings import RegistrationMode
from web.wizard.session import Visit
from web.wizard.wizard import WizardPage


class JoiningPage(WizardPage):
    """Choosing who may join."""

    step = Step.JOINING
    template = "wizard/joining.html"

    @page("GET", "/setup/joining")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/joining

        Asks who may make an account, and whether other servers are talked with.
        """
        return self.shown(request)

    @page("POST", "/setup/joining")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/joining

        Ends the set-up.
        """
        return await self.taken(request)

    def values(self, visitor: Visit) -> dict[str, Any]:
        """Whether other servers could reach this one at all, and whose account there is."""
        draft = self.wizard.setup.draft
        return {"is_lan": draft.settings.tls_mode == "lan", "owner": draft.owner}

    def typed(self, visitor: Visit) -> dict[str, str]:
        """What was chosen before, or the careful choice."""
        settings = self.wizard.setup.draft.settings
        return {
            "registration.mode": settings.registration_mode,
            "federation.enabled": "yes" if settings.federation_enabled else "no",
        }

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Keep both and finish."""
        mode = form.get("registration.mode", "")
        if mode not in ("closed", "token", "open"):
            raise AnswerError("registration.mode", "Choose who may make an account.")
        federation = form.get("federation.enabled") == "yes" and self.wizard.setup.draft.settings.tls_mode != "lan"
        await self.wizard.setup.joining(cast("RegistrationMode", mode), federation)
        return self.onward()
