"""Logging in by other means than a password, guests, and what becomes of requests whose login ends meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess

GET_TOKEN = "/_matrix/client/v1/login/get_token"


def password(client: Client, session: str) -> Json:
    """The stage that proves with the password who one is."""
    identifier = {"type": "m.id.user", "user": client.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": "wonderland", "session": session}


def login_token(client: Client) -> str:
    """A token for another device."""
    first = client.ask("POST", GET_TOKEN, {})
    assert first.status_code == 401
    told = client.must("POST", GET_TOKEN, {"auth": password(client, first.json()["session"])})
    assert told["expires_in_ms"] > 0
    return str(told["login_token"])


def test_one_device_logs_in_another(alice: Client) -> None:
    """A token is had for proving anew who one is, and logs in once."""
    anybody = Client(alice.url)
    assert {"type": "m.login.token", "get_login_token": True} in anybody.must("GET", "/login")["flows"]
    assert alice.must("GET", "/capabilities")["capabilities"]["m.get_login_token"] == {"enabled": True}
    token = login_token(alice)
    body = {"type": "m.login.token", "token": token, "device_id": "TABLET"}
    told = anybody.must("POST", "/login", body)
    assert (told["user_id"], told["device_id"]) == (alice.user_id, "TABLET")
    anybody.refused("M_FORBIDDEN", 403, "POST", "/login", body)
    anybody.refused("M_FORBIDDEN", 403, "POST", "/login", {**body, "token": "made up"})
    anybody.refused("M_MISSING_PARAM", 400, "POST", "/login", {"type": "m.login.token"})
    anybody.refused("M_MISSING_TOKEN", 401, "POST", GET_TOKEN, {})


def test_a_login_token_needs_a_proof_of_its_own(alice: Client) -> None:
    """The server asks each time, however lately the user has proved who they are."""
    login_token(alice)
    assert alice.ask("POST", GET_TOKEN, {}).status_code == 401


def test_a_guest_is_let_in_where_the_owner_says_so(furnished: HearthProcess, hearth: HearthProcess) -> None:
    """The server makes up the name, whatever was asked for; a guest may not do what needs an account."""
    wish = {"username": "wanted", "password": "secret", "initial_device_display_name": "Browser"}
    told = Client(furnished.url).must("POST", "/register", wish, kind="guest")
    assert not told["user_id"].startswith("@wanted")
    guest = Client(furnished.url, told["access_token"], told["user_id"], told["device_id"])
    assert guest.must("GET", "/account/whoami")["is_guest"] is True
    guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, "POST", "/createRoom", {})
    guest.must("PUT", f"/profile/{seg(guest.user_id)}/displayname", {"displayname": "Passer-by"})
    guest.sync()
    Client(hearth.url).refused("M_GUEST_ACCESS_FORBIDDEN", 403, "POST", "/register", {}, kind="guest")


@pytest.mark.parametrize("ending", ["logout", "another device", "logout of all", "login on the same device"])
def test_a_waiting_sync_ends_with_its_login(alice: Client, ending: str) -> None:
    """A client that is logged out while it waits is told so at once and not at the end of its time."""
    phone = alice.login(device_id="PHONE")
    phone.sync()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(phone.ask, "GET", "/sync", since=phone.since, timeout=60_000)
        # Another request of the same client, so that the first has most likely begun to wait.
        Client(alice.url, phone.token).must("GET", "/account/whoami")
        _end(alice, phone, ending)
        answer: httpx.Response = waiting.result(20)
    assert (answer.status_code, answer.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert "soft_logout" not in answer.json()
    if ending in ("logout", "another device"):
        alice.must("GET", "/account/whoami")


def _end(alice: Client, phone: Client, ending: str) -> None:
    same: dict[str, Any] = {"device_id": "PHONE"}
    if ending == "logout":
        Client(phone.url, phone.token).must("POST", "/logout", {})
    elif ending == "another device":
        first = alice.ask("DELETE", "/devices/PHONE", {})
        alice.must("DELETE", "/devices/PHONE", {"auth": password(alice, first.json()["session"])})
    elif ending == "logout of all":
        alice.must("POST", "/logout/all", {})
    else:
        alice.login(**same)
