"""The pages on which stages of an authentication are gone through in a browser."""

import re
from typing import Any

import httpx
import pytest

from tests.accounts.household import V3, Household, bearer

pytestmark = pytest.mark.anyio

WISH = {"username": "alice", "password": "ecila"}


def path(stage: str) -> str:
    return f"{V3}/auth/{stage}/fallback/web"


async def begun(client: httpx.AsyncClient) -> str:
    """The session of a registration that has begun."""
    answer = await client.post(f"{V3}/register", json=WISH)
    assert answer.status_code == 401
    return str(answer.json()["session"])


async def go_on(client: httpx.AsyncClient, session: str) -> httpx.Response:
    """What an app does when it hears that a page is done: ask with the session alone."""
    return await client.post(f"{V3}/register", json={"auth": {"session": session}})


async def test_newcomers_go_through_pages(house: Household, client: httpx.AsyncClient) -> None:
    house.settings.registration_mode = "token"
    house.settings.registration_terms = "https://example.org/terms"
    await house.add_token("welcome")
    session = await begun(client)
    first, second = "m.login.registration_token", "m.login.terms"
    page = await client.get(path(first), params={"session": session})
    assert page.headers["content-type"].startswith("text/html")
    assert session in page.text
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
    early = await client.post(path(second), data={"session": session})
    assert early.status_code == 400
    wrong = await client.post(path(first), data={"session": session, "token": "guessed"})
    assert (wrong.status_code, "not valid" in wrong.text) == (401, True)
    assert (await go_on(client, session)).json()["flows"] == [{"stages": [first, second]}]
    done = await client.post(path(first), data={"session": session, "token": " welcome "})
    assert done.status_code == 200
    assert re.search(r'<script src="/static/fallback-[0-9a-f]+\.js"', done.text)
    assert (await go_on(client, session)).json()["completed"] == [first]
    assert "https://example.org/terms" in (await client.get(path(second), params={"session": session})).text
    assert (await client.post(path(second), data={"session": session})).status_code == 200
    told = await go_on(client, session)
    assert (told.status_code, told.json()["user_id"]) == (200, "@alice:example.org")


async def test_a_password_is_proved_on_a_page(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice", device_id="PHONE")
    url, headers = f"{V3}/devices/PHONE", bearer(login)
    asked: dict[str, Any] = (await client.request("DELETE", url, json={}, headers=headers)).json()
    session = asked["session"]
    wrong = await client.post(path("m.login.password"), data={"session": session, "password": "guess"})
    assert (wrong.status_code, "wrong" in wrong.text) == (401, True)
    good = {"session": session, "user": "alice", "password": "ecila"}
    assert (await client.post(path("m.login.password"), data=good)).status_code == 200
    ended = await client.request("DELETE", url, json={"auth": {"session": session}}, headers=headers)
    assert ended.status_code == 200


@pytest.mark.parametrize("stage", ["m.login.dummy", "m.login.password", "m.login.sso", "<b>"])
async def test_what_no_session_waits_for_is_refused(client: httpx.AsyncClient, stage: str) -> None:
    for answer in (
        await client.get(path(stage), params={"session": '"><script>'}),
        await client.post(path(stage), data={"session": '"><script>'}),
        await client.post(path(stage), data={}),
    ):
        assert answer.status_code == 400
        assert "<script>" not in answer.text


async def test_a_session_alone_proves_nothing(client: httpx.AsyncClient) -> None:
    session = await begun(client)
    assert (await go_on(client, session)).status_code == 401
    assert (await client.post(path("m.login.dummy"), data={"session": session})).status_code == 200
    assert (await go_on(client, session)).status_code == 200
    assert (await go_on(client, session)).status_code == 400
