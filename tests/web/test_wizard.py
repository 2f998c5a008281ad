"""The wizard over HTTP: the way through it, whom it lets in, what it refuses, and what is left of it at the end."""

import re
from pathlib import Path

import pytest

from appliance.owner.setup import SHOWN_AFTER_MS, Step
from tests.web.stage import PASSWORD, Stage, through

pytestmark = pytest.mark.anyio

ALL = ("claim", "name", "reach", "certificate", "owner", "joining", "done")


async def test_from_the_claim_to_the_last_page(stage: Stage) -> None:
    browser = stage.browser()
    page = await browser.open("/")
    assert (page.path, page.status) == ("/setup/claim", 200)
    page = await browser.send(code=f" {stage.claim.code.lower()} ")
    assert page.path == "/setup/name"
    page = await browser.send(server_name="https://Example.org/")
    assert (page.path, page.fields["public_host"]) == ("/setup/reach", "example.org")
    page = await browser.send(public_host="matrix.example.org")
    assert (page.path, page.heading) == ("/setup/certificate", "Getting your certificate")
    assert stage.issuance.orders == 1
    stage.certificates.give("acme", "matrix.example.org")
    page = await browser.open("/setup/certificate")
    assert page.heading == "Your certificate is here"
    page = await browser.send()
    assert page.path == "/setup/owner"
    page = await browser.send(
        owner__username="@Alice:example.org", owner__password=PASSWORD, owner__password__again=PASSWORD
    )
    assert page.path == "/setup/joining"
    assert stage.accounts.passwords == {"@alice:example.org": PASSWORD}
    page = await browser.send(registration__mode="closed", federation__enabled="no")
    assert (page.path, page.status) == ("/setup/done", 200)
    for words in ("https://matrix.example.org", "@alice:example.org", "https://example.org/.well-known/matrix/client"):
        assert words in page.words
    assert "Registration token" not in page.words
    assert not stage.settings.federation_enabled
    assert stage.settings.registration_mode == "closed"


async def test_without_the_claim_there_is_only_the_claim(stage: Stage) -> None:
    owner = await through(stage, Step.OWNER)
    stranger = stage.browser()
    for name in ALL[1:]:
        assert (await stranger.open(f"/setup/{name}")).path == "/setup/claim"
        await stranger.open("/setup/claim")
        page = await stranger.send(f"/setup/{name}", server_name="evil.org", follow=False)
        assert (page.status, page.headers["location"]) == (303, "/setup/claim") if name != "done" else True
    assert stage.setup.draft.settings.server_name == "example.org"
    assert (await owner.open("/setup")).path == "/setup/owner"


async def test_a_wrong_code_is_told_and_waits(stage: Stage) -> None:
    browser = stage.browser()
    await browser.open("/setup")
    for _ in range(3):
        page = await browser.send(code="BCD-BCD-BCD")
        assert (page.status, page.path) == (403, "/setup/claim")
        assert "That is not the claim code" in page.words
    assert stage.slept == [0.5, 1]
    assert page.fields["code"] == "BCD-BCD-BCD"
    assert (await browser.send(code=stage.claim.code)).path == "/setup/name"


async def test_a_code_works_once_and_the_next_one_moves_the_wizard(stage: Stage) -> None:
    code = stage.claim.code
    first = await through(stage, Step.REACH)
    second = stage.browser()
    assert (await second.claim(code)).status == 403
    assert "another browser" in second.page.words
    assert (await second.claim(stage.claim.code)).path == "/setup/reach"
    assert (await first.open("/setup/reach")).path == "/setup/claim"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.org"},
        {"origin": "null"},
        {"origin": "http://hearth.lan"},
        {"origin": "http://hearth.lan:8080.evil.org"},
    ],
)
async def test_a_form_from_elsewhere_is_refused(stage: Stage, headers: dict[str, str]) -> None:
    browser = await through(stage, Step.NAME)
    page = await browser.send(server_name="evil.org", headers=headers)
    assert page.status == 403
    assert "another address" in page.words
    assert stage.setup.step is Step.NAME


async def test_a_form_without_its_token_is_refused(stage: Stage) -> None:
    browser = await through(stage, Step.NAME)
    other = await (stranger := stage.browser()).open("/setup")
    for token in ("", "0" * 64, other.fields["token"]):
        page = await browser.send(server_name="evil.org", token=token)
        assert page.status == 403
    assert stranger.page.fields["token"] != browser.page.fields["token"]
    assert stage.setup.step is Step.NAME
    assert (await browser.send(server_name="example.org")).path == "/setup/reach"


async def test_a_form_without_the_cookie_is_refused(stage: Stage) -> None:
    browser = stage.browser()
    await browser.open("/setup")
    browser.client.cookies.clear()
    page = await browser.send(code=stage.claim.code)
    assert (page.status, stage.setup.state) == (403, "unclaimed")
    assert (await browser.send(code=stage.claim.code)).path == "/setup/name"


async def test_what_is_no_form_is_refused(stage: Stage) -> None:
    browser = await through(stage, Step.NAME)
    for body in (b"server_name=\xff", b"&".join(b"a%d=1" % number for number in range(200))):
        answer = await browser.client.post("/setup/name", content=body)
        assert answer.status_code == 400
    answer = await browser.client.post("/setup/name", content=b"a" * 70_000)
    assert answer.status_code == 413


async def test_the_cookie_is_kept_from_scripts_and_other_sites(stage: Stage) -> None:
    page = await stage.browser().open("/setup")
    assert re.fullmatch(r"hearth-setup=[\w-]{43}; Path=/; HttpOnly; SameSite=Strict", page.headers["set-cookie"])
    page = await stage.browser("https://hearth.lan:8443").open("/setup")
    assert re.fullmatch(
        r"__Host-hearth-setup=[\w-]{43}; Path=/; HttpOnly; SameSite=Strict; Secure", page.headers["set-cookie"]
    )


async def test_the_claim_gives_the_cookie_a_new_secret(stage: Stage) -> None:
    browser = stage.browser()
    await browser.open("/setup")
    before = browser.client.cookies["hearth-setup"]
    await browser.send(code=stage.claim.code)
    assert browser.client.cookies["hearth-setup"] != before


async def test_steps_cannot_be_skipped_but_taken_back(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    for name in ("owner", "joining", "done", "claim"):
        assert (await browser.open(f"/setup/{name}")).path == "/setup/certificate"
    page = await browser.open("/setup/reach")
    assert "/setup/name" in page.links
    page = await browser.open("/setup/name")
    assert page.fields["server_name"] == "example.org"
    page = await browser.send(server_name="example.org")
    page = await browser.send()
    assert page.path == "/setup/certificate"
    await browser.open("/setup/name")
    page = await browser.send(server_name="other.org")
    assert (page.path, stage.setup.step) == ("/setup/reach", Step.REACH)


async def test_with_the_account_the_name_is_locked_in(stage: Stage) -> None:
    browser = await through(stage, Step.JOINING)
    for name in ("name", "owner"):
        page = await browser.open(f"/setup/{name}")
        assert page.path == "/setup/joining"
        assert f"/setup/{name}" not in page.links
    page = await browser.open("/setup/reach")
    assert page.path == "/setup/reach"
    page = await browser.send(public_host="matrix.example.org")
    assert stage.settings.reached_at == "matrix.example.org"


async def test_it_goes_on_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    browser = await through(stage, Step.OWNER)
    token = browser.page.fields["token"]
    again = await Stage.set(tmp_path)
    later = again.browser()
    later.client.cookies = browser.client.cookies
    page = await later.open("/setup")
    assert (page.path, page.fields["token"]) == ("/setup/owner", token)
    await again.strike()


async def test_the_name_can_be_tried_without_scripts(stage: Stage) -> None:
    browser = await through(stage, Step.NAME)
    page = await browser.send(server_name="Smith.Family", preview="yes")
    assert (page.path, page.status) == ("/setup/name", 200)
    assert "@you:smith.family" in page.words
    assert stage.setup.step is Step.NAME


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("example.org", "example.org"),
        (" Example.ORG. ", "example.org"),
        ("https://example.org/somewhere", "example.org"),
        ("@alice:example.org", "example.org"),
        ("example.org:8448", "example.org:8448"),
    ],
)
async def test_a_name_is_taken_as_people_write_it(stage: Stage, typed: str, kept: str) -> None:
    browser = await through(stage, Step.NAME)
    await browser.send(server_name=typed)
    assert stage.setup.draft.settings.server_name == kept


@pytest.mark.parametrize("typed", ["", "my home", "example..org", "exa_mple.org", "ex<b>ample.org"])
async def test_a_name_that_cannot_be_is_told_beside_its_field(stage: Stage, typed: str) -> None:
    browser = await through(stage, Step.NAME)
    page = await browser.send(server_name=typed)
    assert (page.status, page.faults) == (422, [])
    field = next(each for each in page.inputs if each.get("name") == "server_name")
    assert field.get("aria-invalid") == "true"
    assert "server_name-mistake" in (field.get("aria-describedby") or "")
    assert "server_name-mistake" in page.ids
    assert "#server_name" in page.links
    assert 'role="alert"' in page.text
    assert page.text.index("<title>Error: ") > 0


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"owner__username": "Älice"}, "owner-username"),
        ({"owner__username": ""}, "owner-username"),
        ({"owner__password": "short", "owner__password__again": "short"}, "owner-password"),
        ({"owner__password__again": "another one"}, "owner-password-again"),
    ],
)
async def test_an_account_that_cannot_be_is_told(stage: Stage, fields: dict[str, str], key: str) -> None:
    browser = await through(stage, Step.OWNER)
    good = {"owner__username": "alice", "owner__password": PASSWORD, "owner__password__again": PASSWORD}
    page = await browser.send(**{**good, **fields})
    assert (page.status, page.faults) == (422, [])
    assert f"#{key}" in page.links
    assert PASSWORD not in page.text
    assert stage.accounts.passwords == {}
    assert not stage.setup.is_name_locked


async def test_invited_people_need_a_token_which_the_last_page_tells(stage: Stage) -> None:
    browser = await through(stage, Step.JOINING)
    page = await browser.send(registration__mode="")
    assert page.status == 422
    page = await browser.send(registration__mode="token", federation__enabled="yes")
    assert stage.setup.draft.token
    assert stage.setup.draft.token in page.words


async def test_in_the_house_there_is_no_federation_to_choose(stage: Stage) -> None:
    browser = await through(stage, Step.JOINING, tls__mode="lan", lan_host="10.0.0.5:8443")
    assert "federation.enabled" not in browser.page.fields
    page = await browser.send(registration__mode="closed", federation__enabled="yes")
    assert page.path == "/setup/done"
    assert not stage.settings.federation_enabled


async def test_at_the_end_the_wizard_is_gone(stage: Stage) -> None:
    owner = await through(stage, Step.DONE)
    assert owner.page.path == "/setup/done"
    stranger = stage.browser()
    for name in ALL:
        page = await stranger.open(f"/setup/{name}")
        assert (page.status, page.heading, page.faults) == (410, "This Hearth is set up", [])
    for path in ("/setup", "/setup/", "/setup/resume?pass=x"):
        assert (await stranger.open(path)).status == 410
    for name in ALL[:-1]:
        page = await stranger.send(f"/setup/{name}", server_name="evil.org", code="BCD-BCD-BCD")
        assert page.status == 410
    assert (await owner.open("/setup/name")).path == "/setup/done"
    again = await owner.send("/setup/joining", registration__mode="open")
    assert again.path == "/setup/done"
    stage.now += SHOWN_AFTER_MS
    assert (await owner.open("/setup/done")).status == 410
    home = await stranger.open("/")
    assert (home.status, home.heading, home.faults) == (200, "example.org", [])
