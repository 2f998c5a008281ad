"""Accounts and their passwords."""

import asyncio
import threading

import pytest

from appliance.accounts.accounts import Accounts
from appliance.accounts.passwords import Passwords
from appliance.errors import MatrixError
from tests.accounts.household import Household

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("username", "errcode"),
    [
        ("alice", None),
        ("Al.ice_=-/+9", None),
        ("", "M_INVALID_USERNAME"),
        ("al ice", "M_INVALID_USERNAME"),
        ("älice", "M_INVALID_USERNAME"),
        ("\u212aate", "M_INVALID_USERNAME"),
        ("@alice:example.org", "M_INVALID_USERNAME"),
        ("a\n", "M_INVALID_USERNAME"),
        ("a" * 242, None),
        ("a" * 243, "M_INVALID_USERNAME"),
        ("taken", "M_USER_IN_USE"),
        ("TAKEN", "M_USER_IN_USE"),
        ("gone", "M_USER_IN_USE"),
    ],
)
async def test_usernames(house: Household, username: str, errcode: str | None) -> None:
    await house.accounts.create("taken", None)
    await house.accounts.deactivate(await house.accounts.create("gone", None))
    if errcode is None:
        assert house.accounts.claimable(username) == f"@{username.lower()}:example.org"
        assert await house.accounts.create(username, "secret") == f"@{username.lower()}:example.org"
        return
    for attempt in (house.accounts.claimable, lambda name: house.accounts.create(name, "secret")):
        with pytest.raises(MatrixError) as refused:
            outcome = attempt(username)
            if not isinstance(outcome, str):
                await outcome
        assert refused.value.errcode == errcode


async def test_what_newcomers_are_called(house: Household) -> None:
    """By what they typed, until they take another name; guests by nothing."""
    for typed, guest, shown in (("Alice", False, {"displayname": "Alice"}), ("g", True, {})):
        assert house.profiles.fields(await house.accounts.create(typed, None, guest=guest)) == shown


async def test_of_two_who_want_a_name_at_once_one_gets_it(house: Household) -> None:
    outcomes = await asyncio.gather(
        *(house.accounts.create("alice", "secret") for _ in range(4)), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if isinstance(outcome, MatrixError)]
    assert [refusal.errcode for refusal in refusals] == ["M_USER_IN_USE"] * 3


async def test_who_there_is(house: Household) -> None:
    assert house.accounts.first_admin() is None
    await house.accounts.create("zoe", None, admin=True)
    house.now += 1
    await house.accounts.create("alice", None, admin=True)
    await house.accounts.create("bob", "secret")
    assert [account.user_id for account in await house.accounts.list()] == [
        f"@{name}:example.org" for name in ("alice", "bob", "zoe")
    ]
    assert house.accounts.first_admin() == "@zoe:example.org"
    await house.accounts.deactivate("@zoe:example.org")
    assert house.accounts.first_admin() == "@alice:example.org"
    assert house.accounts.available(house.accounts.generated_localpart())


@pytest.mark.parametrize(
    ("user_id", "password", "right"),
    [
        ("@alice:example.org", "pässword 🗝", True),
        ("@alice:example.org", "password", False),
        ("@alice:example.org", "", False),
        ("@alice:example.org", "p" * 100_000, False),
        ("@nobody:example.org", "pässword 🗝", False),
        ("@without:example.org", "pässword 🗝", False),
        ("@without:example.org", "", False),
    ],
)
async def test_checking_a_password(house: Household, user_id: str, password: str, right: bool) -> None:
    await house.accounts.create("alice", "pässword 🗝")
    await house.accounts.create("without", None)
    assert await house.accounts.check_password(user_id, password) is right


async def test_an_unknown_user_costs_as_much_work_as_a_known_one(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.accounts.create("alice", "secret")
    checked: list[str] = []

    def note(hasher: object, encoded: str, password: str) -> bool:
        checked.append(encoded)
        return False

    monkeypatch.setattr("appliance.accounts.passwords._matches", note)
    for user_id in ("@alice:example.org", "@nobody:example.org"):
        assert not await house.accounts.check_password(user_id, "wrong")
    known, vain = (encoded.split("$") for encoded in checked)
    assert known[:4] == vain[:4] == ["", "argon2id", "v=19", "m=8,t=1,p=1"]
    assert [len(part) for part in known] == [len(part) for part in vain]


async def test_a_hash_follows_the_settings_at_the_next_login(house: Household) -> None:
    user_id = await house.accounts.create("alice", "secret")
    house.settings.passwords_rounds = 2
    assert not await house.accounts.check_password(user_id, "wrong")
    account = house.accounts.get(user_id)
    assert account is not None
    assert "t=1" in str(account.password_hash)
    assert await house.accounts.check_password(user_id, "secret")
    account = house.accounts.get(user_id)
    assert account is not None
    assert "t=2" in str(account.password_hash)
    assert await house.accounts.check_password(user_id, "secret")


@pytest.mark.parametrize(
    ("password", "errcode"), [("", "M_MISSING_PARAM"), ("p" * 513, "M_INVALID_PARAM"), ("é" * 257, "M_INVALID_PARAM")]
)
async def test_passwords_that_are_not_kept(house: Household, password: str, errcode: str) -> None:
    user_id = await house.accounts.create("alice", "secret")
    for attempt in (house.accounts.create("bob", password), house.accounts.set_password(user_id, password)):
        with pytest.raises(MatrixError) as refused:
            await attempt
        assert refused.value.errcode == errcode
    assert house.accounts.available("bob")
    assert await house.accounts.check_password(user_id, "secret")


async def test_a_new_password_ends_the_other_sessions(house: Household) -> None:
    logins = [await house.login("alice") for _ in range(3)]
    user_id = logins[0].user_id
    await house.accounts.set_password(user_id, "second", logout_devices=False)
    assert all(house.sessions.authenticate(login.access_token) for login in logins)
    await house.accounts.set_password(user_id, "third", keep=logins[2].device_id)
    alive = [house.sessions.authenticate(login.access_token) is not None for login in logins]
    assert alive == [False, False, True]
    assert [await house.accounts.check_password(user_id, word) for word in ("second", "third")] == [False, True]


async def test_a_password_for_nobody(house: Household) -> None:
    with pytest.raises(MatrixError) as refused:
        await house.accounts.set_password("@nobody:example.org", "secret")
    assert refused.value.errcode == "M_NOT_FOUND"


@pytest.mark.parametrize(
    ("password", "flag", "errcode", "status"),
    [
        ("ecila", "", None, 200),
        ("wrong", "", "M_FORBIDDEN", 403),
        ("ecila", "deactivated", "M_USER_DEACTIVATED", 403),
        ("wrong", "deactivated", "M_FORBIDDEN", 403),
        ("ecila", "locked", "M_USER_LOCKED", 401),
        ("wrong", "locked", "M_FORBIDDEN", 403),
        ("ecila", "suspended", None, 200),
    ],
)
async def test_who_is_let_in(house: Household, password: str, flag: str, errcode: str | None, status: int) -> None:
    user_id = (await house.login("alice")).user_id
    if flag:
        await house.database.write(lambda tx: tx.execute(f"UPDATE accounts SET {flag} = 1"))
    if errcode is None:
        assert (await house.accounts.admit(user_id, password)).user_id == user_id
        return
    with pytest.raises(MatrixError) as refused:
        await house.accounts.admit(user_id, password)
    assert (refused.value.errcode, refused.value.status) == (errcode, status)


@pytest.mark.parametrize("erase", [False, True])
async def test_deactivating_leaves_nothing_but_the_name(house: Household, erase: bool) -> None:
    login = await house.login("alice")
    user_id = login.user_id
    await house.profiles.put(user_id, "displayname", {"displayname": "Alice"})
    await house.account_data.keep(user_id, "org.example.note", {})
    await house.filters.keep(user_id, {})
    told: list[str] = []
    house.accounts.deactivated.append(told.append)
    await house.accounts.deactivate(user_id, erase=erase)
    assert told == [user_id]
    assert house.sessions.authenticate(login.access_token) is None
    for table in ("devices", "sessions", "access_tokens", "profiles", "account_data", "filters"):
        assert house.database.read(f"SELECT count(*) FROM {table}") == [(0,)]
    account = house.accounts.get(user_id)
    assert account is not None
    assert (account.deactivated, account.erased, account.password_hash is None) == (True, erase, erase)
    with pytest.raises(MatrixError) as refused:
        await house.accounts.set_password(user_id, "secret")
    assert refused.value.errcode == "M_NOT_FOUND"


async def test_accounts_work_without_anybody_logged_in(house: Household) -> None:
    accounts = Accounts(house.database, house.settings, house.passwords)
    user_id = await accounts.create("alice", "secret", admin=True)
    await accounts.set_password(user_id, "other", True)
    assert await accounts.check_password(user_id, "other")


async def test_never_more_than_two_hashes_at_once(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, pair = threading.Lock(), threading.Barrier(2)
    running = most = 0

    def matches(hasher: object, encoded: str, password: str) -> bool:
        nonlocal running, most
        with counting:
            running += 1
            most = max(most, running)
        pair.wait(timeout=30)  # so there are two at once, and more would be seen
        with counting:
            running -= 1
        return True

    monkeypatch.setattr("appliance.accounts.passwords._matches", matches)
    passwords = Passwords(house.settings)
    verdicts = await asyncio.gather(*(passwords.verify(None, "secret") for _ in range(20)))
    passwords.close()
    assert not any(verdict.right for verdict in verdicts)
    assert most == 2
