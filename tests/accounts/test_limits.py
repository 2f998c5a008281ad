"""How often anybody may ask: by kind, by the owner's rates, and wrong passwords by account."""

import httpx
import pytest

from appliance.server.limits import FAILURES, RATES, Limits
from appliance.server.requester import Limit
from appliance.settings import LimitName, Settings
from tests.accounts.household import V3, Household

pytestmark = pytest.mark.anyio


def test_every_kind_has_its_rate_and_its_name_in_the_settings() -> None:
    kinds = {limit for limit in Limit if limit is not Limit.NONE}
    assert set(RATES) == kinds
    assert {limit.value for limit in kinds} == set(LimitName.__args__)  # type: ignore[attr-defined]
    assert all(rate.burst >= 10 and rate.per_second > 0 for rate in RATES.values())


def test_the_owners_rates_count() -> None:
    settings, now = Settings(limits_rates={"send": (2, 1.0)}), 0.0
    limits = Limits(settings, clock=lambda: now)
    limits.take(Limit.SEND, "@alice:example.org")
    limits.take(Limit.SEND, "@alice:example.org")
    with pytest.raises(Exception, match="M_LIMIT_EXCEEDED"):
        limits.take(Limit.SEND, "@alice:example.org")
    limits.take(Limit.SEND, "@bob:example.org")
    limits.take(Limit.JOIN, "@alice:example.org")
    settings.limits_rates = {"send": (5, 1.0)}
    now = 3.0
    for _ in range(3):
        limits.take(Limit.SEND, "@alice:example.org")


async def test_wrong_passwords_are_counted_by_account(house: Household, client: httpx.AsyncClient) -> None:
    """Too many hold up everybody who tries that account, and nobody else; right ones do not count."""
    house.settings.limits_enabled = True
    for name in ("alice", "bob"):
        await house.accounts.create(name, name[::-1])

    async def login(name: str, password: str) -> httpx.Response:
        identifier = {"type": "m.id.user", "user": name}
        body = {"type": "m.login.password", "identifier": identifier, "password": password}
        return await client.post(f"{V3}/login", json=body)

    for _ in range(int(FAILURES.burst)):
        assert (await login("alice", "ecila")).status_code == 200
    for _ in range(int(FAILURES.burst)):
        assert (await login("alice", "guess")).status_code == 403
    refused = await login("alice", "ecila")
    assert (refused.status_code, refused.json()["errcode"]) == (429, "M_LIMIT_EXCEEDED")
    assert int(refused.headers["retry-after"]) * 1000 >= refused.json()["retry_after_ms"] > 0
    assert (await login("bob", "bob")).status_code == 200
    house.now += refused.json()["retry_after_ms"]
    assert (await login("alice", "ecila")).status_code == 200


async def test_who_looks_for_a_token_is_not_held_up(house: Household, client: httpx.AsyncClient) -> None:
    """Element asks every two seconds whether its user is through; what counts is what one can be got by or guessed."""
    house.settings.limits_enabled, house.settings.registration_mode = True, "token"
    await house.add_token("welcome")
    wish = {"username": "alice", "password": "wonderland"}
    session = {"session": (await client.post(f"{V3}/register", json=wish)).json()["session"]}
    for _ in range(2 * int(RATES[Limit.REGISTER].burst)):
        assert (await client.post(f"{V3}/register?kind=guest", json={})).status_code == 403
        assert (await client.post(f"{V3}/register", json={**wish, "auth": session})).status_code == 401
    shown = {**session, "type": "m.login.registration_token", "token": "welcome"}
    assert (await client.post(f"{V3}/register", json={**wish, "auth": shown})).status_code == 200

    for tried in ({}, {"auth": {"type": "m.login.registration_token", "token": "guess"}}):
        house.now += 3_600_000
        answers = [(await client.post(f"{V3}/register", json={**wish, "username": "bob", **tried})) for _ in range(31)]
        assert [answer.status_code for answer in answers] == [401] * 30 + [429]
