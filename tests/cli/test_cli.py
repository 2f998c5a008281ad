"""The command line: what it asks of the rest, how it fails, and how little it loads where little is asked."""

import subprocess
import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance import cli
from appliance.errors import OwnerError
from appliance.server import addresses, socket
from appliance.server.folder import DataFolder
from appliance.version import VERSION

HEAVY = ("asyncio", "litestar", "granian", "piccolo", "nacl", "acme", "jinja2", "cryptography", "orjson")


def hearth(*arguments: object, typed: str | None = None, **environment: str) -> Result:
    """Run a command in this process, its standard error beside its output."""
    return CliRunner(env=environment).invoke(cli.main, [str(each) for each in arguments], input=typed)


class Order:
    """What reached the other side of the command line."""

    def __init__(self) -> None:
        self.way = ""
        self.name = ""
        self.arguments: dict[str, Any] = {}
        self.result: Any = {"user_id": "@bob:home.example", "password": None}

    def take(self, way: str, name: str, arguments: dict[str, Any]) -> Any:
        """Remember an order; give the result, or raise it."""
        self.way, self.name, self.arguments = way, name, arguments
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Order:
    """Stand-ins for the application and the socket that take one order."""
    taken = Order()

    def command(name: str) -> Any:
        async def run(**arguments: Any) -> Any:
            return taken.take("offline", name, arguments)

        return run

    @asynccontextmanager
    async def offline(data: Path) -> AsyncIterator[dict[str, Any]]:
        users = (
            "setup",
            "claim_code",
            "user_add",
            "user_list",
            "user_reset_password",
            "user_restrict",
            "user_deactivate",
            "user_allow_key_reset",
        )
        servers = ("federation_list", "federation_retry", "federation_block", "federation_allow")
        with DataFolder(data):  # as the real one: fails where the command line still holds the lock
            yield {name: command(name) for name in (*users, *servers)}

    def ask(folder: DataFolder, command: str, arguments: dict[str, Any]) -> Any:
        return taken.take("socket", command, arguments)

    def serve(data: Path, http: str, https: str, federation: str) -> None:
        taken.take("serve", "", {"data": data, "http": http, "https": https, "federation": federation})

    application = types.ModuleType("appliance.app")
    application.__dict__.update(offline=offline)
    running = types.ModuleType("appliance.running")
    running.__dict__.update(serve=serve)
    monkeypatch.setitem(sys.modules, "appliance.app", application)
    monkeypatch.setitem(sys.modules, "appliance.running", running)
    monkeypatch.setattr(socket, "ask", ask)
    return taken


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with something in it."""
    folder = DataFolder(tmp_path / "data")
    folder.database.touch()
    return folder.path


def test_version() -> None:
    assert hearth("version").output == f"hearth {VERSION}\n"


@pytest.mark.parametrize("arguments", [["version"], ["healthcheck", "--http", "off", "--https", "off"], ["--help"]])
def test_small_commands_load_next_to_nothing(arguments: list[str]) -> None:
    code = f"""
import sys
from appliance.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_serve_takes_addresses_from_options_environment_and_defaults(order: Order) -> None:
    assert hearth("serve", "--http", ":80", HEARTH_HTTPS="off", HEARTH_DATA="/srv/hearth").exit_code == 0
    assert order.arguments == {
        "data": Path("/srv/hearth"),
        "http": ":80",
        "https": "off",
        "federation": addresses.DEFAULT_FEDERATION,
    }
    hearth("serve")
    assert order.arguments["data"] == Path("data")
    assert (order.arguments["http"], order.arguments["https"]) == (addresses.DEFAULT_HTTP, addresses.DEFAULT_HTTPS)


def test_a_mistake_is_one_sentence_and_an_exit_code(order: Order) -> None:
    order.result = OwnerError("Port 80 is taken by another program.", 3)
    result = hearth("serve")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "Port 80 is taken by another program.\n")


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert hearth("sing").exit_code == 2
    assert hearth("setup", "--answers", tmp_path / "none.toml").exit_code == 2


def test_setup_before_the_first_start(order: Order, tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('server_name = "home.example"')
    order.result = {"server_name": "home.example", "owner": "@alice:home.example"}
    result = hearth("setup", "--data", tmp_path / "data", "--answers", answers)
    assert result.output == "home.example is set up.\nIts owner is @alice:home.example.\n"
    assert (order.way, order.name) == ("offline", "setup")
    assert order.arguments == {"answers_text": 'server_name = "home.example"', "folder": str(tmp_path)}


def test_setup_from_standard_input(order: Order, tmp_path: Path) -> None:
    order.result = {"server_name": "home.example", "owner": ""}
    result = hearth("setup", "--data", tmp_path / "data", "--answers", "-", typed='server_name = "home.example"')
    assert result.output == "home.example is set up.\n"
    assert order.arguments == {"answers_text": 'server_name = "home.example"', "folder": str(Path.cwd())}


def test_answers_that_are_no_text(order: Order, tmp_path: Path) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_bytes(b"\xff\xfe\x00")
    result = hearth("setup", "--data", tmp_path / "data", "--answers", answers)
    assert result.exit_code == 1
    assert "is not UTF-8 text" in result.stderr
    assert not order.name


def test_a_running_server_is_asked_by_its_socket(order: Order, data: Path) -> None:
    with DataFolder(data):
        hearth("user", "add", "bob", "--admin", HEARTH_DATA=str(data))
    assert (order.way, order.name) == ("socket", "user_add")
    assert order.arguments == {"username": "bob", "password": None, "admin": True}


def test_a_server_that_is_just_starting(data: Path) -> None:
    with DataFolder(data):
        result = hearth("user", "list", "--data", data)
    assert result.exit_code == 1
    assert "starting or stopping" in result.stderr


def test_a_made_up_password_is_shown(order: Order, data: Path) -> None:
    order.result = {"user_id": "@bob:home.example", "password": "bado-kemi"}
    assert hearth("user", "add", "bob", "--data", data).output == "@bob:home.example is made.\nPassword: bado-kemi\n"
    result = hearth("user", "reset-password", "bob", "--data", data)
    assert result.output == "@bob:home.example has a new password.\nPassword: bado-kemi\n"
    assert order.way == "offline"


def test_a_password_of_ones_own_is_read_and_not_shown(order: Order, data: Path) -> None:
    result = hearth("user", "reset-password", "bob", "--ask-password", "--data", data, typed="a secret of mine\n")
    assert order.arguments == {"username": "bob", "password": "a secret of mine"}
    assert "secret" not in result.output


def test_user_list_marks_owners(order: Order, data: Path) -> None:
    order.result = [
        {"user_id": "@alice:home.example", "admin": True},
        {"user_id": "@bob:home.example", "locked": False},
    ]
    assert hearth("user", "list", "--data", data).output == "@alice:home.example admin\n@bob:home.example\n"


def test_accounts_are_restricted_and_ended(order: Order, data: Path) -> None:
    for act, mark in (("suspend", "suspended"), ("lock", "locked")):
        assert "is " in hearth("user", act, "bob", "--data", data).output
        assert order.arguments == {"username": "bob", mark: True}
        assert "again" in hearth("user", act, "bob", "--undo", "--data", data).output
        assert order.arguments == {"username": "bob", mark: False}
    assert hearth("user", "deactivate", "bob", "--data", data, typed="n\n").exit_code == 1
    assert order.name == "user_restrict"
    hearth("user", "deactivate", "bob", "--data", data, typed="y\n")
    assert (order.name, order.arguments) == ("user_deactivate", {"username": "bob", "erase": False})
    hearth("user", "deactivate", "bob", "--erase", "--yes", "--data", data)
    assert order.arguments == {"username": "bob", "erase": True}


def test_a_new_identity_is_allowed(order: Order, data: Path) -> None:
    order.result = {"user_id": "@bob:home.example", "until_ts": 60_000}
    told = hearth("user", "allow-key-reset", "bob", "--minutes", "3", "--data", data)
    assert "@bob:home.example may replace the keys of its identity once, until " in told.output
    assert (order.name, order.arguments) == ("user_allow_key_reset", {"username": "bob", "minutes": 3})
    order.result = {"user_id": "@bob:home.example", "until_ts": None}
    assert "must prove again" in hearth("user", "allow-key-reset", "bob", "--undo", "--data", data).output
    assert order.arguments == {"username": "bob", "minutes": None}


def test_claim_code(order: Order, data: Path) -> None:
    order.result = {"code": "BCD-FGH-JKM"}
    assert hearth("claim-code", "--data", data).output == "BCD-FGH-JKM\n"


@pytest.mark.parametrize("arguments", [["claim-code"], ["user", "list"], ["user", "add", "bob"]])
def test_a_wrong_folder_is_named_and_not_made(order: Order, tmp_path: Path, arguments: list[str]) -> None:
    result = hearth(*arguments, "--data", tmp_path / "typo")
    assert result.exit_code == 1
    assert f"There is no Hearth in {tmp_path / 'typo'}" in result.stderr
    assert not (tmp_path / "typo").exists()
    assert not order.name


def test_other_servers(order: Order, data: Path) -> None:
    at = str(data)
    known = {"last_success_ts": 0, "failing_since_ts": 0, "retry_ts": 0, "last_error": "", "waiting": 0, "messages": 0}
    order.result = [
        {**known, "server": "fine.test", "state": "fine", "last_success_ts": 86_400_000 * 20_000},
        {
            **known,
            "server": "dead.test",
            "state": "failing",
            "failing_since_ts": 86_400_000 * 20_000,
            "last_error": "Nothing answers.",
            "waiting": 3,
            "messages": 2,
        },
    ]
    fine, dead = hearth("federation", "list", "--data", at).output.splitlines()
    assert order.name == "federation_list"
    assert fine.startswith("fine.test  fine, last answered 2024-10-0")
    assert dead.startswith("dead.test  failing, since 2024-10-0")
    assert dead.endswith(
        " (Nothing answers.), tried again now, rooms it lacks something of: 3, messages between devices that wait: 2"
    )
    order.result = {"servers": ["dead.test"]}
    assert hearth("federation", "retry", "--data", at).output == "Trying dead.test.\n"
    assert (order.name, order.arguments) == ("federation_retry", {"server": ""})
    order.result = {"servers": "*.test"}
    assert hearth("federation", "block", "*.test", "--data", at).output == "This server talks no more with *.test.\n"
    assert (order.name, order.arguments) == ("federation_block", {"servers": "*.test"})
    assert hearth("federation", "allow", "*.test", "--data", at).output == "This server may talk with *.test.\n"
    assert (order.name, order.arguments) == ("federation_allow", {"servers": "*.test"})
