"""The last page: what to type into an app. Shown for a while to the browser that finished, then gone for ever."""

from typing import Any
from urllib.parse import quote, urlencode

from litestar.types import ASGIApp
from markupsafe import Markup

from appliance.owner.setup import Step
from appliance.server.endpoints import page
from appliance.server.request import Asked
from web.wizard import snippets
from web.wizard.session import Visit
from web.wizard.wizard import WizardPage


class DonePage(WizardPage):
    """What comes next."""

    step = Step.DONE
    template = "wizard/done.html"

    @page("GET", "/setup/done")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/done

        Tells the server's address and the user id, with a QR code and links to apps.
        """
        return self.shown(request)

    def values(self, visitor: Visit) -> dict[str, Any]:
        """All that a person needs for the first login."""
        settings = self.wizard.settings
        draft = self.wizard.setup.draft
        certificate = self.wizard.certificates.current()
        address = f"https://{settings.reached_at}"
        phone = phone_link(settings.reached_at, draft.owner)
        return {
            "settings": settings,
            "ports": self.wizard.ports,
            "owner": draft.owner,
            "token": draft.token,
            "address": address,
            "phone_link": phone,
            "qr": qr_code(phone),
            "person_link": f"https://matrix.to/#/{quote(draft.owner, safe='@:')}",
            "is_pending": settings.tls_mode == "acme" and (certificate is None or certificate.source == "self-signed"),
            "is_delegated": snippets.is_delegated(settings),
            "well_known": snippets.well_known(settings),
        }


def phone_link(host: str, user_id: str) -> str:
    """An address that opens Element's app on a phone with server and user filled in, or tells where to get it."""
    filled = {"account_provider": host}
    if user_id:
        filled["login_hint"] = f"mxid:{user_id}"
    return f"https://mobile.element.io/element/?{urlencode(filled, safe='@:')}"


def qr_code(text: str) -> Markup:
    """A QR code as an SVG element, dark on light in any theme, since some readers know it no other way."""
    import segno

    code = segno.make(text, error="m", micro=False)
    # Made from numbers alone: nothing of the text stands in the markup.
    return Markup(code.svg_inline(border=2, omitsize=True, dark="#000", light="#fff", svgclass="qr"))  # noqa: S704
