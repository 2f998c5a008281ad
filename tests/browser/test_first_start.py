"""The whole way of an owner, in a browser: an empty folder, the wizard, a certificate from a real ACME server, and then
two people who talk over it.
"""

import asyncio
import ssl
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.browser.chromium import DESKTOP, PHONE, opened
from tests.interop.test_certificate import trusting, wait_for_certificate
from tests.support.hearth import HearthProcess
from tests.support.nio_chat import Person, chat, find_again
from tests.support.pebble import Pebble

pytestmark = pytest.mark.apt

SHOTS = Path(__file__).parent / "screenshots"
PASSWORD = "correct horse battery staple"


class Owner:
    """Somebody who goes through the wizard and has each page's picture taken."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self._folder = folder
        self._count = 0

    def look(self, name: str) -> None:
        """Take pictures of the page as it is, on a desk and on a phone."""
        self._count += 1
        for size, (width, height) in (("desk", DESKTOP), ("phone", PHONE)):
            self.page.set_viewport_size({"width": width, "height": height})
            wide = self._width()
            assert wide <= width, f"{name} is {wide} pixels wide on a {size}"
            self.page.screenshot(path=self._folder / f"{self._count:02}-{name}-{size}.png", full_page=True)

    def _width(self) -> int:
        """How wide the page is; without scripts it may load itself anew in that very moment."""
        while True:
            try:
                return int(self.page.evaluate("document.documentElement.scrollWidth"))
            except Error as error:
                if "navigation" not in error.message:
                    raise
                self.page.wait_for_load_state()

    def press(self, label: str) -> None:
        """Press a button and see the next page."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=label, exact=True).click()

    def heading(self) -> str:
        """The page's one main heading."""
        return self.page.locator("h1").inner_text()


def go_through(owner: Owner, server: HearthProcess, pebble: Pebble, scripts: bool) -> None:
    """All pages of the wizard, with an automatic certificate from Pebble."""
    page = owner.page
    page.goto(server.url)
    page.get_by_label("Claim code").fill("WRO-NGC-ODE")
    owner.press("Begin")
    assert page.get_by_role("alert").count() == 1
    owner.look("claim")
    page.get_by_label("Claim code").fill(server.command("claim-code").stdout.strip())
    owner.press("Begin")
    page.get_by_label("Name", exact=True).fill("hearth.example")
    if scripts:
        assert "@you:hearth.example" in page.locator("main").inner_text()
    owner.look("name")
    owner.press("Continue")
    page.get_by_label("From the internet, by itself").check()
    page.locator("summary").last.click()
    page.get_by_label("Address that apps connect to").fill(f"localhost:{server.https}")
    page.get_by_label("Names in the certificate").fill("localhost")
    page.get_by_label("Another authority's ACME directory").fill(pebble.directory)
    page.get_by_label("Root certificate to trust for that authority").fill(str(pebble.ca_file))
    owner.look("reach")
    owner.press("Continue")
    owner.look("certificate-begun")
    page.get_by_role("button", name="Continue at this address").wait_for(timeout=90_000)
    owner.look("certificate")
    owner.press("Continue at this address")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, once more").fill(PASSWORD)
    owner.look("owner")
    owner.press("Create my account")
    page.get_by_label("Nobody but me").check()
    owner.look("joining")
    owner.press("Finish")
    assert "@alice:hearth.example" in page.locator("main").inner_text()
    owner.look("done")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_from_an_empty_folder_to_a_chat(tmp_path: Path, scripts: bool) -> None:
    """The wizard ends on its last page, HTTPS shows Pebble's certificate, two people talk, and a kill costs nothing."""
    shots = SHOTS if scripts else tmp_path
    shots.mkdir(exist_ok=True)
    server = HearthProcess(tmp_path / "data", "", tls=True).start()
    try:
        with Pebble(tmp_path, http_port=server.http) as pebble:
            with sync_playwright() as playwright, opened(playwright, tmp_path / "profile", scripts=scripts) as page:
                go_through(Owner(page, shots), server, pebble, scripts)
            trust = trusting(pebble.root())
            wait_for_certificate(server.https, trust)
            if scripts:
                talk_and_restart(server, trust)
    finally:
        server.end()


def talk_and_restart(server: HearthProcess, trust: ssl.SSLContext) -> None:
    """Two users of matrix-nio over HTTPS, a kill, and everything is there again."""
    added = server.command("user", "add", "bob", "--ask-password", text="another long password\n")
    assert added.returncode == 0, added.stderr
    alice = Person("@alice:hearth.example", PASSWORD)
    bob = Person("@bob:hearth.example", "another long password")
    url = f"https://localhost:{server.https}"
    room, words = asyncio.run(chat(url, alice, bob, trust))
    server.kill()
    server.start()
    wait_for_certificate(server.https, trust)
    asyncio.run(find_again(url, bob, room, words, trust))
