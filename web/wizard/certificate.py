"""The certificate: being obtained, with what is happening and what to do; or what the other ways ask of the owner."""

import datetime
from typing import Any

from litestar.types import ASGIApp

from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from appliance.tls.certificate import covers, fingerprint
from appliance.tls.problems import span
from web.rendering import see
from web.wizard import snippets
from web.wizard.session import Visit
from web.wizard.wizard import PATHS, WizardPage

REFRESH_SECONDS = 3
"""How often a browser without scripts asks again while something is happening."""


class CertificatePage(WizardPage):
    """Following the order, and going on."""

    step = Step.CERTIFICATE
    template = "wizard/certificate.html"

    @page("GET", "/setup/certificate")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/certificate

        Tells how it stands with the certificate; the page asks again by itself.
        """
        return self.shown(request)

    @page("POST", "/setup/certificate")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/certificate

        Goes on, or tries again now.
        """
        return await self.taken(request)

    def values(self, visitor: Visit) -> dict[str, Any]:
        """All that the four ways have to tell."""
        wizard = self.wizard
        settings = wizard.setup.draft.settings
        return {
            "settings": settings,
            "ports": wizard.ports,
            "order": self._order() if settings.tls_mode == "acme" else None,
            "refresh_seconds": REFRESH_SECONDS,
            "certificate": self._certificate(),
            "secure_address": self._secure_address(visitor),
            "caddy": snippets.caddy(settings, wizard.ports.http),
            "nginx": snippets.nginx(settings, wizard.ports.http),
            "is_delegated": snippets.is_delegated(settings),
            "well_known": snippets.well_known(settings),
        }

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Go on, or try again."""
        if "again" in form:
            await self.wizard.issuance.order_now()
            return see(PATHS[self.step])
        await self.wizard.setup.leave_certificate()
        return self.onward()

    def _order(self) -> dict[str, Any]:
        """How the order stands: done, ordering (or about to), or failed for now."""
        progress = self.wizard.issuance.progress
        state = "failed" if progress.state in ("waiting", "failed") else "ordering"
        again_in = (progress.next_attempt or 0) - self.wizard.now()
        return {
            "state": "done" if self._is_certified() else state,
            "steps": progress.steps,
            "current": progress.current,
            "rehearsal": progress.rehearsal,
            "authority": progress.authority,
            "failure": progress.failure,
            "detail": progress.detail,
            "again_in": span(again_in / 1000) if again_in > 0 else "",
        }

    def _is_certified(self) -> bool:
        certificate = self.wizard.certificates.current()
        settings = self.wizard.setup.draft.settings
        return (
            certificate is not None
            and certificate.source == "acme"
            and covers(certificate, settings.certificate_names)
            and certificate.not_after > self.wizard.now()
        )

    def _certificate(self) -> dict[str, Any] | None:
        certificate = self.wizard.certificates.current()
        if certificate is None:
            return None
        ends = datetime.datetime.fromtimestamp(certificate.not_after / 1000, datetime.UTC)
        return {
            "names": certificate.names,
            "until": f"{ends.day} {ends:%B %Y}",
            "fingerprint": fingerprint(certificate),
            "is_own": certificate.source == "self-signed",
        }

    def _secure_address(self, visitor: Visit) -> str:
        """Where this browser can go on with the certificate that it trusts, if it is not there already."""
        settings = self.wizard.setup.draft.settings
        if settings.tls_mode != "acme" or not self._is_certified():
            return ""
        if visitor.is_secure and visitor.host.lower() == settings.reached_at:
            return ""
        return f"https://{settings.reached_at}/setup/resume?pass={self.wizard.new_pass()}"
