"""Logging in, refreshing, logging out and registering, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.accounts.household import V3, Household, bearer

pytestmark = pytest.mark.anyio

IDENTIFIER = {"type": "m.id.user", "user": "alice"}
PASSWORD = {"type": "m.login.password", "identifier": IDENTIFIER, "password": "ecila"}
DUMMY = {"type": "m.login.dummy"}


async def test_login_flows(house: Household, client: httpx.AsyncClient) -> None:
    password, token = {"type": "m.login.password"}, {"type": "m.login.token", "get_login_token": True}
    assert (await client.get(f"{V3}/login")).json() == {"flows": [password, token]}
    house.settings.login_tokens = False
    assert (await client.get(f"{V3}/login")).json() == {"flows": [password]}
    refused = await client.post(f"{V3}/login", json={"type": "m.login.token", "token": "any"})
    assert (refused.status_code, refused.json()["errcode"]) == (400, "M_UNKNOWN")


async def test_a_login_token_ends_with_its_time_and_its_account(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    late, locked, gone = [(await house.short_tokens.for_login(login.user_id)).token for _ in range(3)]

    async def refusal(token: str) -> tuple[int, str]:
        answer = await client.post(f"{V3}/login", json={"type": "m.login.token", "token": token})
        return answer.status_code, answer.json()["errcode"]

    await house.accounts.restrict(login.user_id, locked=True)
    assert await refusal(locked) == (401, "M_USER_LOCKED")
    await house.accounts.restrict(login.user_id, locked=False)
    house.now += 2 * 60 * 1000
    assert await refusal(late) == (403, "M_FORBIDDEN")
    await house.accounts.deactivate(login.user_id)
    assert await refusal(gone) == (403, "M_FORBIDDEN")


async def test_newcomers_accept_the_terms(house: Household, client: httpx.AsyncClient) -> None:
    house.settings.registration_terms = "https://example.org/terms"
    wish = {"username": "alice", "password": "ecila"}
    asked = (await client.post(f"{V3}/register", json=wish)).json()
    assert asked["flows"] == [{"stages": ["m.login.terms"]}]
    policy = {"version": "1", "en": {"name": "Terms of use", "url": "https://example.org/terms"}}
    assert asked["params"] == {"m.login.terms": {"policies": {"terms_of_use": policy}}}
    house.settings.registration_mode = "token"
    await house.add_token("welcome")
    asked = (await client.post(f"{V3}/register", json=wish)).json()
    assert asked["flows"] == [{"stages": ["m.login.registration_token", "m.login.terms"]}]
    token = {"type": "m.login.registration_token", "token": "welcome", "session": asked["session"]}
    asked = (await client.post(f"{V3}/register", json={**wish, "auth": token})).json()
    assert asked["completed"] == ["m.login.registration_token"]
    accept = {"type": "m.login.terms", "session": asked["session"]}
    assert (await client.post(f"{V3}/register", json={**wish, "auth": accept})).json()[
        "user_id"
    ] == "@alice:example.org"


@pytest.mark.parametrize(
    "naming",
    [
        {},
        {"identifier": {"type": "m.id.user", "user": "@alice:example.org"}},
        {"identifier": {"type": "m.id.user", "user": "@Alice:example.org"}},
        {"identifier": None, "user": "alice"},
    ],
)
async def test_logging_in(house: Household, client: httpx.AsyncClient, naming: dict[str, Any]) -> None:
    await house.accounts.create("alice", "ecila")
    answer = await client.post(f"{V3}/login", json={**PASSWORD, **naming})
    told = answer.json()
    assert answer.status_code == 200
    assert told == {
        "user_id": "@alice:example.org",
        "home_server": "example.org",
        "access_token": told["access_token"],
        "device_id": told["device_id"],
    }
    whoami = await client.get(f"{V3}/account/whoami", headers={"Authorization": f"Bearer {told['access_token']}"})
    assert whoami.json() == {"user_id": told["user_id"], "device_id": told["device_id"], "is_guest": False}


async def test_logging_in_on_a_named_device(house: Household, client: httpx.AsyncClient) -> None:
    await house.accounts.create("alice", "ecila")
    wish = {**PASSWORD, "device_id": "PHONE", "initial_device_display_name": "My phone"}
    told = (await client.post(f"{V3}/login", json=wish)).json()
    device = await client.get(f"{V3}/devices/PHONE", headers={"Authorization": f"Bearer {told['access_token']}"})
    assert told["device_id"] == "PHONE"
    assert device.json() == {
        "device_id": "PHONE",
        "display_name": "My phone",
        "last_seen_ip": "192.0.2.1",
        "last_seen_ts": house.now,
    }


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({**PASSWORD, "password": "wrong"}, 403, "M_FORBIDDEN"),
        ({**PASSWORD, "identifier": {"type": "m.id.user", "user": "nobody"}}, 403, "M_FORBIDDEN"),
        ({**PASSWORD, "identifier": {"type": "m.id.user", "user": "@alice:elsewhere.org"}}, 403, "M_FORBIDDEN"),
        ({**PASSWORD, "identifier": {"type": "m.id.user", "user": "gone"}}, 403, "M_USER_DEACTIVATED"),
        ({**PASSWORD, "identifier": {"type": "m.id.user", "user": "locked"}}, 401, "M_USER_LOCKED"),
        ({**PASSWORD, "type": "m.login.magic"}, 400, "M_UNKNOWN"),
        ({"identifier": IDENTIFIER, "password": "ecila"}, 400, "M_MISSING_PARAM"),
        ({**PASSWORD, "password": None}, 400, "M_MISSING_PARAM"),
        ({**PASSWORD, "identifier": None}, 400, "M_MISSING_PARAM"),
        ({**PASSWORD, "password": 7}, 400, "M_BAD_JSON"),
        ({**PASSWORD, "type": 7}, 400, "M_BAD_JSON"),
        ({**PASSWORD, "identifier": 7}, 400, "M_BAD_JSON"),
        ({**PASSWORD, "identifier": {"type": "m.id.thirdparty"}}, 400, "M_UNKNOWN"),
        ({**PASSWORD, "device_id": "D" * 513}, 400, "M_INVALID_PARAM"),
        ([], 400, "M_BAD_JSON"),
        ({"type": "m.login.password", "password": "p" * 20_000}, 413, "M_TOO_LARGE"),
    ],
)
async def test_logins_that_are_refused(
    house: Household, client: httpx.AsyncClient, body: Any, status: int, errcode: str
) -> None:
    for name in ("alice", "gone", "locked"):
        await house.accounts.create(name, "ecila")
    await house.accounts.deactivate("@gone:example.org")
    await house.database.write(lambda tx: tx.execute("UPDATE accounts SET locked = 1 WHERE user_id LIKE '@locked%'"))
    answer = await client.post(f"{V3}/login", json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)


async def test_unknown_users_and_wrong_passwords_read_the_same(house: Household, client: httpx.AsyncClient) -> None:
    await house.accounts.create("alice", "ecila")
    wrong = await client.post(f"{V3}/login", json={**PASSWORD, "password": "wrong"})
    unknown = await client.post(f"{V3}/login", json={**PASSWORD, "identifier": {**IDENTIFIER, "user": "nobody"}})
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)


async def test_refreshing(house: Household, client: httpx.AsyncClient) -> None:
    await house.accounts.create("alice", "ecila")
    first = (await client.post(f"{V3}/login", json={**PASSWORD, "refresh_token": True})).json()
    assert first["expires_in_ms"] == 3_600_000
    house.now += 3_600_000
    expired = await client.get(f"{V3}/account/whoami", headers={"Authorization": f"Bearer {first['access_token']}"})
    assert (expired.status_code, expired.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert expired.json()["soft_logout"] is True
    second = (await client.post(f"{V3}/refresh", json={"refresh_token": first["refresh_token"]})).json()
    assert second.keys() == {"access_token", "expires_in_ms", "refresh_token"}
    whoami = await client.get(f"{V3}/account/whoami", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert whoami.json()["device_id"] == first["device_id"]
    again = await client.post(f"{V3}/refresh", json={"refresh_token": first["refresh_token"]})
    assert (again.status_code, again.json()["errcode"], again.json()["soft_logout"]) == (401, "M_UNKNOWN_TOKEN", True)


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({}, 400, "M_MISSING_PARAM"),
        ({"refresh_token": 7}, 400, "M_BAD_JSON"),
        ({"refresh_token": "nonsense"}, 401, "M_UNKNOWN_TOKEN"),
    ],
)
async def test_refreshing_with_nonsense(client: httpx.AsyncClient, body: Any, status: int, errcode: str) -> None:
    answer = await client.post(f"{V3}/refresh", json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)
    assert "soft_logout" not in answer.json()


@pytest.mark.parametrize(("path", "left"), [("logout", 1), ("logout/all", 0)])
async def test_logging_out(house: Household, client: httpx.AsyncClient, path: str, left: int) -> None:
    login, other = await house.login("alice"), await house.login("alice")
    await house.database.write(lambda tx: tx.execute("UPDATE accounts SET locked = 1"))
    answer = await client.post(f"{V3}/{path}", headers=bearer(login))
    assert (answer.status_code, answer.json()) == (200, {})
    assert len(await house.devices.list(login.user_id)) == left
    assert (house.sessions.authenticate(other.access_token) is not None) == bool(left)
    again = await client.post(f"{V3}/{path}", headers=bearer(login))
    assert (again.status_code, again.json()["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert "soft_logout" not in again.json()


async def test_registering(house: Household, client: httpx.AsyncClient) -> None:
    wish = {"username": "Alice", "password": "ecila", "device_id": "PHONE", "initial_device_display_name": "My phone"}
    asked = await client.post(f"{V3}/register", json=wish)
    assert asked.status_code == 401
    assert asked.json()["flows"] == [{"stages": ["m.login.dummy"]}]
    told = (await client.post(f"{V3}/register", json={"auth": {**DUMMY, "session": asked.json()["session"]}})).json()
    assert (told["user_id"], told["device_id"]) == ("@alice:example.org", "PHONE")
    assert house.devices.get("@alice:example.org", "PHONE").display_name == "My phone"
    assert house.sessions.authenticate(told["access_token"]) is not None
    assert await house.accounts.check_password("@alice:example.org", "ecila")


async def test_registering_in_one_request_with_tokens_that_end(client: httpx.AsyncClient) -> None:
    wish = {"auth": DUMMY, "password": "secret", "refresh_token": True}
    told = (await client.post(f"{V3}/register?kind=user", json=wish)).json()
    assert told.keys() == {
        "user_id", "home_server", "access_token", "device_id", "expires_in_ms", "refresh_token",
    }  # fmt: skip


async def test_registering_without_logging_in(client: httpx.AsyncClient) -> None:
    wish = {"auth": DUMMY, "username": "alice", "password": "secret", "inhibit_login": True}
    answer = await client.post(f"{V3}/register", json=wish)
    assert answer.json() == {"user_id": "@alice:example.org", "home_server": "example.org"}


async def test_a_registration_whose_answer_was_lost_is_answered_again(
    house: Household, client: httpx.AsyncClient
) -> None:
    """The same request with the same session logs in again on the same device; another one does not, nor does it after
    the session's time."""
    wish = {"username": "alice", "password": "ecila", "initial_device_display_name": "Phone"}
    session = (await client.post(f"{V3}/register", json=wish)).json()["session"]
    auth = {**DUMMY, "session": session}
    lost, again = [(await client.post(f"{V3}/register", json={**wish, "auth": auth})).json() for _ in range(2)]
    assert (again["user_id"], again["device_id"]) == (lost["user_id"], lost["device_id"])
    assert again["access_token"] != lost["access_token"]
    assert house.sessions.authenticate(lost["access_token"]) is None
    assert house.sessions.authenticate(again["access_token"]) is not None
    for other in ({**wish, "password": "other"}, {**wish, "device_id": "OTHER"}):
        refused = await client.post(f"{V3}/register", json={**other, "auth": auth})
        assert refused.json()["errcode"] == "M_USER_IN_USE"
    await house.accounts.restrict("@alice:example.org", locked=True)
    assert (await client.post(f"{V3}/register", json={**wish, "auth": auth})).json()["errcode"] == "M_USER_IN_USE"


@pytest.mark.parametrize(
    ("mode", "query", "body", "status", "errcode"),
    [
        ("closed", "", {"auth": DUMMY, "username": "bob", "password": "secret"}, 403, "M_FORBIDDEN"),
        ("closed", "", {"username": "taken"}, 403, "M_FORBIDDEN"),
        ("open", "?kind=guest", {}, 403, "M_GUEST_ACCESS_FORBIDDEN"),
        ("open", "?kind=robot", {}, 400, "M_INVALID_PARAM"),
        ("open", "", {"username": "taken"}, 400, "M_USER_IN_USE"),
        ("open", "", {"username": "TAKEN", "auth": DUMMY, "password": "secret"}, 400, "M_USER_IN_USE"),
        ("open", "", {"username": "böb"}, 400, "M_INVALID_USERNAME"),
        ("open", "", {"username": ""}, 400, "M_INVALID_USERNAME"),
        ("open", "", {"username": 7}, 400, "M_BAD_JSON"),
        ("open", "", {"username": "bob", "password": "p" * 513}, 400, "M_INVALID_PARAM"),
        ("open", "", {"username": "bob", "password": "four"}, 400, "M_WEAK_PASSWORD"),
        ("open", "", {"username": "bob", "device_id": "D" * 513}, 400, "M_INVALID_PARAM"),
        ("open", "", {"username": "bob", "auth": DUMMY}, 400, "M_MISSING_PARAM"),
        ("open", "", {"auth": {"type": "m.login.password"}}, 401, "M_FORBIDDEN"),
        ("token", "", {"auth": DUMMY, "username": "bob", "password": "secret"}, 401, "M_FORBIDDEN"),
    ],
)
async def test_registrations_that_are_refused(
    house: Household, client: httpx.AsyncClient, mode: Any, query: str, body: Any, status: int, errcode: str
) -> None:
    house.settings.registration_mode = mode
    await house.accounts.create("taken", "secret")
    answer = await client.post(f"{V3}/register{query}", json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)
    assert house.accounts.available("bob")


async def test_registering_with_a_token(house: Household, client: httpx.AsyncClient) -> None:
    house.settings.registration_mode = "token"
    await house.add_token("once", uses_allowed=1)
    await house.add_token("brief", expires_ts=house.now + 1000)

    async def valid(token: str) -> bool:
        answer = await client.get("/_matrix/client/v1/register/m.login.registration_token/validity?token=" + token)
        return bool(answer.json()["valid"])

    async def register(name: str, token: str) -> httpx.Response:
        auth = {"type": "m.login.registration_token", "token": token}
        return await client.post(f"{V3}/register", json={"auth": auth, "username": name, "password": "secret"})

    assert [await valid(token) for token in ("once", "brief", "unknown")] == [True, True, False]
    assert (await register("alice", "once")).status_code == 200
    house.now += 1000
    assert [await valid(token) for token in ("once", "brief", "unknown")] == [False, False, False]
    for token in ("once", "brief", "unknown"):
        answer = await register("bob", token)
        assert (answer.status_code, answer.json()["errcode"]) == (401, "M_FORBIDDEN")


async def test_a_token_used_up_in_between_makes_no_account(house: Household) -> None:
    await house.add_token("once", uses_allowed=1)
    await house.accounts.create("alice", None, registration_token="once")
    with pytest.raises(Exception, match="M_FORBIDDEN"):
        await house.accounts.create("bob", None, registration_token="once")
    assert house.accounts.available("bob")


@pytest.mark.parametrize(
    ("mode", "query", "status", "told"),
    [("token", "", 400, "M_MISSING_PARAM"), ("closed", "?token=x", 403, "M_FORBIDDEN")],
)
async def test_asking_about_tokens_in_vain(
    house: Household, client: httpx.AsyncClient, mode: Any, query: str, status: int, told: str
) -> None:
    house.settings.registration_mode = mode
    answer = await client.get(f"/_matrix/client/v1/register/m.login.registration_token/validity{query}")
    assert (answer.status_code, answer.json()["errcode"]) == (status, told)


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("?username=bob", 200, {"available": True}),
        ("?username=taken", 400, "M_USER_IN_USE"),
        ("?username=b%C3%B6b", 400, "M_INVALID_USERNAME"),
        ("", 400, "M_MISSING_PARAM"),
    ],
)
async def test_whether_a_username_can_be_had(
    house: Household, client: httpx.AsyncClient, query: str, status: int, told: Any
) -> None:
    await house.accounts.create("taken", None)
    answer = await client.get(f"{V3}/register/available{query}")
    assert answer.status_code == status
    assert told in (answer.json(), answer.json().get("errcode"))
