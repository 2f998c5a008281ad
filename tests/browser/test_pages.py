"""Every page of the wizard in a real browser: on a desk and on a phone, in the light and in the dark, with scripts and
without. Nothing may stick out, nothing may be refused by the content security policy, and keys alone must do.

SCREENSHOTS=FOLDER keeps a picture of each page there, to be looked at.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from appliance.server.addresses import Bind
from appliance.server.granian_server import GranianServer
from appliance.server.plan import Listener, Reach
from appliance.tls.progress import Progress
from tests.browser.chromium import FLAGS
from tests.support.apt import require
from tests.web.stage import PASSWORD, Stage, failure, ordering

pytestmark = [pytest.mark.anyio, pytest.mark.apt, pytest.mark.slow]

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@dataclass
class Watched:
    """A page of the browser, and whatever it complained of."""

    page: Page
    stage: Stage
    origin: str
    complaints: list[str]
    pictures: Path
    look: str

    async def check(self, name: str) -> None:
        """Look at the page: it has come through whole, and it fits."""
        await self.page.wait_for_load_state("load")
        await self.page.screenshot(path=self.pictures / f"{name}-{self.look}.png", full_page=True)
        wide = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} pixels too wide"
        assert await self.page.locator("h1").count() == 1
        assert self.complaints == []

    async def fill(self, **fields: str) -> None:
        """Fill in fields by their ids (``_`` for a hyphen, ``__`` for an underscore)."""
        for name, text in fields.items():
            await self.page.fill(f"[id='{name.replace('__', chr(0)).replace('_', '-').replace(chr(0), '_')}']", text)

    async def press(self, label: str) -> None:
        """Press a button or follow a link, and wait for the page that it leads to."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=label, exact=True).click()


@asynccontextmanager
async def opened(folder: Path, look: str, *, scripts: bool = True) -> AsyncIterator[Watched]:
    """The wizard, served by Granian and opened in Chromium."""
    chromium = require("chromium")
    stage = await Stage.set(folder)
    listener = Listener("http", Bind("127.0.0.1", 0), False, Reach.EVERYTHING)
    pictures = Path(os.environ.get("SCREENSHOTS") or folder)
    size = PHONE if "phone" in look else DESK
    server = GranianServer(
        listener,
        stage.outer,
        host="127.0.0.1",
        port=free_port(),
        certificate=None,
        folder=folder,
        most_connections=64,
        header_timeout=30,
    )
    await server.start()
    origin = f"http://127.0.0.1:{server.port}"
    try:
        async with async_playwright() as playwright:
            browser: Browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            context: BrowserContext = await browser.new_context(
                viewport=size,  # type: ignore[arg-type]
                color_scheme="dark" if "dark" in look else "light",
                java_script_enabled=scripts,
                device_scale_factor=1,
            )
            page = await context.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: _note(complaints, message))
            yield Watched(page, stage, origin, complaints, pictures, look)
            await browser.close()
    finally:
        await server.stop(5)
        await stage.strike()


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _note(complaints: list[str], message: Any) -> None:
    # A form that is refused is answered with a status of the 400s, which the browser mentions.
    if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
        complaints.append(message.text)


@pytest.mark.parametrize("look", ["desk-light", "desk-dark", "phone-light", "phone-dark"])
async def test_each_page_on_the_way_fits_and_works(tmp_path: Path, look: str) -> None:
    """From the claim to the last page, with every mistake and state that has a look of its own."""
    async with opened(tmp_path, look) as seen:
        page, stage = seen.page, seen.stage
        await page.goto(f"{seen.origin}/")
        await seen.check("01-claim")
        await seen.fill(code="BCD-FGH-JKM")
        await seen.press("Begin")
        await seen.check("02-claim-wrong")
        await seen.fill(code=stage.claim.code)
        await seen.press("Begin")
        await seen.fill(server__name="smith.family")
        assert await page.inner_text("#preview") == "@you:smith.family"
        await seen.check("03-name")
        await seen.fill(server__name="my home!")
        await seen.press("Continue")
        await seen.check("04-name-wrong")
        await seen.fill(server__name="https://Example.org/")
        await seen.press("Continue")
        await seen.check("05-reach-acme")
        for mode in ("proxy", "files", "lan"):
            await page.check(f"#tls-mode-{mode}")
            await seen.check(f"06-reach-{mode}")
        await page.check("#tls-mode-files")
        await seen.fill(tls_certificate="/nowhere/fullchain.pem", tls_key="/nowhere/privkey.pem")
        await seen.press("Continue")
        await seen.check("07-reach-files-wrong")
        await page.check("#tls-mode-proxy")
        await seen.press("Continue")
        await seen.check("08-proxy")
        await page.get_by_role("link", name="Back", exact=True).click()
        await page.check("#tls-mode-lan")
        stage.certificates.give("self-signed", "127.0.0.1")
        await seen.press("Continue")
        await seen.check("09-lan")
        await page.get_by_role("link", name="Back", exact=True).click()
        await page.check("#tls-mode-acme")
        stage.issuance.progress = ordering()
        await seen.press("Continue")
        await seen.check("10-ordering")
        stage.issuance.progress = failure()
        await page.get_by_role("heading", name="Not yet").wait_for()
        await seen.check("11-failed")
        stage.issuance.progress = ordering()
        await seen.press("Try again now")
        assert stage.issuance.orders == 2
        stage.certificates.give("acme", "example.org")
        stage.issuance.progress = Progress(state="done")
        await page.get_by_role("heading", name="Your certificate is here").wait_for()
        await seen.check("12-certificate")
        await seen.press("Continue at this address")
        await seen.fill(owner_username="alice", owner_password="short", owner_password_again="short")
        await seen.press("Create my account")
        await seen.check("13-owner-wrong")
        await seen.fill(owner_password=PASSWORD, owner_password_again=PASSWORD)
        await page.check("#reveal")
        assert await page.get_attribute("#owner-password", "type") == "text"
        await seen.check("14-owner")
        await seen.press("Create my account")
        await page.check("#registration-mode-token")
        await seen.check("15-joining")
        await seen.press("Finish")
        await seen.check("16-done")
        stage.now += 3_600_000
        await page.goto(f"{seen.origin}/setup")
        await seen.check("17-gone")
        await page.goto(f"{seen.origin}/")
        await seen.check("18-home")


async def test_everything_works_without_scripts(tmp_path: Path) -> None:
    """The name is previewed by a button, the order is followed by the page's own refresh."""
    async with opened(tmp_path, "phone-light-plain", scripts=False) as seen:
        page, stage = seen.page, seen.stage
        await page.goto(f"{seen.origin}/")
        await seen.fill(code=stage.claim.code)
        await seen.press("Begin")
        await seen.fill(server__name="not yet")
        async with page.expect_navigation():
            await page.press("#server_name", "Enter")
        assert await page.get_by_role("alert").count() == 1
        await seen.fill(server__name="Smith.Family")
        await seen.press("Show me")
        assert await page.inner_text("#preview") == "@you:smith.family"
        await page.screenshot(path=seen.pictures / "03-name-plain.png", full_page=True)
        await seen.fill(server__name="example.org")
        await seen.press("Continue")
        stage.issuance.progress = ordering()
        await seen.press("Continue")
        await page.get_by_text("The order was placed.").wait_for()
        stage.certificates.give("acme", "example.org")
        stage.issuance.progress = Progress(state="done")
        await page.get_by_role("heading", name="Your certificate is here").wait_for()
        await seen.press("Continue at this address")
        await seen.fill(owner_username="alice", owner_password=PASSWORD, owner_password_again=PASSWORD)
        await seen.press("Create my account")
        await seen.press("Finish")
        assert await page.inner_text("#user-id") == "@alice:example.org"
        assert seen.complaints == []


async def test_keys_alone_are_enough(tmp_path: Path) -> None:
    """Tab reaches every control in the order of the page, arrows choose a way, a mistake is announced and focused."""
    async with opened(tmp_path, "desk-light") as seen:
        page, stage = seen.page, seen.stage
        keys = page.keyboard
        await page.goto(f"{seen.origin}/")
        await keys.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await keys.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "code"
        await keys.type("BCD-BCD-BCD")
        async with page.expect_navigation():
            await keys.press("Enter")
        assert await page.evaluate("document.activeElement.getAttribute('role')") == "alert"
        await keys.press("Tab")
        await keys.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "code"
        await page.fill("#code", stage.claim.code)
        async with page.expect_navigation():
            await keys.press("Enter")
        await page.focus("#server_name")
        await keys.type("example.org")
        async with page.expect_navigation():
            await keys.press("Enter")
        assert stage.setup.draft.settings.server_name == "example.org"
        await page.focus("#tls-mode-acme")
        await keys.press("ArrowDown")
        assert await page.is_checked("#tls-mode-proxy")
        await keys.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "tls-trusted_proxies"
        assert seen.complaints == []
