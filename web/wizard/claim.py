"""The first page: whoever can read the server's log owns the server."""

from typing import Any

from litestar.types import ASGIApp

from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from web.rendering import html, see
from web.wizard.session import Visit, visit
from web.wizard.wizard import PATHS, WizardPage, gone


class ClaimPage(WizardPage):
    """Claiming the server with its code; again in another browser, too."""

    step = Step.CLAIM
    template = "wizard/claim.html"

    @page("GET", "/setup", "/setup/")
    async def begin(self, request: Asked) -> ASGIApp:
        """GET /setup

        Leads to the page that is next for this browser.
        """
        setup = self.wizard.setup
        visitor = visit(request, setup)
        if setup.is_finished and not (visitor.is_owner and setup.is_open):
            return gone()
        return see(PATHS[setup.step if visitor.is_owner else Step.CLAIM])

    @page("GET", "/setup/claim")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/claim

        Asks for the claim code.
        """
        return self.shown(request)

    @page("POST", "/setup/claim")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/claim

        Makes this browser the wizard's browser.
        """
        return await self.taken(request)

    @page("GET", "/setup/resume")
    async def resume(self, request: Asked) -> ASGIApp:
        """GET /setup/resume

        Goes on at another address of this server with a pass that the certificate's page gave. Answers a page and not
        a redirect: a strict cookie would not be sent along with a redirect that another site began.
        """
        setup = self.wizard.setup
        visitor = visit(request, setup)
        if setup.is_finished:
            return gone()
        if not self.wizard.use_pass(request.query_params.get("pass", "")):
            return see("/setup")
        return html("wizard/resume.html", 200, visitor.cookie(await setup.renew_session()), path=PATHS[setup.step])

    def values(self, visitor: Visit) -> dict[str, Any]:
        """Whether the set-up was begun in another browser."""
        return {"begun": bool(self.wizard.setup.draft.session), "is_secure": visitor.is_secure}

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Check the code; a right one gives this browser a new secret."""
        secret = await self.wizard.setup.claim(form.get("code", "")[:100], visitor.request.requester.address)
        if not secret:
            mistake = ("code", "That is not the claim code. It changes at each start and once it was used.")
            return self.again(visitor, form, [mistake], 403)
        return see(PATHS[self.wizard.setup.step], visitor.cookie(secret))
