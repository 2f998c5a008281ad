"""How the server is reached, over HTTP: the four ways, the order of a certificate and what comes of it."""

import pytest

from appliance.owner.setup import Step
from appliance.tls.progress import Progress
from tests.web.stage import Stage, failure, ordering, through

pytestmark = pytest.mark.anyio


async def test_ways_keep_only_what_belongs_to_them(stage: Stage) -> None:
    browser = await through(stage, Step.REACH)
    page = await browser.send(tls__mode="lan", lan_host="10.0.0.5:8443", tls__directory="https://ca.lan/dir")
    assert stage.settings.tls_mode == "lan"
    assert stage.settings.reached_at == "10.0.0.5:8443"
    assert stage.settings.tls_directory == type(stage.settings)().tls_directory
    assert "https://10.0.0.5:8443" in page.words
    page = await browser.open("/setup/reach")
    assert page.fields["public_host"] == "example.org"
    assert page.fields["lan_host"] == "10.0.0.5:8443"
    page = await browser.send(tls__mode="proxy", tls__trusted_proxies="10.0.0.0/8, 172.16.0.1")
    assert stage.settings.tls_trusted_proxies == ["10.0.0.0/8", "172.16.0.1"]
    assert "reverse_proxy 127.0.0.1:8080" in page.words
    assert "proxy_pass http://127.0.0.1:8080;" in page.words
    await browser.open("/setup/reach")
    page = await browser.send(
        tls__mode="acme",
        tls__directory="https://ca.example.org/dir",
        tls__names="example.org, matrix.example.org",
        public_host="matrix.example.org",
    )
    assert stage.settings.tls_names == ["example.org", "matrix.example.org"]
    assert stage.settings.tls_directory == "https://ca.example.org/dir"
    assert stage.settings.reached_at == "matrix.example.org"


@pytest.mark.parametrize(
    ("fields", "key", "words"),
    [
        ({"tls__mode": ""}, "tls.mode", "Choose how"),
        ({"tls__mode": "files"}, "tls.certificate", "needs the path"),
        ({"tls__mode": "proxy", "tls__trusted_proxies": "everywhere"}, "tls.trusted_proxies", "addresses or networks"),
        ({"public_host": "matrix example"}, "public_host", "is none"),
        ({"tls__directory": "http://ca"}, "tls.directory", "https://"),
        ({"tls__mode": "lan", "lan_host": "my house"}, "public_host", "is none"),
    ],
)
async def test_ways_that_cannot_be_are_told(stage: Stage, fields: dict[str, str], key: str, words: str) -> None:
    browser = await through(stage, Step.REACH)
    page = await browser.send(**fields)
    assert (page.status, page.faults) == (422, [])
    assert words in page.words
    assert f"#{key.replace('.', '-')}" in page.links
    assert stage.setup.step is Step.REACH
    assert stage.issuance.orders == 0


async def test_a_page_that_came_through_a_proxy_suggests_the_proxy(stage: Stage) -> None:
    browser = await through(stage, Step.REACH)
    browser.client.headers["x-forwarded-for"] = "203.0.113.9"
    page = await browser.open("/setup/reach")
    assert page.fields["tls.mode"] == "proxy"
    assert "through a reverse proxy at 127.0.0.1" in page.words


async def test_the_order_is_followed_without_scripts(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    stage.issuance.progress = ordering()
    page = await browser.open("/setup/certificate")
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page.text
    assert "The order was placed." in page.words
    assert "Waiting for the authority to look." in page.words
    stage.certificates.give("acme", "example.org")
    stage.issuance.progress = Progress(state="done")
    page = await browser.open("/setup/certificate")
    assert "http-equiv" not in page.text
    assert "until 15 April 2027" in page.words


async def test_a_failed_order_says_what_happened_and_leaves_every_way_open(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    stage.issuance.progress = failure()
    page = await browser.open("/setup/certificate")
    assert page.heading == "Not yet"
    for words in ("port 80 of your router", "in 2 minutes", "Timeout during connect"):
        assert words in page.words
    assert "/setup/reach" in page.links
    page = await browser.send(again="yes")
    assert (page.path, stage.issuance.orders) == ("/setup/certificate", 2)
    page.fields.pop("again", None)
    page = await browser.send()
    assert page.path == "/setup/owner"
    page = await browser.open("/setup/certificate")
    assert page.heading == "Not yet"


async def test_another_certificate_is_not_taken_for_the_right_one(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    stage.certificates.give("self-signed", "example.org")
    assert (await browser.open("/setup/certificate")).heading == "Getting your certificate"
    stage.certificates.give("acme", "other.org")
    assert (await browser.open("/setup/certificate")).heading == "Getting your certificate"


async def test_the_wizard_moves_to_the_secure_address_with_a_pass(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    stage.certificates.give("acme", "example.org")
    page = await browser.open("/setup/certificate")
    link = next(link for link in page.links if link.startswith("https://example.org/setup/resume?pass="))
    secure = stage.browser("https://example.org")
    page = await secure.open(link.removeprefix("https://example.org"))
    assert page.status == 200
    assert 'content="0;url=/setup/certificate"' in page.text
    assert page.headers["set-cookie"].startswith("__Host-hearth-setup=")
    page = await secure.open("/setup/certificate")
    assert page.path == "/setup/certificate"
    assert not any(link.startswith("https://") for link in page.links)
    assert (await browser.open("/setup/certificate")).path == "/setup/claim"
    thief = stage.browser("https://example.org")
    for word in (link.partition("=")[2], "", "x"):
        assert (await thief.open(f"/setup/resume?pass={word}")).path == "/setup/claim"


async def test_a_pass_ends_by_itself(stage: Stage) -> None:
    browser = await through(stage, Step.CERTIFICATE)
    stage.certificates.give("acme", "example.org")
    page = await browser.open("/setup/certificate")
    link = next(link for link in page.links if "/setup/resume" in link)
    stage.now += 16 * 60 * 1000
    page = await stage.browser("https://example.org").open(link.removeprefix("https://example.org"))
    assert page.path == "/setup/claim"
