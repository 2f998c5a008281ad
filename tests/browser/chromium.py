"""Debian's Chromium, kept off the network, with a profile of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, Playwright

from tests.support import apt

DESKTOP = (1200, 900)
PHONE = (390, 844)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
]


@contextmanager
def opened(playwright: Playwright, profile: Path, *, scripts: bool = True) -> Iterator[Page]:
    """A page in a new browser.

    Args:
        playwright: drives it.
        profile: a folder that does not exist yet.
        scripts: whether JavaScript runs.
    """
    width, height = DESKTOP
    context = playwright.chromium.launch_persistent_context(
        profile,
        executable_path=apt.require("chromium"),
        args=FLAGS,
        java_script_enabled=scripts,
        viewport={"width": width, "height": height},
        locale="en-GB",
    )
    context.set_default_timeout(20_000)
    try:
        yield context.pages[0] if context.pages else context.new_page()
    finally:
        context.close()
