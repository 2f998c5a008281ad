"""Devices, the password and the end of an account, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.accounts.household import V3, Household, bearer

pytestmark = pytest.mark.anyio

AUTH = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "ecila"}
WRONG = {**AUTH, "password": "wrong"}


async def test_devices_are_listed_shown_and_named(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice", device_id="A")
    await house.login("alice", device_id="B/slash")
    await house.login("bob", device_id="C")
    seen = {"last_seen_ip": "192.0.2.1", "last_seen_ts": house.now}
    mine = {"device_id": "A", "display_name": "a device", **seen}
    answer = await client.get(f"{V3}/devices", headers=bearer(login))
    assert answer.json() == {"devices": [mine, {"device_id": "B/slash", "display_name": "a device"}]}
    renamed = await client.put(f"{V3}/devices/A", headers=bearer(login), json={"display_name": "Phone"})
    assert (renamed.status_code, renamed.json()) == (200, {})
    assert (await client.put(f"{V3}/devices/A", headers=bearer(login), json={})).status_code == 200
    assert (await client.get(f"{V3}/devices/A", headers=bearer(login))).json() == {**mine, "display_name": "Phone"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "errcode"),
    [
        ("GET", "devices/C", None, 404, "M_NOT_FOUND"),
        ("PUT", "devices/C", {"display_name": "mine"}, 404, "M_NOT_FOUND"),
        ("PUT", "devices/C", {}, 404, "M_NOT_FOUND"),
        ("PUT", "devices/A", {"display_name": "n" * 256}, 400, "M_INVALID_PARAM"),
        ("PUT", "devices/A", {"display_name": 7}, 400, "M_BAD_JSON"),
        ("DELETE", "devices/A", {"auth": WRONG}, 401, "M_FORBIDDEN"),
        ("DELETE", "devices/A", {"auth": 7}, 400, "M_BAD_JSON"),
        ("POST", "delete_devices", {}, 400, "M_MISSING_PARAM"),
        ("POST", "delete_devices", {"devices": "A"}, 400, "M_BAD_JSON"),
        ("POST", "delete_devices", {"devices": ["A", 7], "auth": AUTH}, 400, "M_BAD_JSON"),
        ("POST", "delete_devices", {"auth": AUTH}, 400, "M_MISSING_PARAM"),
        ("POST", "delete_devices", {"auth": 7}, 400, "M_BAD_JSON"),
        ("POST", "account/password", {}, 401, None),
        ("POST", "account/password", {"new_password": "p" * 513}, 400, "M_INVALID_PARAM"),
        ("POST", "account/password", {"new_password": "four"}, 400, "M_WEAK_PASSWORD"),
        ("POST", "account/password", {"new_password": 7}, 400, "M_BAD_JSON"),
        ("POST", "account/password", {"auth": AUTH}, 400, "M_MISSING_PARAM"),
        ("POST", "account/password", {"new_password": "ecila2", "auth": WRONG}, 401, "M_FORBIDDEN"),
        ("POST", "account/deactivate", {"auth": WRONG}, 401, "M_FORBIDDEN"),
        ("POST", "account/deactivate", {"erase": "yes"}, 400, "M_BAD_JSON"),
    ],
)
async def test_what_is_refused(
    house: Household,
    client: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    status: int,
    errcode: str | None,
) -> None:
    login = await house.login("alice", device_id="A")
    await house.login("bob", device_id="C")
    answer = await client.request(method, f"{V3}/{path}", headers=bearer(login), json=body)
    assert (answer.status_code, answer.json().get("errcode")) == (status, errcode)
    assert house.sessions.authenticate(login.access_token) is not None
    assert await house.accounts.check_password(login.user_id, "ecila")


async def test_deleting_a_device_takes_the_password(house: Household, client: httpx.AsyncClient) -> None:
    login, other = await house.login("alice", device_id="A"), await house.login("alice", device_id="B")
    asked = await client.delete(f"{V3}/devices/B", headers=bearer(login))
    assert asked.status_code == 401
    assert asked.json().keys() == {"flows", "params", "session"}
    auth = {**AUTH, "session": asked.json()["session"]}
    elsewhere = await client.request("DELETE", f"{V3}/devices/A", headers=bearer(login), json={"auth": auth})
    assert elsewhere.status_code == 400
    done = await client.request("DELETE", f"{V3}/devices/B", headers=bearer(login), json={"auth": auth})
    assert (done.status_code, done.json()) == (200, {})
    assert house.sessions.authenticate(other.access_token) is None
    again = await client.request("DELETE", f"{V3}/devices/B", headers=bearer(login), json={"auth": AUTH})
    assert again.status_code == 200


async def test_deleting_several_devices(house: Household, client: httpx.AsyncClient) -> None:
    logins = [await house.login("alice", device_id=name) for name in "ABC"]
    bob = await house.login("bob", device_id="D")
    asked = await client.post(f"{V3}/delete_devices", headers=bearer(logins[0]), json={"devices": ["A", "C", "D"]})
    auth = {**AUTH, "session": asked.json()["session"]}
    done = await client.post(f"{V3}/delete_devices", headers=bearer(logins[0]), json={"auth": auth})
    assert (done.status_code, done.json()) == (200, {})
    alive = [house.sessions.authenticate(login.access_token) is not None for login in (*logins, bob)]
    assert alive == [False, True, False, True]


@pytest.mark.parametrize(("logout", "alive"), [(None, [True, False]), (True, [True, False]), (False, [True, True])])
async def test_changing_the_password(
    house: Household, client: httpx.AsyncClient, logout: bool | None, alive: list[bool]
) -> None:
    logins = [await house.login("alice") for _ in range(2)]
    wish = {"new_password": "better", "auth": AUTH} | ({} if logout is None else {"logout_devices": logout})
    answer = await client.post(f"{V3}/account/password", headers=bearer(logins[0]), json=wish)
    assert (answer.status_code, answer.json()) == (200, {})
    assert [house.sessions.authenticate(login.access_token) is not None for login in logins] == alive
    assert await house.accounts.check_password(logins[0].user_id, "better")


async def test_changing_the_password_without_a_session(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    refused = await client.post(f"{V3}/account/password", json={"new_password": "better", "auth": WRONG})
    assert (refused.status_code, refused.json()["errcode"]) == (401, "M_FORBIDDEN")
    answer = await client.post(f"{V3}/account/password", json={"new_password": "better", "auth": AUTH})
    assert answer.status_code == 200
    assert house.sessions.authenticate(login.access_token) is None


async def test_ending_an_account(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    asked = await client.post(f"{V3}/account/deactivate", headers=bearer(login), json={"erase": True})
    auth = {**AUTH, "session": asked.json()["session"]}
    answer = await client.post(f"{V3}/account/deactivate", headers=bearer(login), json={"auth": auth})
    assert (answer.status_code, answer.json()) == (200, {"id_server_unbind_result": "success"})
    whoami = await client.get(f"{V3}/account/whoami", headers=bearer(login))
    assert (whoami.status_code, whoami.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    account = house.accounts.get(login.user_id)
    assert account is not None
    assert account.erased
    assert (await client.get(f"{V3}/profile/{login.user_id}")).status_code == 404
