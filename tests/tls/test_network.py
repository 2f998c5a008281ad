"""The ACME library with what Hearth adds, against answers made up here."""

import datetime
import email.utils
import json
import threading
from typing import Any

import pytest
import requests
from acme import errors, messages

from appliance.tls.client import AcmeAuthority, pick_profile
from appliance.tls.network import NONCE_TRIES, Network, problem_of, problem_of_validation, retry_after, retry_in_words
from appliance.tls.orders import OrderError


def answer(status: int, body: Any = b"", **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.url = "https://acme.example/x"
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def acme_error(code: str, **fields: Any) -> messages.Error:
    error: messages.Error = messages.Error.from_json({"type": f"urn:ietf:params:acme:error:{code}", **fields})
    return error


class Nonces(Network):
    """A network whose posts are refused for their nonce, so many times."""

    def __init__(self, refusals: int) -> None:
        super().__init__(None, "", 60, threading.Event())
        self.refusals = refusals
        self.posts = 0

    def _post_once(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.posts += 1
        if self.posts <= self.refusals:
            raise acme_error("badNonce")
        return answer(200)


def test_a_rejected_nonce_is_tried_again_ten_times() -> None:
    network = Nonces(NONCE_TRIES - 1)
    assert network.post("https://acme.example/x").status_code == 200
    assert network.posts == 11
    with pytest.raises(messages.Error):
        Nonces(NONCE_TRIES).post("https://acme.example/x")


def test_no_request_after_a_stop_or_the_deadline() -> None:
    stopped = threading.Event()
    network = Network(None, "", 60, stopped)
    stopped.set()
    with pytest.raises(OrderError, match="stopped"):
        network.get("https://acme.invalid/")
    with pytest.raises(OrderError, match="stopped"):
        network.pause(1000)
    with pytest.raises(OrderError, match="deadline"):
        Network(None, "", 0, threading.Event()).pause(1000)


def test_a_root_file_that_cannot_be_used() -> None:
    with pytest.raises(OrderError) as caught:
        Network(None, "/nowhere/root.pem", 60, threading.Event())
    assert caught.value.kind == "ca-file"


def test_retry_after() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    assert retry_after(answer(429, Retry_After="120")) == 120
    assert 7195 <= (retry_after(answer(429, Retry_After=email.utils.format_datetime(later, usegmt=True))) or 0) <= 7200
    assert retry_after(answer(429, Retry_After="soon")) is None
    assert retry_after(answer(429)) is None


def test_the_time_in_the_words_of_a_rate_limit() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    words = f"too many failed authorizations, retry after {later:%Y-%m-%d %H:%M:%S} UTC: see https://…"
    assert 7195 <= (retry_in_words(words) or 0) <= 7201
    assert retry_in_words("too many failed authorizations") is None


def test_the_waiting_time_that_comes_with_a_problem_is_kept() -> None:
    body = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}
    with pytest.raises(messages.Error) as caught:
        Network._check_response(answer(429, body, Retry_After="90", Content_Type="application/problem+json"))
    problem = problem_of(caught.value)
    assert (problem.kind, problem.detail, problem.retry_after) == ("rateLimited", "too many", 90)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (acme_error("caa", detail="no"), "caa"),
        (messages.Error.from_json({"type": "urn:ietf:params:acme:error:userActionRequired"}), "userActionRequired"),
        (requests.exceptions.SSLError("certificate verify failed"), "untrusted"),
        (requests.ConnectTimeout("slow"), "timeout"),
        (requests.ReadTimeout("slow"), "timeout"),
        (requests.ConnectionError("NameResolutionError: Failed to resolve"), "unresolved"),
        (requests.ConnectionError("Connection refused"), "unreachable"),
        (requests.exceptions.InvalidURL("no"), "not-acme"),
        (errors.ClientError(answer(503)), "serverInternal"),
        (errors.ClientError(answer(429, Retry_After="5")), "rateLimited"),
        (errors.ClientError(answer(404)), "not-acme"),
        (errors.ClientError("Unexpected response Content-Type: text/html"), "not-acme"),
        (KeyError("newOrder"), "not-acme"),
        (OrderError("deadline"), "deadline"),
    ],
)
def test_what_errors_mean(error: Exception, kind: str) -> None:
    assert problem_of(error).kind == kind


def test_a_problem_of_several_parts() -> None:
    parts = [
        {
            "type": "urn:ietf:params:acme:error:caa",
            "detail": f"CAA forbids {name}",
            "identifier": {"type": "dns", "value": name},
        }
        for name in ("a.example", "b.example")
    ]
    problem = problem_of(acme_error("compound", detail="Several.", subproblems=parts))
    assert problem.kind == "caa"
    assert problem.names == ("a.example", "b.example")


def test_failed_validations_are_told_by_kind_with_all_names() -> None:
    def authorization(name: str, code: str) -> messages.AuthorizationResource:
        challenges = [
            {"type": "dns-persist-01", "url": "https://x/1", "status": "pending"},
            {
                "type": "http-01", "url": "https://x/2", "status": "invalid", "token": "dG9rZW4tdG9rZW4tdG9rZW4",
                "error": {"type": f"urn:ietf:params:acme:error:{code}", "detail": f"about {name}"},
            },
        ]  # fmt: skip
        body = {"identifier": {"type": "dns", "value": name}, "status": "invalid", "challenges": challenges}
        resource: messages.AuthorizationResource = messages.AuthorizationResource(
            body=messages.Authorization.from_json(body), uri="https://x"
        )
        return resource

    failed = [authorization("a", "connection"), authorization("b", "dns"), authorization("c", "connection")]
    problem = problem_of_validation(failed)
    assert (problem.kind, problem.names, problem.detail) == ("connection", ("a", "c"), "about a")


def test_profiles_are_always_named_where_there_are_some() -> None:
    letsencrypt = {"classic": "", "shortlived": "", "tlsserver": ""}
    assert pick_profile(letsencrypt, addresses=False) == "tlsserver"
    assert pick_profile(letsencrypt, addresses=True) == "shortlived"
    assert pick_profile({"zeta": "", "beta": ""}, addresses=False) == "beta"
    assert pick_profile({}, addresses=False) is None


def test_the_directory_is_something_else() -> None:
    with pytest.raises(OrderError) as caught:
        AcmeAuthority().renewal_window("gopher://acme.example/dir", "", "")
    assert caught.value.kind == "not-acme"
