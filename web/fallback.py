"""Stages of interactive authentication in a browser, for clients that do not know one of them (client-server API,
"Fallback" of the user-interactive authentication API).
"""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.interactive import DUMMY, PASSWORD, REGISTRATION_TOKEN, TERMS, Interactive
from appliance.server.endpoints import page
from appliance.server.request import Asked
from appliance.server.requester import Limit
from appliance.settings import Settings
from web.rendering import html

_PATH = "/_matrix/client/v3/auth/{stage:str}/fallback/web"
STAGES = (PASSWORD, REGISTRATION_TOKEN, TERMS, DUMMY)
_OPENER = {b"cross-origin-opener-policy": b"unsafe-none"}
"""The page tells the window that opened it, which may be an app at another address, that all is done."""


class FallbackPage(Controller):
    """One page a stage."""

    interactive: Interactive
    settings: Settings

    @page("GET", _PATH)
    async def show(self, request: Asked, stage: str) -> ASGIApp:
        """GET /_matrix/client/v3/auth/{authType}/fallback/web

        Shows what the stage asks for.
        """
        session = request.query_text("session") or ""
        hindrance = self.interactive.fallback(session, stage) if stage in STAGES else "There is no such step here."
        return self._shown(stage, session, hindrance=hindrance)

    @page("POST", _PATH, limit=Limit.LOGIN)
    async def take(self, request: Asked, stage: str) -> ASGIApp:
        """POST /_matrix/client/v3/auth/{authType}/fallback/web

        Takes what was filled in; where it is right, tells the app.
        """
        fields = await request.form_fields()
        session = fields.get("session", "")
        if stage not in STAGES:
            return self._shown(stage, session, hindrance="There is no such step here.")
        hindrance = self.interactive.fallback(session, stage)
        if hindrance is not None:
            return self._shown(stage, session, hindrance=hindrance)
        said: dict[str, Any] = {name: fields[name].strip() for name in ("user", "token") if name in fields}
        if "password" in fields:
            said["password"] = fields["password"]
        if not said.get("user"):
            said.pop("user", None)
        failure = await self.interactive.go_through(session, stage, said)
        if failure is not None:
            return self._shown(stage, session, failure=failure)
        return html("fallback/done.html", 200, _OPENER)

    def _shown(self, stage: str, session: str, *, hindrance: str | None = None, failure: str | None = None) -> ASGIApp:
        """The page of a stage, with what hinders it or went wrong."""
        status = 400 if hindrance else 401 if failure else 200
        return html(
            "fallback/stage.html",
            status,
            _OPENER,
            stage=stage,
            session=session,
            hindrance=hindrance,
            failure=failure,
            terms=self.settings.registration_terms,
            server_name=self.settings.server_name,
        )
