"""What all pages of the wizard share: who may see which page when, forms and what is wrong with them, the next step.

A page is a controller with a step, a template and two methods: ``values`` for what it shows, ``submit`` for what its
form does. Forms are sent, judged and answered with a redirect (303), or with the page again and what is wrong.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import OwnerError
from appliance.owner.fields import AnswerError
from appliance.owner.setup import Setup, Step
from appliance.server.answers import Answer
from appliance.server.request import Asked
from appliance.settings import Settings
from appliance.storage.certificates import Certificate
from appliance.tls.progress import Progress
from web.rendering import html, see
from web.wizard.session import Visit, visit

PATHS = {
    Step.CLAIM: "/setup/claim",
    Step.NAME: "/setup/name",
    Step.REACH: "/setup/reach",
    Step.CERTIFICATE: "/setup/certificate",
    Step.OWNER: "/setup/owner",
    Step.JOINING: "/setup/joining",
    Step.DONE: "/setup/done",
}
TITLES = {
    Step.CLAIM: "Claim",
    Step.NAME: "Name",
    Step.REACH: "Connection",
    Step.CERTIFICATE: "Certificate",
    Step.OWNER: "Your account",
    Step.JOINING: "Who may join",
    Step.DONE: "Ready",
}
PASS_SECONDS = 15 * 60
"""How long a pass to another address of this server is good."""


class Ports(Struct, frozen=True):
    """Where Hearth listens on this machine; 0 where a listener is off."""

    http: int
    https: int
    federation: int


class Issuance(Protocol):
    """The order of a certificate, as far as a person wants to follow it (``tls``)."""

    @property
    def progress(self) -> Progress:
        """How it stands."""

    async def order_now(self) -> None:
        """Try again now; returns at once."""


class Certificates(Protocol):
    """What the https listener serves (``tls``)."""

    def current(self) -> Certificate | None:
        """The certificate, if there is any."""


@dataclass
class Wizard:
    """What the wizard's pages work with.

    Args:
        setup: the set-up itself.
        settings: the live settings.
        issuance: the order of a certificate.
        certificates: what is served now.
        ports: where Hearth listens on this machine.
        now: milliseconds since 1970.
    """

    setup: Setup
    settings: Settings
    issuance: Issuance
    certificates: Certificates
    ports: Ports
    now: Callable[[], int] = lambda: int(time.time() * 1000)
    _pass: str = field(default="", init=False)
    _pass_ends: int = field(default=0, init=False)

    def new_pass(self) -> str:
        """A word that, shown once at another address of this server, lets this browser go on there."""
        self._pass = secrets.token_urlsafe(32)
        self._pass_ends = self.now() + PASS_SECONDS * 1000
        return self._pass

    def use_pass(self, word: str) -> bool:
        """Whether the word is good; it is not any more then."""
        good = bool(self._pass) and self.now() < self._pass_ends and secrets.compare_digest(word, self._pass)
        if good:
            self._pass = ""
        return good

    def may_see(self, step: Step) -> bool:
        """Whether the browser that claimed the server may see this step's page now."""
        setup = self.setup
        if setup.is_finished or step > setup.step:
            return step is setup.step
        if step is Step.CLAIM or (step is Step.NAME and setup.is_name_locked):
            return False
        return not (step is Step.OWNER and setup.draft.owner)


class WizardPage(Controller):
    """One page of the wizard."""

    wizard: Wizard
    step: ClassVar[Step]
    template: ClassVar[str]

    def values(self, visitor: Visit) -> dict[str, Any]:
        """What the template shows, besides what every page shows."""
        return {}

    def typed(self, visitor: Visit) -> dict[str, str]:
        """What the form's fields hold when the page is opened."""
        return {}

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Do what the form asks for and say where to go on.

        Raises:
            AnswerError: for one field. OwnerError: for the whole.
            NotImplementedError: on a page without a form, which nothing leads here.
        """
        raise NotImplementedError

    # What the handlers call --------------------------------------------------------------------------------------

    def shown(self, request: Asked) -> ASGIApp:
        """The page, or where this browser belongs instead."""
        visitor = visit(request, self.wizard.setup)
        return self._elsewhere(visitor) or self.again(visitor, self.typed(visitor))

    async def taken(self, request: Asked) -> ASGIApp:
        """What comes of the page's form."""
        visitor = visit(request, self.wizard.setup)
        form = await request.form_fields()
        elsewhere = self._elsewhere(visitor)
        if elsewhere is not None:
            return elsewhere
        refused = visitor.refusal(form)
        if refused:
            return self.again(visitor, form, [("", refused)], 403)
        try:
            return await self.submit(visitor, form)
        except AnswerError as error:
            return self.again(visitor, form, [(error.key, error.sentence)], 422)
        except OwnerError as error:
            return self.again(visitor, form, [("", error.message)], 422)

    def again(
        self, visitor: Visit, typed: dict[str, str], mistakes: Sequence[tuple[str, str]] = (), status: int = 200
    ) -> Answer:
        """The page with a form as it was typed.

        Args:
            visitor: who looks at it.
            typed: the fields' content; passwords are never shown again.
            mistakes: pairs of a field's name, or "", and what is wrong.
            status: the HTTP status.
        """
        values = {
            "typed": {name: text for name, text in typed.items() if "password" not in name},
            "mistakes": mistakes,
            "wrong": {name: sentence for name, sentence in mistakes if name},
            "form_token": visitor.form_token,
            "steps": self._steps(visitor),
            "number": int(self.step) + 1,
            "back": self._back(visitor),
            **self.values(visitor),
        }
        return html(self.template, status, visitor.headers, **values)

    def onward(self) -> Answer:
        """On to the next page."""
        return see(PATHS[Step(self.step + 1)])

    # Below: ours -------------------------------------------------------------------------------------------------

    def _elsewhere(self, visitor: Visit) -> Answer | None:
        """Where this browser belongs, if not here."""
        setup = self.wizard.setup
        if setup.is_finished and not (visitor.is_owner and setup.is_open):
            return gone()
        if not visitor.is_owner:
            return None if self.step is Step.CLAIM else see(PATHS[Step.CLAIM])
        return None if self.wizard.may_see(self.step) else see(PATHS[setup.step])

    def _steps(self, visitor: Visit) -> list[dict[str, Any]]:
        reached = self.wizard.setup.step if visitor.is_owner else Step.CLAIM
        return [
            {
                "title": TITLES[step],
                "state": "now" if step is self.step else "done" if step < reached or step < self.step else "todo",
                "path": PATHS[step] if visitor.is_owner and step is not self.step and self.wizard.may_see(step) else "",
            }
            for step in Step
        ]

    def _back(self, visitor: Visit) -> str:
        """The page before this one, where going back is possible."""
        before = Step(max(self.step - 1, 0))
        if not visitor.is_owner or before is self.step or not self.wizard.may_see(before):
            return ""
        return PATHS[before]


def gone() -> Answer:
    """What is left of the wizard when the set-up has ended."""
    return html("wizard/gone.html", 410)
