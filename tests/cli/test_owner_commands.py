"""The owner's commands by themselves, over stand-ins for the set-up and the accounts."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.errors import MatrixError, OwnerError
from appliance.owner.accounts import MARKS, AccountCommands, made_up_password
from appliance.owner.answers import Answers
from appliance.owner.commands import OwnerCommands
from appliance.settings import Settings
from appliance.storage.accounts import Account
from appliance.storage.reports import Report

ANSWERS = """
server_name = "home.example"
[tls]
mode = "proxy"
[owner]
username = "alice"
password = "correct horse battery"
"""


class FakeSetup:
    """A set-up that remembers what it was told."""

    def __init__(self, finished: bool) -> None:
        self.is_finished = finished
        self.registration_token = "a-token"
        self.applied: Answers | None = None

    async def apply(self, answers: Answers) -> None:
        self.applied = answers


class FakeAccounts:
    """Accounts in a dict."""

    def __init__(self) -> None:
        self.known = {"@alice:home.example": Account(user_id="@alice:home.example", password_hash="x", created_ts=1)}
        self.passwords: dict[str, str | None] = {}
        self.logged_out: list[str] = []
        self.erased = False

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        user_id = f"@{localpart}:home.example"
        if user_id in self.known:
            raise MatrixError("M_USER_IN_USE", "That name is taken.")
        self.known[user_id] = Account(user_id=user_id, password_hash="x", created_ts=1, admin=admin)
        self.passwords[user_id] = password
        return user_id

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        self.passwords[user_id] = password
        if logout_devices:
            self.logged_out.append(user_id)

    async def restrict(self, user_id: str, *, suspended: bool | None = None, locked: bool | None = None) -> None:
        told = {"suspended": suspended, "locked": locked}
        change = {name: value for name, value in told.items() if value is not None}
        self.known[user_id] = msgspec.structs.replace(self.known[user_id], **change)

    async def deactivate(self, user_id: str, *, erase: bool = False) -> None:
        self.known[user_id] = msgspec.structs.replace(self.known[user_id], deactivated=True)
        self.erased = erase

    async def allow_key_reset(self, user_id: str, lasting_ms: int | None) -> int | None:
        return lasting_ms

    async def list(self) -> list[Account]:
        return list(self.known.values())


class FakeClaim:
    """A claim code."""

    def __init__(self, code: str) -> None:
        self.code = code


class FakeReports:
    """One report."""

    async def latest(self, limit: int) -> list[Report]:
        return [Report(received_ts=7, reporter="@a:x", room_id="!r:x", reason="spam")][:limit]


class House:
    """The commands and what is behind them."""

    def __init__(self, *, finished: bool = True, code: str = "", running: bool = True) -> None:
        self.setup = FakeSetup(finished)
        self.accounts = FakeAccounts()
        self.reports = FakeReports()
        self.settings = Settings(server_name="home.example" if finished else "")
        commands = OwnerCommands(self.setup, FakeClaim(code), self.settings, self.reports)
        about = AccountCommands(self.setup, self.accounts, self.settings, running=running)
        self.commands = {**commands.as_mapping(), **about.as_mapping()}

    def order(self, name: str, **arguments: Any) -> Any:
        """Run a command, with arguments and result as they come through the socket."""
        passed = msgspec.json.decode(msgspec.json.encode(arguments))
        result: Any = asyncio.run(self.commands[name](**passed))
        return msgspec.json.decode(msgspec.json.encode(result))


def test_reports_are_listed() -> None:
    (report,) = House().order("report_list", limit=0)
    assert (report["reporter"], report["room_id"], report["reason"]) == ("@a:x", "!r:x", "spam")
    with pytest.raises(OwnerError, match="not set up"):
        House(finished=False).order("report_list")


def test_setup_applies_the_answers() -> None:
    house = House(finished=False)
    assert house.order("setup", answers_text=ANSWERS) == {
        "server_name": "home.example",
        "owner": "@alice:home.example",
        "registration_token": "a-token",
    }
    assert house.setup.applied is not None
    assert house.setup.applied.settings.tls_mode == "proxy"


def test_setup_reads_relative_paths_from_the_folder_of_the_answers(tmp_path: Path) -> None:
    with pytest.raises(OwnerError, match=str(tmp_path / "mine.pem")):
        House(finished=False).order(
            "setup",
            answers_text=ANSWERS.replace('"proxy"', '"files"\ncertificate = "mine.pem"\nkey = "mine.key"'),
            folder=str(tmp_path),
        )


def test_setup_changes_nothing_once_set_up() -> None:
    house = House()
    with pytest.raises(OwnerError, match=r"already set up, as home\.example"):
        house.order("setup", answers_text=ANSWERS)
    assert house.setup.applied is None


def test_claim_code() -> None:
    assert House(finished=False, code="BCD-FGH-JKM").order("claim_code") == {"code": "BCD-FGH-JKM"}
    with pytest.raises(OwnerError, match="hearth serve"):
        House(finished=False).order("claim_code")
    with pytest.raises(OwnerError, match="nothing to claim"):
        House(code="BCD-FGH-JKM").order("claim_code")


def test_user_add_makes_a_password_up_and_tells_it_once() -> None:
    house = House()
    made = house.order("user_add", username="bob")
    assert made == {"user_id": "@bob:home.example", "password": house.accounts.passwords["@bob:home.example"]}
    given = house.order("user_add", username="@carol:home.example", password="a good long one", admin=True)
    assert given == {"user_id": "@carol:home.example", "password": None}
    assert house.accounts.known["@carol:home.example"].admin


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"username": "alice"}, "taken"),
        ({"username": "Alice Smith"}, "small letters"),
        ({"username": "@bob:elsewhere.example"}, "not of this server"),
        ({"username": "bob", "password": "short"}, "at least"),
    ],
)
def test_user_add_says_what_is_wrong(arguments: dict[str, Any], sentence: str) -> None:
    house = House()
    with pytest.raises(OwnerError, match=sentence):
        house.order("user_add", **arguments)
    assert not house.accounts.passwords


def test_user_list_shows_no_more_than_it_should() -> None:
    assert House().order("user_list") == [{"user_id": "@alice:home.example", **dict.fromkeys(MARKS, False)}]


def test_user_reset_password_logs_out() -> None:
    house = House()
    result = house.order("user_reset_password", username="alice")
    assert result["password"] == house.accounts.passwords["@alice:home.example"]
    assert house.accounts.logged_out == ["@alice:home.example"]
    with pytest.raises(OwnerError, match="no account @bob:home"):
        house.order("user_reset_password", username="bob")


def test_accounts_are_suspended_and_locked_and_let_in_again() -> None:
    house = House(running=False)
    for mark in ("suspended", "locked"):
        for value in (True, False):
            assert house.order("user_restrict", username="alice", **{mark: value}) == {"user_id": "@alice:home.example"}
            (alice,) = house.order("user_list")
            assert {name for name in MARKS if alice[name]} == ({mark} if value else set())
    with pytest.raises(OwnerError, match="no account @bob:home"):
        house.order("user_restrict", username="bob", locked=True)


def test_a_new_identity_is_allowed_for_some_minutes() -> None:
    house = House(running=False)
    for minutes, until in (({}, 600_000), ({"minutes": 1}, 60_000), ({"minutes": None}, None)):
        told = house.order("user_allow_key_reset", username="alice", **minutes)
        assert told == {"user_id": "@alice:home.example", "until_ts": until}
    for minutes in (0, 1441):
        with pytest.raises(OwnerError, match="1 to 1440 minutes"):
            house.order("user_allow_key_reset", username="alice", minutes=minutes)
    with pytest.raises(OwnerError, match="no account @bob:home"):
        house.order("user_allow_key_reset", username="bob")


def test_an_account_is_ended_for_ever_by_a_running_server_only() -> None:
    with pytest.raises(OwnerError, match="Nothing was changed: start it"):
        House(running=False).order("user_deactivate", username="alice")
    house = House()
    assert house.order("user_deactivate", username="@alice:home.example", erase=True) == {
        "user_id": "@alice:home.example"
    }
    assert house.accounts.erased
    assert house.order("user_list")[0]["deactivated"]
    for again in ("user_deactivate", "user_reset_password"):
        with pytest.raises(OwnerError, match="ended for ever"):
            house.order(again, username="alice")


@pytest.mark.parametrize("name", ["user_add", "user_list", "user_reset_password", "user_restrict", "user_deactivate"])
def test_before_the_set_up_there_are_no_accounts(name: str) -> None:
    with pytest.raises(OwnerError, match="not set up yet"):
        House(finished=False).order(name, **({} if name == "user_list" else {"username": "bob"}))


def test_made_up_passwords_can_be_read_aloud() -> None:
    words = made_up_password().split("-")
    assert [len(word) for word in words] == [4] * 5
    assert made_up_password() != made_up_password()
