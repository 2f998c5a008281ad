"""How the server is reached: by itself with an automatic certificate, with files, behind a proxy, or in the house."""

from typing import Any

import msgspec
from litestar.types import ASGIApp

from appliance.owner.fields import AnswerError
from appliance.owner.setup import Step
from appliance.server.answers import Answer
from appliance.server.endpoints import page
from appliance.server.request import Asked
from appliance.settings import Settings, host_of
from web.wizard.name import tidy
from web.wizard.session import Visit
from web.wizard.wizard import WizardPage


class ReachPage(WizardPage):
    """Choosing the way, and what belongs to it."""

    step = Step.REACH
    template = "wizard/reach.html"

    @page("GET", "/setup/reach")
    async def show(self, request: Asked) -> ASGIApp:
        """GET /setup/reach

        Asks how the server is reached.
        """
        return self.shown(request)

    @page("POST", "/setup/reach")
    async def take(self, request: Asked) -> ASGIApp:
        """POST /setup/reach

        Keeps the way and goes it: an automatic certificate is ordered at once.
        """
        return await self.taken(request)

    def values(self, visitor: Visit) -> dict[str, Any]:
        """The name, the ports, and whether this very page came through a proxy."""
        return {
            "server_name": self.wizard.setup.draft.settings.server_name,
            "ports": self.wizard.ports,
            "proxy": _proxy(visitor),
            "is_locked": self.wizard.setup.is_name_locked,
        }

    def typed(self, visitor: Visit) -> dict[str, str]:
        """What was chosen before; at first what fits to how this page was reached."""
        draft = self.wizard.setup.draft
        settings = draft.settings
        proxy = _proxy(visitor)
        is_lan = settings.tls_mode == "lan"
        chosen = draft.reached or bool(settings.public_host) or settings.tls_mode != "acme"
        networks = list(settings.tls_trusted_proxies)
        if proxy and not chosen and proxy not in ("127.0.0.1", "::1"):
            networks.append(proxy)
        return {
            "tls.mode": "proxy" if proxy and not chosen else settings.tls_mode,
            "public_host": settings.server_name if is_lan else settings.reached_at,
            "lan_host": settings.reached_at if is_lan and settings.public_host else self._nearby(visitor),
            "tls.names": ", ".join(settings.tls_names),
            "tls.directory": "" if settings.tls_directory == Settings().tls_directory else settings.tls_directory,
            "tls.ca_file": settings.tls_ca_file,
            "tls.certificate": settings.tls_certificate,
            "tls.key": settings.tls_key,
            "tls.trusted_proxies": ", ".join(networks),
        }

    def _nearby(self, visitor: Visit) -> str:
        """Where apps in the house find this server: at the address that this browser found it at, on the https port."""
        host = visitor.host.lower().rpartition(":")[0] if visitor.host[-1:].isdigit() else visitor.host.lower()
        port = self.wizard.ports.https
        if host_of(host) in ("", "localhost", "127.0.0.1", "::1"):
            host = self.wizard.setup.draft.settings.server_name.partition(":")[0]
        return host if port in (0, 443) else f"{host}:{port}"

    async def submit(self, visitor: Visit, form: dict[str, str]) -> Answer:
        """Keep what was chosen."""
        wanted = _settings(form, self.wizard.setup.draft.settings)
        await self.wizard.setup.reach(wanted)
        if wanted.tls_mode == "acme":
            # Also where the last order for just this failed: whoever sends the form again has mended something.
            await self.wizard.issuance.order_now()
        return self.onward()


def _settings(form: dict[str, str], drafted: Settings) -> Settings:
    """The settings that a form asks for: what belongs to another way than the chosen one is left out."""
    mode = form.get("tls.mode", "")
    plain = Settings()
    host = tidy(form.get("lan_host" if mode == "lan" else "public_host", ""))
    common = {"public_host": "" if host == drafted.server_name else host, "tls_mode": mode}
    changes: dict[str, dict[str, Any]] = {
        "acme": {
            "tls_names": _list(form, "tls.names"),
            "tls_directory": _text(form, "tls.directory") or plain.tls_directory,
            "tls_ca_file": _text(form, "tls.ca_file"),
        },
        "files": {"tls_certificate": _text(form, "tls.certificate"), "tls_key": _text(form, "tls.key")},
        "proxy": {"tls_trusted_proxies": _list(form, "tls.trusted_proxies") or plain.tls_trusted_proxies},
        "lan": {},
    }
    if mode not in changes:
        raise AnswerError("tls.mode", "Choose how your server is reached.")
    defaults = {name: getattr(plain, name) for name in Settings.__struct_fields__ if name.startswith("tls_")}
    return msgspec.structs.replace(drafted, **{**defaults, **common, **changes[mode]})


def _text(form: dict[str, str], name: str) -> str:
    return form.get(name, "").strip()


def _list(form: dict[str, str], name: str) -> list[str]:
    return form.get(name, "").replace(",", " ").split()


def _proxy(visitor: Visit) -> str:
    """The address of the proxy that this request came through, if it says that it is one."""
    return visitor.request.requester.address if "x-forwarded-for" in visitor.request.headers else ""
