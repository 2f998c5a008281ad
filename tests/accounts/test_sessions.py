"""Sessions: tokens, their refreshing and ending."""

import pytest

from appliance.accounts.sessions import ACCESS_TOKEN_MS, SEEN_EVERY_MS, Sessions
from appliance.accounts.token_memory import Remembered, Session, TokenMemory
from appliance.errors import MatrixError
from appliance.storage.database import Tx
from appliance.storage.sessions import KEEP_ENDED_MS
from tests.accounts.household import Household

pytestmark = pytest.mark.anyio


async def test_a_login_is_known_by_its_token_alone(house: Household) -> None:
    login = await house.login("alice")
    session = house.sessions.authenticate(login.access_token)
    assert session is not None
    assert (session.user_id, session.device_id) == ("@alice:example.org", login.device_id)
    assert not (session.admin or session.guest or session.locked or session.suspended or session.expired)
    assert login.expires_in_ms is None
    assert login.refresh_token is None
    assert house.sessions.authenticate("no such token") is None
    assert house.sessions.authenticate("é\udcff") is None


async def test_nothing_in_the_file_is_a_token(house: Household) -> None:
    login = await house.login("alice", refresh=True)
    await house.sessions.refresh(str(login.refresh_token))
    rows = house.database.read("SELECT hash FROM access_tokens UNION ALL SELECT hash FROM refresh_tokens")
    assert rows
    assert all(len(row[0]) == 32 for row in rows)


async def test_a_second_login_on_a_device_ends_the_first(house: Household) -> None:
    first = await house.login("alice", device_id="PHONE")
    other = await house.login("bob", device_id="PHONE")
    second = await house.sessions.login("@alice:example.org", "PHONE", "another name")
    assert house.sessions.authenticate(first.access_token) is None
    assert house.sessions.authenticate(second.access_token) is not None
    assert house.sessions.authenticate(other.access_token) is not None
    assert house.devices.get("@alice:example.org", "PHONE").display_name == "a device"


async def test_logging_out_deletes_the_device(house: Household) -> None:
    login, other = await house.login("alice"), await house.login("alice")
    assert house.sessions.authenticate(login.access_token) is not None
    await house.sessions.logout(login.user_id, login.device_id)
    assert house.sessions.authenticate(login.access_token) is None
    assert [device.device_id for device in await house.devices.list(login.user_id)] == [other.device_id]


async def test_logging_out_everywhere_can_keep_one(house: Household) -> None:
    logins = [await house.login("alice") for _ in range(3)]
    await house.sessions.logout_all(logins[0].user_id, keep=logins[1].device_id)
    assert [house.sessions.authenticate(login.access_token) is not None for login in logins] == [False, True, False]


async def test_whoever_listens_hears_of_each_deleted_device_once(house: Household) -> None:
    told: list[tuple[str, str, str]] = []

    class Listener:
        def deleting(self, tx: Tx, user_id: str, device_id: str) -> None:
            assert not tx.read("SELECT 1 FROM devices WHERE user_id = ? AND device_id = ?", (user_id, device_id))
            told.append(("in the unit", user_id, device_id))

        def deleted(self, user_id: str, device_id: str) -> None:
            told.append(("after", user_id, device_id))

    login = await house.login("alice")
    house.sessions.listeners.append(Listener())
    await house.sessions.delete_devices(login.user_id, [login.device_id, "NO SUCH", login.device_id])
    assert told == [(when, login.user_id, login.device_id) for when in ("in the unit", "after")]


async def test_sessions_outlive_the_process(house: Household) -> None:
    login = await house.login("alice")
    again = Sessions(house.database, house.clock)
    session = again.authenticate(login.access_token)
    assert session is not None
    assert session == house.sessions.authenticate(login.access_token)


async def test_an_access_token_that_can_be_refreshed_expires(house: Household) -> None:
    login = await house.login("alice", refresh=True)
    assert login.expires_in_ms == ACCESS_TOKEN_MS
    house.now += ACCESS_TOKEN_MS - 1
    session = house.sessions.authenticate(login.access_token)
    assert session is not None
    assert not session.expired
    house.now += 1
    ended = house.sessions.authenticate(login.access_token)
    assert ended is not None
    assert ended.expired
    renewed = await house.sessions.refresh(str(login.refresh_token))
    assert (renewed.user_id, renewed.device_id) == (login.user_id, login.device_id)
    session_after = house.sessions.authenticate(renewed.access_token)
    assert session_after is not None
    assert not session_after.expired
    assert session_after.session_id == session.session_id


@pytest.mark.parametrize("used", ["access token", "refresh token"])
async def test_a_refresh_token_lives_until_its_successors_are_used(house: Household, used: str) -> None:
    login = await house.login("alice", refresh=True)
    lost = await house.sessions.refresh(str(login.refresh_token))
    received = await house.sessions.refresh(str(login.refresh_token))
    assert house.sessions.authenticate(lost.access_token) is None
    with pytest.raises(MatrixError):
        await house.sessions.refresh(str(lost.refresh_token))
    assert house.sessions.authenticate(login.access_token) is not None
    if used == "access token":
        assert house.sessions.authenticate(received.access_token) is not None
    else:
        received = await house.sessions.refresh(str(received.refresh_token))
    with pytest.raises(MatrixError) as refused:
        await house.sessions.refresh(str(login.refresh_token))
    assert (refused.value.errcode, refused.value.status) == ("M_UNKNOWN_TOKEN", 401)
    assert refused.value.extra == {"soft_logout": True}
    assert house.sessions.authenticate(received.access_token) is not None
    await house.sessions.refresh(str(received.refresh_token))


async def test_an_unknown_refresh_token_is_no_soft_logout(house: Household) -> None:
    login = await house.login("alice", refresh=True)
    await house.sessions.logout(login.user_id, login.device_id)
    for token in (str(login.refresh_token), "nonsense"):
        with pytest.raises(MatrixError) as refused:
            await house.sessions.refresh(token)
        assert (refused.value.errcode, refused.value.extra) == ("M_UNKNOWN_TOKEN", {})


async def test_a_replaced_access_token_is_answered_softly(house: Household) -> None:
    first = await house.login("alice", refresh=True)
    second = await house.sessions.refresh(str(first.refresh_token))
    assert house.sessions.authenticate(second.access_token) is not None
    third = await house.sessions.refresh(str(second.refresh_token))
    assert house.sessions.authenticate(third.access_token) is not None
    await house.database.write(lambda tx: None)
    states = [house.sessions.authenticate(login.access_token) for login in (first, second, third)]
    assert [state is not None and state.expired for state in states] == [True, False, False]


async def test_old_tokens_of_a_session_do_not_pile_up(house: Household) -> None:
    login = await house.login("alice", refresh=True)
    for _ in range(5):
        login = await house.sessions.refresh(str(login.refresh_token))
        house.now += KEEP_ENDED_MS + ACCESS_TOKEN_MS
    for table in ("access_tokens", "refresh_tokens"):
        assert house.database.read(f"SELECT count(*) FROM {table}")[0][0] <= 3
    await house.sessions.refresh(str(login.refresh_token))


async def test_a_locked_user_cannot_refresh(house: Household) -> None:
    login = await house.login("alice", refresh=True)
    await house.database.write(lambda tx: tx.execute("UPDATE accounts SET locked = 1"))
    with pytest.raises(MatrixError) as refused:
        await house.sessions.refresh(str(login.refresh_token))
    assert (refused.value.errcode, refused.value.extra) == ("M_USER_LOCKED", {"soft_logout": True})


async def test_asking_again_does_not_ask_the_database(house: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    login = await house.login("alice")
    assert house.sessions.authenticate(login.access_token) is not None
    monkeypatch.setattr(house.database, "read", None)
    assert house.sessions.authenticate(login.access_token) is not None


async def test_what_changed_about_an_account_is_seen_once_forgotten(house: Household) -> None:
    login = await house.login("alice")
    assert house.sessions.authenticate(login.access_token) is not None
    await house.database.write(
        lambda tx: tx.execute("UPDATE accounts SET suspended = 1"),
        published=lambda _: house.sessions.forget(login.user_id),
    )
    session = house.sessions.authenticate(login.access_token)
    assert session is not None
    assert session.suspended


@pytest.mark.parametrize(
    ("device_id", "name"), [("D" * 513, None), ("é" * 257, None), ("PHONE", "n" * 256)], ids=["id", "bytes", "name"]
)
async def test_a_device_has_limits(house: Household, device_id: str, name: str | None) -> None:
    await house.login("alice")
    with pytest.raises(MatrixError) as refused:
        await house.sessions.login("@alice:example.org", device_id, name)
    assert refused.value.errcode == "M_INVALID_PARAM"


async def test_when_a_device_was_seen_is_told_at_once_and_written_now_and_then(house: Household) -> None:
    login = await house.login("alice")
    session = house.sessions.authenticate(login.access_token)
    assert session is not None

    def written() -> tuple[object, ...]:
        return house.database.read("SELECT last_seen_ts, last_seen_ip FROM devices")[0]

    before = house.database.commits
    for _ in range(10):
        house.now += 1000
        house.sessions.seen(session.session_id, "192.0.2.7")
    assert house.database.commits == before
    assert written() == (None, None)
    device = house.devices.get(login.user_id, login.device_id)
    assert (device.last_seen_ts, device.last_seen_ip) == (house.now, "192.0.2.7")
    house.now += SEEN_EVERY_MS
    house.sessions.seen(session.session_id, "192.0.2.8")
    await house.database.write(lambda tx: None)
    assert written() == (house.now, "192.0.2.8")
    house.now += 1
    house.sessions.seen(session.session_id, "192.0.2.9")
    await house.sessions.close()
    assert written() == (house.now, "192.0.2.9")


def test_the_memory_of_tokens_is_bounded_and_forgets_users_whole() -> None:
    memory = TokenMemory(3)

    def remembered(user_id: str) -> Remembered:
        return Remembered(
            Session(
                session_id=1,
                user_id=user_id,
                device_id="D",
                admin=False,
                guest=False,
                locked=False,
                suspended=False,
                expired=False,
            ),
            None,
        )

    memory.put(b"1", remembered("a"))
    memory.put(b"2", remembered("b"))
    memory.put(b"3", remembered("b"))
    assert memory.get(b"1") is not None
    memory.put(b"4", remembered("c"))
    assert [memory.get(key) is not None for key in (b"1", b"2", b"3", b"4")] == [True, False, True, True]
    memory.forget("b")
    memory.forget("nobody")
    assert [memory.get(key) is not None for key in (b"1", b"3", b"4")] == [True, False, True]
    assert len(memory) == 2
