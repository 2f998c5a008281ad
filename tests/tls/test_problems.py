"""Failed orders in plain words."""

import pytest

from appliance.settings import LETS_ENCRYPT
from appliance.tls import problems
from appliance.tls.issuance import REHEARSALS
from appliance.tls.orders import OrderError

NAME = "matrix.example.org"


def explain(kind: str, detail: str = "", retry_after: float | None = None, names: tuple[str, ...] = (NAME,)) -> str:
    return problems.explain(OrderError(kind, names=names, detail=detail, retry_after=retry_after), LETS_ENCRYPT)


@pytest.mark.parametrize("kind", sorted({*problems._SENTENCES, *problems.LASTING, "somethingNew"}))
def test_every_kind_has_whole_sentences(kind: str) -> None:
    for names in ((), (NAME,)):
        sentence = explain(kind, "the authority's words", names=names)
        assert sentence[0].isupper()
        assert sentence.endswith((".", '"'))
        assert "urn:" not in sentence
        assert "{" not in sentence


def test_what_people_call_the_authority() -> None:
    assert problems.authority_name(LETS_ENCRYPT) == "Let's Encrypt"
    assert problems.authority_name(REHEARSALS[LETS_ENCRYPT]) == "Let's Encrypt's test authority"
    assert problems.authority_name("https://ca.example.org:14000/dir") == "the authority at ca.example.org"
    assert problems.explain(OrderError("timeout"), "https://ca.example.org/dir").startswith("The authority at ca.exa")


def test_connection_names_the_port_and_what_to_do() -> None:
    sentence = explain("connection", "203.0.113.7: Fetching http://matrix.example.org/: Timeout during connect")
    assert "Let's Encrypt could not reach matrix.example.org at port 80" in sentence
    assert "Forward port 80" in sentence
    assert "It tried 203.0.113.7: check that this is your public address." in sentence


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("2001:db8::7", "take the AAAA record of matrix.example.org out of the DNS"),
        ("192.168.1.20", "an address inside a home network"),
        ("100.72.3.4", "shares among many customers"),
        ("999.1.1.1", "Forward port 80"),
    ],
)
def test_connection_says_what_is_odd_about_the_address(address: str, hint: str) -> None:
    assert hint in explain("connection", f"{address}: Fetching http://matrix.example.org/x: Connection refused")


def test_a_time_of_day_is_no_address() -> None:
    assert "It tried" not in explain("connection", "at 12:34:56 the connection was refused")


@pytest.mark.parametrize(
    ("detail", "hint"),
    [
        ("DNS problem: NXDOMAIN looking up A for matrix.example.org", "Make an A record"),
        ("DNS problem: SERVFAIL looking up A for matrix.example.org", "no usable answer"),
        ("DNSSEC: DNSKEY missing", "switch off DNSSEC"),
    ],
)
def test_dns(detail: str, hint: str) -> None:
    assert hint in explain("dns", detail)


def test_rate_limits_say_when() -> None:
    assert "will take the next one in 3 hours" in explain("rateLimited", retry_after=3 * 3600)
    assert "will take the next one later" in explain("rateLimited")


def test_another_server_answered_or_the_account_is_refused() -> None:
    assert "another server" in explain("unauthorized", "Invalid response from http://…: 404")
    assert "does not accept Hearth's account" in explain("unauthorized", "Account is deactivated.", names=())


def test_spans() -> None:
    assert [problems.span(seconds) for seconds in (5, 60, 61, 3600, 5000, 200_000)] == [
        "a minute", "1 minute", "2 minutes", "1 hour", "2 hours", "3 days",
    ]  # fmt: skip


def test_lasting_problems_are_those_that_need_someone() -> None:
    assert {"rejectedIdentifier", "externalAccountRequired"} <= problems.LASTING
    assert not {"connection", "dns", "rateLimited", "serverInternal", "unreachable"} & problems.LASTING
