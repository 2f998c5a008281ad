"""Addresses and networks beyond Matrix, which this server has none of, as it tells clients who ask."""

import pytest

from tests.support.client import Client


def test_an_account_has_no_addresses(alice: Client) -> None:
    """The list is empty, nothing can be added, and deleting what is not there tells no identity server."""
    assert alice.must("GET", "/account/3pid") == {"threepids": []}
    assert alice.must("GET", "/capabilities")["capabilities"]["m.3pid_changes"] == {"enabled": False}
    add = {"client_secret": "s", "sid": "1"}
    alice.refused("M_THREEPID_DENIED", 403, "POST", "/account/3pid/add", add)
    bind = {**add, "id_server": "id.example.org", "id_access_token": "t"}
    alice.refused("M_SERVER_NOT_TRUSTED", 403, "POST", "/account/3pid/bind", bind)
    alice.refused("M_THREEPID_DENIED", 403, "POST", "/account/3pid", {"three_pid_creds": bind})
    gone = {"medium": "email", "address": "alice@example.org"}
    for path in ("/account/3pid/delete", "/account/3pid/unbind"):
        assert alice.must("POST", path, gone) == {"id_server_unbind_result": "no-support"}


@pytest.mark.parametrize("medium", ["email", "msisdn"])
@pytest.mark.parametrize("purpose", ["/register", "/account/password", "/account/3pid"])
def test_no_message_is_sent_to_an_address(alice: Client, medium: str, purpose: str) -> None:
    """Whoever asks for a code by mail or text message is refused."""
    body = {"client_secret": "s", "email": "a@example.org", "send_attempt": 1}
    Client(alice.url).refused("M_THREEPID_DENIED", 403, "POST", f"{purpose}/{medium}/requestToken", body)


def test_there_are_no_networks(alice: Client) -> None:
    """Lists are empty; a network that is asked for by name is not found."""
    assert alice.ask("GET", "/thirdparty/protocols").json() == {}
    assert alice.ask("GET", "/thirdparty/user", userid="@a:b").json() == []
    assert alice.ask("GET", "/thirdparty/location", alias="#a:b").json() == []
    for kind in ("protocol", "user", "location"):
        alice.refused("M_NOT_FOUND", 404, "GET", f"/thirdparty/{kind}/irc")
    Client(alice.url).refused("M_MISSING_TOKEN", 401, "GET", "/thirdparty/protocols")
