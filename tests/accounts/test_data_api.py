"""Profiles, filters, push rules, account data, and what the server says about itself, over HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.accounts import account_data
from appliance.accounts.filters import KEPT_BYTES, MAX_FILTERS, Filters
from appliance.api.client.well_known import with_port
from appliance.protocol.push_rules import KINDS, default_rules
from appliance.rooms.signs.company import Company
from appliance.storage.account_data import account_data_between
from tests.accounts.household import V3, Household, bearer

pytestmark = pytest.mark.anyio

ALICE = "@alice:example.org"
PROFILE = f"{V3}/profile/{ALICE}"
USER = f"{V3}/user/{ALICE}"


class Neighbour:
    """Listens to changes of profiles."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def profile_changed(self, user_id: str) -> None:
        await asyncio.sleep(0)
        self.told.append(user_id)
        raise RuntimeError("a listener's own trouble")


async def test_a_profile(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    neighbour = Neighbour()
    house.profiles.listeners.append(neighbour)
    assert (await client.get(PROFILE)).json() == {"displayname": "alice"}
    fields: dict[str, Any] = {
        "displayname": "Älice 🗝",
        "avatar_url": "mxc://example.org/abc",
        "m.tz": "Europe/Berlin",
        "org.example.field": {"numbers": [1.5, 2**70, None]},
    }
    for name, value in fields.items():
        for path in (PROFILE, f"/_matrix/client/unstable/uk.tcpip.msc4133/profile/{ALICE}"):
            answer = await client.put(f"{path}/{name}", headers=bearer(login), json={name: value, "other": 1})
            assert (answer.status_code, answer.json()) == (200, {})
            assert (await client.get(f"{path}/{name}")).json() == {name: value}
    assert (await client.get(PROFILE)).json() == fields
    assert house.profiles.member_fields(ALICE) == {name: fields[name] for name in ("displayname", "avatar_url")}
    await house.profiles.settled()
    assert neighbour.told == [ALICE, ALICE]
    assert (await client.put(f"{PROFILE}/avatar_url", headers=bearer(login), json={"avatar_url": ""})).is_success
    for name in ("org.example.field", "m.tz", "org.example.unset"):
        answer = await client.delete(f"{PROFILE}/{name}", headers=bearer(login))
        assert (answer.status_code, answer.json()) == (200, {})
    assert (await client.get(PROFILE)).json() == {"displayname": "Älice 🗝"}
    await house.profiles.settled()
    assert neighbour.told == [ALICE] * 3


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("name", ["displayname", "avatar_url"])
async def test_nothing_in_place_of_a_name_removes_it(
    house: Household, client: httpx.AsyncClient, name: str, value: str | None
) -> None:
    login = await house.login("alice")
    for sent in ("mxc://example.org/abc", value):
        assert (await client.put(f"{PROFILE}/{name}", headers=bearer(login), json={name: sent})).status_code == 200
    assert (await client.get(f"{PROFILE}/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "errcode"),
    [
        ("GET", "@nobody:example.org", None, 404, "M_NOT_FOUND"),
        ("GET", "@alice:elsewhere.org", None, 404, "M_NOT_FOUND"),
        ("GET", "@nobody:example.org/displayname", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/avatar_url", None, 404, "M_NOT_FOUND"),
        ("PUT", "@bob:example.org/displayname", {"displayname": "Bob"}, 403, "M_FORBIDDEN"),
        ("DELETE", "@bob:example.org/displayname", None, 403, "M_FORBIDDEN"),
        ("PUT", f"{ALICE}/displayname", {}, 400, "M_MISSING_PARAM"),
        ("PUT", f"{ALICE}/displayname", {"displayname": 7}, 400, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/displayname", {"displayname": "n" * 256}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/displayname", [], 400, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/avatar_url", {"avatar_url": "https://example.org/a.png"}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/avatar_url", {"avatar_url": "mxc://example.org/"}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/avatar_url", {"avatar_url": "mxc:///media"}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/avatar_url", {"avatar_url": "mxc://a/" + "m" * 1000}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/m.tz", {"m.tz": None}, 400, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/Field", {"Field": 1}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/{'a.' * 128}", {"a": 1}, 400, "M_KEY_TOO_LARGE"),
        ("DELETE", f"{ALICE}/{'a.' * 128}", None, 400, "M_KEY_TOO_LARGE"),
        ("DELETE", f"{ALICE}/Field", None, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/org.example.big", {"org.example.big": "b" * 66_000}, 400, "M_PROFILE_TOO_LARGE"),
        ("PUT", f"{ALICE}/org.example.big", {"org.example.big": "b" * 80_000}, 413, "M_TOO_LARGE"),
    ],
)
async def test_profiles_that_are_refused(
    house: Household, client: httpx.AsyncClient, method: str, path: str, body: Any, status: int, errcode: str
) -> None:
    login = await house.login("alice")
    await house.login("bob")
    answer = await client.request(method, f"{V3}/profile/{path}", headers=bearer(login), json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)
    assert house.profiles.fields(ALICE) == {"displayname": "alice"}


async def test_a_profile_is_bounded_as_a_whole(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    for number, status in ((1, 200), (2, 200), (3, 400)):
        name = f"org.example.part{number}"
        answer = await client.put(f"{PROFILE}/{name}", headers=bearer(login), json={name: "b" * 30_000})
        assert answer.status_code == status
    assert len((await client.get(PROFILE)).content) < 64 * 1024


async def test_guests_change_their_name_alone(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    await house.database.write(lambda tx: tx.execute("UPDATE accounts SET guest = 1"))
    for name, status in (("displayname", 200), ("avatar_url", 403), ("m.tz", 403)):
        answer = await client.put(f"{PROFILE}/{name}", headers=bearer(login), json={name: "mxc://a/b"})
        assert answer.status_code == status
    assert (await client.get(f"{V3}/account/whoami", headers=bearer(login))).json()["is_guest"] is True


async def test_filters_in_memory_are_bounded_by_their_size(
    house: Household, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the numbers are by which syncs name them."""
    login = await house.login("alice")
    kept = Filters(house.database)
    for number in range(80):
        names = [f"@{number}-{other}-{'x' * 100}:example.org" for other in range(400)]
        content = {"room": {"timeline": {"senders": names}}}
        answer = await client.post(f"{USER}/filter", headers=bearer(login), json=content)
        assert kept.parsed(ALICE, answer.json()["filter_id"]).room.timeline.senders == names
    assert kept._parsed.total <= KEPT_BYTES
    assert 3 < len(kept._parsed) < 20


async def test_account_data_is_bounded(
    house: Household, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many pieces, and so many bytes in all; what is there can be changed as long as that makes it no longer."""
    monkeypatch.setattr(account_data, "MOST_PIECES", 3)
    monkeypatch.setattr(account_data, "MOST_BYTES", 1_000)
    login = await house.login("alice")

    async def put(name: str, length: int) -> int:
        path = f"{USER}/account_data/{name}"
        return (await client.put(path, headers=bearer(login), json={"x": "x" * length})).status_code

    assert [await put("a", 400), await put("b", 400), await put("c", 400)] == [200, 200, 413]
    assert [await put("c", 10), await put("d", 10), await put("c", 11)] == [200, 413, 200]
    assert [await put("a", 900), await put("a", 300), await put("a", 500)] == [413, 200, 200]
    bob = await house.login("bob")
    answer = await client.put(f"{V3}/user/@bob:example.org/account_data/a", headers=bearer(bob), json={})
    assert answer.status_code == 200


async def test_filters(house: Household, client: httpx.AsyncClient) -> None:
    login = await house.login("alice")
    wish = {"room": {"timeline": {"limit": 10, "not_senders": ["@spam:example.com"]}}, "org.example": 2**70}
    told = (await client.post(f"{USER}/filter", headers=bearer(login), json=wish)).json()
    assert told == {"filter_id": "1"}
    assert (await client.post(f"{USER}/filter", headers=bearer(login), json=wish)).json() == told
    assert (await client.post(f"{USER}/filter", headers=bearer(login), json={})).json() == {"filter_id": "2"}
    assert (await client.get(f"{USER}/filter/1", headers=bearer(login))).json() == wish
    assert house.filters.get(ALICE, "1") == wish


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "errcode"),
    [
        ("GET", f"{ALICE}/filter/1", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/filter/-1", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/filter/x", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/filter/{'9' * 30}", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/filter/²", None, 404, "M_NOT_FOUND"),
        ("GET", "@bob:example.org/filter/1", None, 403, "M_FORBIDDEN"),
        ("POST", "@bob:example.org/filter", {}, 403, "M_FORBIDDEN"),
        ("POST", f"{ALICE}/filter", [], 400, "M_BAD_JSON"),
        ("POST", f"{ALICE}/filter", {"presence": "x"}, 400, "M_BAD_JSON"),
        ("POST", f"{ALICE}/filter", {"event_format": "x"}, 400, "M_BAD_JSON"),
        ("POST", f"{ALICE}/filter", {"room": {"rooms": ["not a room"]}}, 400, "M_BAD_JSON"),
        ("POST", f"{ALICE}/filter", {"presence": {"not_senders": ["x"]}}, 400, "M_BAD_JSON"),
        ("POST", f"{ALICE}/filter", {"event_fields": ["x" * 70_000]}, 413, "M_TOO_LARGE"),
        *(
            ("POST", f"{ALICE}/filter", {"room": {part: "x"}}, 400, "M_BAD_JSON")
            for part in ("timeline", "state", "ephemeral", "account_data")
        ),
        *(
            ("POST", f"{ALICE}/filter", {"room": {"timeline": {name: value}}}, 400, "M_BAD_JSON")
            for name, value in (
                ("rooms", "x"),
                ("not_rooms", "x"),
                ("senders", "x"),
                ("not_senders", "x"),
                ("types", "x"),
                ("not_types", "x"),
                ("types", [1]),
                ("rooms", ["not a room"]),
                ("senders", ["not a user"]),
                ("limit", "x"),
            )
        ),
    ],
)
async def test_filters_that_are_refused(
    house: Household, client: httpx.AsyncClient, method: str, path: str, body: Any, status: int, errcode: str
) -> None:
    login = await house.login("alice")
    answer = await client.request(method, f"{V3}/user/{path}", headers=bearer(login), json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)


async def test_the_oldest_filters_make_room(house: Household) -> None:
    await house.login("alice")
    await asyncio.gather(*(house.filters.keep(ALICE, {"org.example": n}) for n in range(MAX_FILTERS + 1)))
    kept = house.database.read("SELECT count(*), min(filter_id), max(filter_id) FROM filters")
    assert kept == [(MAX_FILTERS, 2, MAX_FILTERS + 1)]


async def test_push_rules(house: Household, client: httpx.AsyncClient) -> None:
    headers = bearer(await house.login("alice"))
    rules = default_rules(ALICE)
    assert tuple(rules) == KINDS
    assert (await client.get(f"{V3}/pushrules/", headers=headers)).json() == {"global": rules}
    assert (await client.get(f"{V3}/pushrules/global/", headers=headers)).json() == rules
    assert (await client.get(f"{USER}/account_data/m.push_rules", headers=headers)).json() == {"global": rules}
    path = f"{V3}/pushrules/global/override/.m.rule.master"
    assert (await client.get(path, headers=headers)).json() == rules["override"][0]
    assert (await client.get(f"{path}/enabled", headers=headers)).json() == {"enabled": False}
    path = f"{V3}/pushrules/global/underride/.m.rule.message"
    assert (await client.get(f"{path}/actions", headers=headers)).json() == {"actions": ["notify"]}
    for missing in ("override/.m.rule.message", "robots/.m.rule.message", "room/!x:y/enabled"):
        answer = await client.get(f"{V3}/pushrules/global/{missing}", headers=headers)
        assert (answer.status_code, answer.json()["errcode"]) == (404, "M_NOT_FOUND")


def test_the_predefined_rules_are_the_specifications() -> None:
    spec = Path(__file__).parents[3] / "shared/spec/content/client-server-api/modules/push.md"
    if not spec.exists():
        pytest.skip("the specification is not here")
    section = spec.read_text().partition("#### Predefined Rules")[2].partition("#### Push Rules: API")[0]
    blocks = [block.partition("```")[0] for block in section.split("```json")[1:]]
    told = [json.loads(block.replace("[the user's Matrix ID]", ALICE)) for block in blocks]
    rules = default_rules(ALICE)
    assert rules["override"] + rules["underride"] == told


async def test_account_data(house: Household, client: httpx.AsyncClient) -> None:
    headers = bearer(await house.login("alice"))
    told: list[tuple[str, int]] = []
    house.account_data.changed.append(lambda user_id, position: told.append((user_id, position)))
    before = house.database.position
    room = f"{USER}/rooms/!room:example.org"
    for path in (USER, room):
        for content in ({"value": "first"}, {"value": 2**70, "more": [1.5]}):
            answer = await client.put(f"{path}/account_data/org.example.x", headers=headers, json=content)
            assert (answer.status_code, answer.json()) == (200, {})
            assert (await client.get(f"{path}/account_data/org.example.x", headers=headers)).json() == content
    assert told == [(ALICE, before + n) for n in (1, 2, 3, 4)]
    assert house.database.position == before + 4
    rows = account_data_between(house.database, ALICE, before, before + 4)
    assert [(row.room_id, row.type, row.position) for row in rows] == [
        ("", "org.example.x", before + 2),
        ("!room:example.org", "org.example.x", before + 4),
    ]
    assert account_data_between(house.database, ALICE, before + 2, before + 3) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "errcode"),
    [
        ("GET", f"{ALICE}/account_data/org.example.x", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/rooms/!r:x/account_data/org.example.x", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/rooms/!r:x/account_data/m.push_rules", None, 404, "M_NOT_FOUND"),
        ("GET", f"{ALICE}/rooms/room/account_data/org.example.x", None, 400, "M_INVALID_PARAM"),
        ("GET", "@bob:example.org/account_data/org.example.x", None, 403, "M_FORBIDDEN"),
        ("GET", "@bob:example.org/rooms/!r:x/account_data/org.example.x", None, 403, "M_FORBIDDEN"),
        ("PUT", "@bob:example.org/account_data/org.example.x", {}, 403, "M_FORBIDDEN"),
        ("PUT", "@bob:example.org/rooms/!r:x/account_data/org.example.x", {}, 403, "M_FORBIDDEN"),
        ("PUT", f"{ALICE}/rooms/room/account_data/org.example.x", {}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/account_data/m.push_rules", {}, 405, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/account_data/m.fully_read", {}, 405, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/rooms/!r:x/account_data/m.fully_read", {}, 405, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/account_data/{'t' * 256}", {}, 400, "M_INVALID_PARAM"),
        ("PUT", f"{ALICE}/account_data/org.example.x", [], 400, "M_BAD_JSON"),
        ("PUT", f"{ALICE}/account_data/org.example.x", "broken", 400, "M_BAD_JSON"),
    ],
)
async def test_account_data_that_is_refused(
    house: Household, client: httpx.AsyncClient, method: str, path: str, body: Any, status: int, errcode: str
) -> None:
    login = await house.login("alice")
    answer = await client.request(method, f"{V3}/user/{path}", headers=bearer(login), json=body)
    assert (answer.status_code, answer.json()["errcode"]) == (status, errcode)
    assert house.database.read("SELECT count(*) FROM account_data") == [(0,)]


async def test_versions_and_capabilities(house: Household, client: httpx.AsyncClient) -> None:
    versions = (await client.get("/_matrix/client/versions", headers={"Authorization": "Bearer ended"})).json()
    assert versions["versions"] == [f"v1.{minor}" for minor in range(1, 20)]
    assert all(value is True for value in versions["unstable_features"].values())
    assert (await client.get(f"{V3}/capabilities")).status_code == 401
    told = (await client.get(f"{V3}/capabilities", headers=bearer(await house.login("alice")))).json()["capabilities"]
    assert told["m.room_versions"]["default"] == "12"
    assert told["m.room_versions"]["available"] == {str(version): "stable" for version in range(1, 13)}
    enabled = {name for name, value in told.items() if value.get("enabled")}
    fields = {"m.profile_fields", "uk.tcpip.msc4133.profile_fields"}
    assert enabled == {"m.change_password", "m.set_displayname", "m.set_avatar_url", "m.get_login_token", *fields}
    house.settings.login_tokens = False
    told = (await client.get(f"{V3}/capabilities", headers=bearer(await house.login("bob")))).json()["capabilities"]
    assert told["m.get_login_token"] == {"enabled": False}


async def test_well_known(house: Household, client: httpx.AsyncClient) -> None:
    async def told(name: str) -> Any:
        answer = await client.get(f"/.well-known/matrix/{name}")
        return answer.json() if answer.status_code == 200 else answer.json()["errcode"]

    assert await told("client") == {"m.homeserver": {"base_url": "https://matrix.example.org"}}
    assert await told("server") == {"m.server": "matrix.example.org:443"}
    assert await told("support") == "M_NOT_FOUND"
    await house.accounts.create("zoe", None, admin=True)
    contact = {"matrix_id": "@zoe:example.org", "role": "m.role.admin"}
    assert await told("support") == {"contacts": [contact]}
    house.settings.federation_enabled = False
    assert await told("server") == "M_NOT_FOUND"
    house.settings.public_host = house.settings.server_name = ""
    assert await told("client") == "M_NOT_FOUND"


@pytest.mark.parametrize(
    ("authority", "told"),
    [
        ("example.org", "example.org:443"),
        ("example.org:8443", "example.org:8443"),
        ("[2001:db8::1]", "[2001:db8::1]:443"),
        ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_a_port_is_always_named(authority: str, told: str) -> None:
    assert with_port(authority) == told


async def test_who_may_look_at_profiles(house: Household, client: httpx.AsyncClient) -> None:
    alice, bob = await house.login("alice"), await house.login("bob")
    await house.profiles.put(alice.user_id, "displayname", {"displayname": "Alice"})
    paths = (f"{V3}/profile/{alice.user_id}", f"{V3}/profile/{alice.user_id}/displayname")

    async def seen(login: Any) -> set[int]:
        headers = {} if login is None else bearer(login)
        return {(await client.get(path, headers=headers)).status_code for path in paths}

    for readers, anybody, user in (("everybody", 200, 200), ("users", 403, 200), ("roommates", 403, 403)):
        house.settings.profiles_readers = readers
        assert await seen(None) == {anybody}
        assert await seen(bob) == {user}
        assert await seen(alice) == {200}
    sql = "INSERT INTO memberships (room_nid, user_id, membership, event_nid, sender, position) VALUES (?,?,?,?,?,?)"
    rows = [(1, each.user_id, "join", 1, each.user_id, 1) for each in (alice, bob)]
    await house.database.write(lambda tx: tx.execute_many(sql, rows))
    house.company = Company(house.database)
    assert await seen(bob) == {200}
