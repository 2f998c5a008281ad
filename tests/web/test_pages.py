"""What holds for every page: well-formed, labelled, one heading, nothing from elsewhere, colours that can be read."""

import re

import pytest

from appliance.owner.setup import Step
from tests.web.stage import PASSWORD, Page, Stage, failure, ordering, through
from web.static_files import FOLDER, static_files

pytestmark = pytest.mark.anyio

POLICY = {
    "default-src": "'none'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
}


def check(page: Page, status: int = 200) -> None:
    """What every page must be."""
    assert page.status == status
    assert page.faults == []
    assert page.tags.count("h1") == 1
    assert page.tags.count("main") == 1
    assert len(page.ids) == len(set(page.ids))
    shown = [each for each in page.inputs if each.get("type") != "hidden"]
    assert all(each.get("id") in page.labels for each in shown)
    described = " ".join(each.get("aria-describedby") or "" for each in shown).split()
    assert set(described) <= set(page.ids)
    assert '<html lang="en">' in page.text
    assert "<title>" in page.text
    assert not re.search(r'(src|<link[^>]*href|action)="(?!/)', page.text)
    given = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert given.items() >= POLICY.items()
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] in ("same-origin", "no-referrer")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("mode", ["acme", "proxy", "lan"])
async def test_every_page_in_every_way(stage: Stage, mode: str) -> None:
    browser = stage.browser()
    check(await browser.open("/setup"))
    check(await browser.send(code="wrong"), 403)
    answers: list[dict[str, str]] = [
        {"code": stage.claim.code},
        {"server_name": "example.org"},
        {"tls__mode": mode},
        {},
        {"owner__username": "alice", "owner__password": PASSWORD, "owner__password__again": PASSWORD},
        {"registration__mode": "token", "federation__enabled": "yes"},
    ]
    for number, fields in enumerate(answers, 2):
        page = await browser.send(**fields)
        check(page)
        assert f"Step {number} of 7" in page.words
        assert 'aria-current="step"' in page.text


async def test_every_state_of_the_order(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    for progress in (ordering(), failure()):
        stage.issuance.progress = progress
        check(await browser.open("/setup/certificate"))
    stage.certificates.give("acme", "example.org")
    check(await browser.open("/setup/certificate"))


async def test_what_is_typed_is_shown_as_text(stage: Stage) -> None:
    browser = await through(stage, Step.NAME)
    page = await browser.send(server_name='"><script>alert(1)</script>')
    check(page, 422)
    assert "<script>alert" not in page.text


async def test_files_are_kept_for_ever_under_the_name_of_their_content(stage: Stage) -> None:
    browser = stage.browser()
    page = await browser.open("/setup")
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    named.add(static_files()["fallback.js"].url)
    assert named == {file.url for file in static_files().values()}
    for url in named:
        answer = await browser.client.get(url)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/static/hearth.css", "/static/hearth-000000000000.css", "/static/..%2Fpages.py"):
        assert (await browser.client.get(path)).status_code == 404


def test_colours_can_be_read_in_both_themes() -> None:
    """WCAG 2.2 AA, 1.4.3 and 1.4.11: 4.5 to 1 for text, 3 to 1 for the edges of fields."""
    style = (FOLDER / "hearth.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", blocks[0]))
    dark = {**light, **dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", blocks[1]))}
    for theme in (light, dark):
        texts = [(ink, ground) for ink in ("ink", "soft", "ember") for ground in ("ground", "card", "tint", "glow")]
        texts += [("on-ember", "ember"), ("on-ember", "ember-deep"), ("ink", "warn-tint"), ("ink", "good-tint")]
        texts += [("ink", "bad-tint"), ("bad", "bad-tint"), ("bad", "card"), ("ember-deep", "card")]
        for ink, ground in texts:
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        for edge in ("edge", "ember", "bad", "warn", "good"):
            assert contrast(theme[edge], theme["card"]) >= 3, edge


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG reckons it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
