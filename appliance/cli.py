"""The command line: ``hearth serve`` and the owner's commands.

Everything heavy is imported inside the command that needs it: ``version`` and ``healthcheck`` (which a container runs
every half minute) load next to nothing. A mistake of the owner's ends in one sentence and an exit code, never in a
traceback.
"""

import sys
from pathlib import Path
from typing import IO, Any

import click

from appliance.errors import OwnerError

DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HEARTH_DATA",
    default="data",
    show_default="./data",
    help="The folder that holds everything.",
)
USERNAME = click.argument("username")
UNDO = click.option("--undo", is_flag=True, help="Take it back.")
ASK_PASSWORD = click.option(
    "--ask-password", is_flag=True, help="Ask for the password, or read it as a line of standard input."
)


class Commands(click.Group):
    """A group whose commands may raise ``OwnerError``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an ``OwnerError`` into its sentence on standard error and its exit code."""
        try:
            return super().invoke(ctx)
        except OwnerError as error:
            click.echo(error.message, err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Hearth, a Matrix homeserver as an appliance."""


@main.command()
@DATA
@click.option("--http", envvar="HEARTH_HTTP", default=":8080", show_default=True, help="Address of plain HTTP.")
@click.option("--https", envvar="HEARTH_HTTPS", default=":8443", show_default=True, help="Address of HTTPS.")
@click.option(
    "--federation", envvar="HEARTH_FEDERATION", default=":8448", show_default=True, help="Address for other servers."
)
def serve(data: Path, http: str, https: str, federation: str) -> None:
    """Run the server until it is told to stop.

    An address is host:port, :port or [v6]:port, several separated by commas; "off" switches a listener off.
    """
    from appliance.running import serve as run

    run(data, http, https, federation)


@main.command()
@DATA
@click.option(
    "--answers",
    required=True,
    type=click.File("r", encoding="utf-8"),
    help='The answers, a TOML file; "-" for standard input.',
)
def setup(data: Path, answers: IO[str]) -> None:
    """Answer the whole wizard from a file, before the first start or while the server runs unclaimed."""
    try:
        text = answers.read()
    except UnicodeDecodeError as error:
        raise OwnerError(f"{answers.name} is not UTF-8 text, so it cannot be read as an answers file.") from error
    beside = Path(answers.name).absolute().parent if answers.name not in ("-", "<stdin>") else Path.cwd()
    result = _command(data, "setup", fresh=True, answers_text=text, folder=str(beside))
    click.echo(f"{result['server_name']} is set up.")
    if result.get("owner"):
        click.echo(f"Its owner is {result['owner']}.")
    if result.get("registration_token"):
        click.echo(f"Newcomers need this registration token: {result['registration_token']}")


@main.command("claim-code")
@DATA
def claim_code(data: Path) -> None:
    """Print the code that claims a server that nobody has set up yet."""
    click.echo(_command(data, "claim_code")["code"])


@main.group()
def user() -> None:
    """Accounts on this server."""


@user.command("add")
@DATA
@USERNAME
@click.option("--admin", is_flag=True, help="Make this account an owner of the server.")
@ASK_PASSWORD
def user_add(data: Path, username: str, admin: bool, ask_password: bool) -> None:
    """Make an account. Without --ask-password, a password is made up and printed."""
    password = _ask_password() if ask_password else None
    _show_account(_command(data, "user_add", username=username, password=password, admin=admin), "is made")


@user.command("list")
@DATA
def user_list(data: Path) -> None:
    """Print one account a line, owners marked."""
    for account in _command(data, "user_list"):
        marks = [mark for mark in ("admin", "guest", "locked", "suspended", "deactivated") if account.get(mark)]
        click.echo(" ".join([account["user_id"], *marks]))


@user.command("reset-password")
@DATA
@USERNAME
@ASK_PASSWORD
def user_reset_password(data: Path, username: str, ask_password: bool) -> None:
    """Give an account a new password and log all its devices out."""
    password = _ask_password() if ask_password else None
    _show_account(_command(data, "user_reset_password", username=username, password=password), "has a new password")


@user.command("suspend")
@DATA
@USERNAME
@UNDO
def user_suspend(data: Path, username: str, undo: bool) -> None:
    """Let an account read and leave, but not write, until that is taken back."""
    what = "may write again" if undo else "is suspended: it can read and leave rooms, and write nothing"
    _show_account(_command(data, "user_restrict", username=username, suspended=not undo), what)


@user.command("lock")
@DATA
@USERNAME
@UNDO
def user_lock(data: Path, username: str, undo: bool) -> None:
    """Keep an account out, without logging it out, until that is taken back."""
    what = "may come in again" if undo else "is locked out; its devices go on where they were once that is taken back"
    _show_account(_command(data, "user_restrict", username=username, locked=not undo), what)


@user.command("deactivate")
@DATA
@USERNAME
@click.option("--erase", is_flag=True, help="Hide its messages from whoever joins a room later.")
@click.option("--yes", is_flag=True, help="Do not ask whether this is meant.")
def user_deactivate(data: Path, username: str, erase: bool, yes: bool) -> None:
    """End an account for ever: it is logged out and leaves its rooms, and its name stays taken."""
    if not yes:
        click.confirm(f"End {username} for ever? That cannot be taken back", abort=True)
    _show_account(_command(data, "user_deactivate", username=username, erase=erase), "is ended for ever")


@user.command("allow-key-reset")
@DATA
@USERNAME
@click.option("--minutes", default=10, show_default=True, help="For how long that is allowed.")
@UNDO
def user_allow_key_reset(data: Path, username: str, minutes: int, undo: bool) -> None:
    """Let an account replace the keys of its identity once without its password."""
    result = _command(data, "user_allow_key_reset", username=username, minutes=None if undo else minutes)
    until_ts = result.get("until_ts")
    allowed = f"may replace the keys of its identity once, until {_moment(until_ts)}" if until_ts else ""
    what = allowed or "must prove again whose it is before it replaces the keys of its identity"
    _show_account(result, what)


@main.group()
def federation() -> None:
    """Other servers."""


@federation.command("list")
@DATA
def federation_list(data: Path) -> None:
    """Print one server a line: how it goes with it, and what is the matter where something is."""
    for server in _command(data, "federation_list"):
        click.echo(_server_line(server))


@federation.command("retry")
@DATA
@click.argument("server", default="")
def federation_retry(data: Path, server: str) -> None:
    """Try a server that does not answer again now, or all of them."""
    tried = _command(data, "federation_retry", server=server)["servers"]
    click.echo("Trying " + ", ".join(tried) + "." if tried else "Every server answers: there is none to try again.")


@federation.command("block")
@DATA
@click.argument("servers")
def federation_block(data: Path, servers: str) -> None:
    """Talk no more with a server, or with all of a pattern such as "*.example.org"."""
    click.echo(f"This server talks no more with {_command(data, 'federation_block', servers=servers)['servers']}.")


@federation.command("allow")
@DATA
@click.argument("servers")
def federation_allow(data: Path, servers: str) -> None:
    """Take back a block, word for word as it was ordered."""
    click.echo(f"This server may talk with {_command(data, 'federation_allow', servers=servers)['servers']}.")


@federation.command("new-key")
@DATA
def federation_new_key(data: Path) -> None:
    """Sign with a new key from now on, where somebody else may have seen the old one."""
    click.echo(f"This server signs with the key {_command(data, 'federation_new_key')['key']} from now on.")


@main.command()
@DATA
@click.option("--limit", default=50, show_default=True, help="How many, the last first.")
def reports(data: Path, limit: int) -> None:
    """Print what users reported: events, rooms and other users."""
    from datetime import UTC, datetime

    for report in _command(data, "report_list", limit=limit):
        when = datetime.fromtimestamp(report["received_ts"] / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        about = " ".join(report[name] for name in ("event_id", "user_id", "room_id") if report[name])
        click.echo(_printable(f"{when} {report['reporter']} reports {about}"))
        for name in ("reason", "excerpt"):
            if report[name]:
                click.echo(f"    {name}: {_printable(report[name])}")


@main.command()
@click.option("--http", envvar="HEARTH_HTTP", default=":8080", show_default=True, help="Address of plain HTTP.")
@click.option("--https", envvar="HEARTH_HTTPS", default=":8443", show_default=True, help="Address of HTTPS.")
def healthcheck(http: str, https: str) -> None:
    """Ask the running server whether it is well; exit code 0 or 1."""
    from appliance.healthcheck import check

    check(http, https)
    click.echo("well")


@main.command()
def version() -> None:
    """Print the version."""
    from appliance.version import VERSION

    click.echo(f"hearth {VERSION}")


def _ask_password() -> str:
    """The password from the terminal, typed twice and not shown, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _printable(text: str) -> str:
    """What somebody wrote, in one line, without what a terminal would obey."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())


def _show_account(result: dict[str, Any], what: str) -> None:
    click.echo(f"{result['user_id']} {what}.")
    if result.get("password"):
        click.echo(f"Password: {result['password']}")


def _server_line(server: dict[str, Any]) -> str:
    """One line about another server."""
    parts = [server["state"]]
    if server["failing_since_ts"]:
        parts.append(f"since {_moment(server['failing_since_ts'])} ({server['last_error']})")
        parts.append(f"tried again {_moment(server['retry_ts'])}" if server["retry_ts"] else "tried again now")
    if server["waiting"]:
        parts.append(f"rooms it lacks something of: {server['waiting']}")
    if server["messages"]:
        parts.append(f"messages between devices that wait: {server['messages']}")
    if server["last_success_ts"]:
        parts.append(f"last answered {_moment(server['last_success_ts'])}")
    return f"{server['server']}  " + ", ".join(parts)


def _moment(milliseconds: int) -> str:
    """A time as a person reads it, in the machine's own zone."""
    import datetime

    return datetime.datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


def _command(data: Path, name: str, *, fresh: bool = False, **arguments: Any) -> Any:
    """Run one of the owner's commands: in the running server by its socket, else here under the folder's lock.

    Args:
        data: the data folder.
        name: a name of ``OwnerCommands.as_mapping``.
        fresh: whether the command may be the first thing that ever happens in this folder.
        arguments: what the command takes.
    """
    if not fresh and not (data / "hearth.db").exists():
        raise OwnerError(
            f"There is no Hearth in {data} yet. Start it with `hearth serve --data {data}`, "
            "or name its folder with --data."
        )
    import asyncio

    from appliance.server.folder import DataFolder
    from appliance.server.socket import NotRunningError, ask

    folder = DataFolder(data)
    if not folder.try_lock():
        try:
            return ask(folder, name, arguments)
        except NotRunningError as error:
            raise OwnerError(
                f"The Hearth in {folder.path} takes no orders at the moment, since it is starting or stopping. "
                "Try again shortly."
            ) from error
    folder.unlock()  # taken again, with all that it protects, by what comes next
    return asyncio.run(_offline(data, name, arguments))


async def _offline(data: Path, name: str, arguments: dict[str, Any]) -> Any:
    from appliance.app import offline

    async with offline(data) as commands:
        return await commands[name](**arguments)


if __name__ == "__main__":
    main()
