"""A stage for the wizard: the real set-up over a real database, behind the real outer application, with a certificate
authority and accounts that the test directs. Also served by itself for looking at the pages in a browser.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from appliance.errors import MatrixError
from appliance.owner.claim import Claim
from appliance.owner.setup import Setup, Step
from appliance.server.addresses import Bind
from appliance.server.application import build_application
from appliance.server.gate import Gate
from appliance.server.limits import Limits
from appliance.server.plan import Listener, Reach
from appliance.settings import Settings
from appliance.storage.certificates import Certificate
from appliance.storage.database import Database
from appliance.storage.keys import SigningKeys
from appliance.storage.settings import load_settings
from appliance.tls.progress import Progress
from web.pages import controllers
from web.wizard.wizard import Ports, Wizard

NOW = 1_800_000_000_000
PORTS = Ports(http=8080, https=8443, federation=8448)
PEM = "-----BEGIN CERTIFICATE-----\nTm8gcmVhbCBjZXJ0aWZpY2F0ZQ==\n-----END CERTIFICATE-----\n"
PASSWORD = "correct horse battery"


class FakeAccounts:
    """Accounts that are only remembered."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        """Remember an account; the set-up makes owners alone."""
        assert admin
        user_id = f"@{localpart}:example.org"
        if user_id in self.passwords:
            raise MatrixError("M_USER_IN_USE", "Taken.", 400)
        self.passwords[user_id] = password or ""
        return user_id

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        """Remember another password."""
        self.passwords[user_id] = password


class FakeIssuance:
    """An order that stands as the test says."""

    def __init__(self) -> None:
        self.progress = Progress(state="idle")
        self.orders = 0

    async def order_now(self) -> None:
        """Count it."""
        self.orders += 1


class FakeCertificates:
    """The certificate that the test says."""

    def __init__(self) -> None:
        self.certificate: Certificate | None = None

    def current(self) -> Certificate | None:
        """That one."""
        return self.certificate

    def give(self, source: str, *names: str) -> None:
        """Have one from now on, good for 90 days."""
        self.certificate = Certificate(
            chain_pem=PEM,
            key_pem="",
            names=names,
            not_before=NOW,
            not_after=NOW + 90 * 86_400_000,
            source=source,  # type: ignore[arg-type]
        )


class NoSessions:
    """Nobody is logged in."""

    def authenticate(self, token: str) -> None:
        """Nobody."""

    def seen(self, session_id: int, address: str) -> None:
        """Never."""


class Stage:
    """Everything on the stage; ``await Stage.set(folder)`` makes it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.settings: Settings = load_settings(database)
        self.now = NOW
        self.slept: list[float] = []
        self.claim = Claim(folder, sleep=self._sleep)
        self.claim.renew()
        self.accounts = FakeAccounts()
        self.setup = Setup(
            database, self.settings, self.accounts, SigningKeys(database), self.claim, now=lambda: self.now
        )
        self.issuance = FakeIssuance()
        self.certificates = FakeCertificates()
        wizard = Wizard(self.setup, self.settings, self.issuance, self.certificates, PORTS, now=lambda: self.now)
        self.outer = build_application(
            controllers(wizard),
            settings=self.settings,
            sessions=NoSessions(),
            gate=Gate(self.settings, self.setup, _NoChallenges()),
            limits=Limits(self.settings),
        )

    @classmethod
    async def set(cls, folder: Path) -> "Stage":
        """A stage over a new database in a folder, or over the one that is there."""
        return cls(await Database.open(folder / "hearth.db"), folder)

    async def strike(self) -> None:
        """Put it away."""
        await self.database.close()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The application as the http listener runs it."""
        scope["listener"] = Listener("http", Bind("127.0.0.1", 8080), False, Reach.EVERYTHING)
        await self.outer(scope, receive, send)

    def browser(self, origin: str = "http://hearth.lan:8080") -> "Browser":
        """A browser that sees the server at an address."""
        return Browser(self, origin)


class _NoChallenges:
    def get(self, token: str) -> None:
        """None is pending."""


class Browser:
    """Opens pages, keeps cookies, fills in the form that it sees, follows redirects."""

    def __init__(self, stage: Stage, origin: str) -> None:
        self.origin = origin
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(stage),
            base_url=origin,
            headers={"user-agent": "Test"},  # type: ignore[arg-type]
        )
        self.page = Page("", 0, "", httpx.Headers())

    async def open(self, path: str) -> "Page":
        """Open a page and follow where it leads."""
        return self._see(await self.client.get(path, follow_redirects=True))

    async def send(self, path: str = "", *, follow: bool = True, headers: Any = None, **fields: str) -> "Page":
        """Send the form of the page that is open, with some fields filled in (``__`` for a dot)."""
        form = {**self.page.fields, **{name.replace("__", "."): text for name, text in fields.items()}}
        answer = await self.client.post(
            path or self.page.action,
            content=urlencode(form),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "origin": self.origin,
                **(headers or {}),
            },
            follow_redirects=follow,
        )
        return self._see(answer)

    async def claim(self, code: str) -> "Page":
        """Open the wizard and enter a code."""
        await self.open("/setup")
        return await self.send(code=code)

    def _see(self, answer: httpx.Response) -> "Page":
        self.page = Page(answer.url.path, answer.status_code, answer.text, answer.headers)
        return self.page


class Page(HTMLParser):
    """A page as a careful reader sees it: well-formed, its form, its headings, its labels."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "circle", "rect", "img"})

    def __init__(self, path: str, status: int, text: str, headers: httpx.Headers) -> None:
        super().__init__()
        self.path, self.status, self.text, self.headers = path, status, text, headers
        self.fields: dict[str, str] = {}
        self.inputs: list[dict[str, str | None]] = []
        self.labels: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.action = ""
        self.words = ""
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    @property
    def heading(self) -> str:
        """The text of the page's first heading."""
        found = re.search(r"<h1>(.*?)</h1>", self.text, re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        given = dict(attrs)
        self.tags.append(tag)
        if len(given) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if tag == "label":
            self.labels.add(given.get("for") or "")
        if tag == "a":
            self.links.append(given.get("href") or "")
        if tag == "form":
            self.action = given.get("action") or ""
        if tag == "input":
            self.inputs.append(given)
            chosen = given.get("type") not in ("radio", "checkbox") or "checked" in given
            if given.get("name") and chosen:
                self.fields[given["name"] or ""] = given.get("value") or ""
        if "style" in given or any(name.startswith("on") for name in given):
            self.faults.append(f"<{tag}> has what the content security policy forbids")
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Check that what is closed was open."""
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        """Collect the words."""
        self.words += data


async def through(stage: Stage, step: Step, **reach: str) -> Browser:
    """A browser that has come as far as a step's page."""
    browser = stage.browser()
    await browser.claim(stage.claim.code)
    if step > Step.NAME:
        await browser.send(server_name="example.org")
    if step > Step.REACH:
        await browser.send(**reach)
    if step > Step.CERTIFICATE:
        await browser.send()
    if step > Step.OWNER:
        await browser.send(owner__username="alice", owner__password=PASSWORD, owner__password__again=PASSWORD)
    if step > Step.JOINING:
        await browser.send(registration__mode="token", federation__enabled="yes")
    return browser


def failure() -> Progress:
    """An order that failed as most first ones do."""
    return Progress(
        state="waiting",
        names=("example.org",),
        authority="Let's Encrypt",
        failure=(
            "Let's Encrypt could not reach example.org at port 80, so it cannot see that the name is yours. Forward "
            "port 80 of your router to this machine, let it through any firewall, and leave it open: renewals need it "
            "too."
        ),
        detail="203.0.113.7: Fetching http://example.org/.well-known/acme-challenge/x: Timeout during connect",
        next_attempt=NOW + 120_000,
    )


def ordering() -> Progress:
    """An order on its way."""
    return Progress(
        state="ordering",
        names=("example.org",),
        authority="Let's Encrypt",
        steps=("The order was placed.", "The authority can fetch its proof."),
        current="Waiting for the authority to look.",
    )
