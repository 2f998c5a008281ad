"""What the owner can order from outside the browser: one set of functions for the command line, which runs them itself
under the data folder's lock, and for ``hearth.sock`` of a running server.

Arguments and results are plain JSON values, so that they pass through the socket as they are. A password is never in a
result, unless it was made up here and has to be shown once.
"""

import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from appliance.errors import MatrixError, OwnerError
from appliance.owner import fields
from appliance.owner.answers import Answers, parse_answers
from appliance.settings import Settings

SYLLABLES = "bdfghjkmnprstvz", "aeiou"
"""What made-up passwords are spelled with: easy to read aloud and to type on a phone."""
GROUPS, GROUP = 5, 2
"""Five groups of two syllables: (15 · 5) ** 10, that is 62 bits."""
MARKS = ("admin", "guest", "locked", "suspended", "deactivated")
"""What a list of accounts says of each beside its name."""

MOST_REPORTS = 1_000

Command = Callable[..., Coroutine[Any, Any, Any]]


class SetUp(Protocol):
    """The wizard's state, as far as it is needed here."""

    @property
    def is_finished(self) -> bool:
        """Whether the server has a name and its first owner."""

    @property
    def registration_token(self) -> str:
        """The token that the set-up made for newcomers, or ""."""

    async def apply(self, answers: Answers) -> None:
        """Answer the whole wizard at once; ``OwnerError`` where that is not possible any more."""


class People(Protocol):
    """The accounts, as far as they are needed here."""

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        """Make an account and give its user id."""

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        """Change a password."""

    async def list(self) -> Sequence[Any]:
        """Every account: ``user_id`` and the flags of ``MARKS``."""


class Complaints(Protocol):
    """What users reported, as far as it is needed here."""

    async def latest(self, limit: int) -> Sequence[Any]:
        """The last reports, the last first: structs of ``storage.reports``."""


class Code(Protocol):
    """The claim code, as far as it is needed here."""

    code: str


class OwnerCommands:
    """The owner's commands.

    Args:
        setup: the wizard's state.
        accounts: the accounts.
        claim: the claim code.
        settings: the settings.
        reports: what users reported.
    """

    def __init__(self, setup: SetUp, accounts: People, claim: Code, settings: Settings, reports: Complaints) -> None:
        self._reports = reports
        self._setup = setup
        self._accounts = accounts
        self._claim = claim
        self._settings = settings

    def as_mapping(self) -> Mapping[str, Command]:
        """Every command by the name that the socket knows."""
        return {
            "setup": self.setup,
            "claim_code": self.claim_code,
            "report_list": self.report_list,
            "user_add": self.user_add,
            "user_list": self.user_list,
            "user_reset_password": self.user_reset_password,
        }

    async def setup(self, answers_text: str, folder: str = ".") -> dict[str, Any]:
        """Answer the whole wizard.

        Args:
            answers_text: the answers file's content (TOML).
            folder: where the file lies; relative paths in it are meant from there.

        Returns:
            ``server_name``, ``owner`` (the first account's user id or "") and ``registration_token`` (what others need
            to make an account, or "").
        """
        if self._setup.is_finished:
            raise OwnerError(f"This Hearth is already set up, as {self._settings.server_name}. Nothing was changed.")
        answers = parse_answers(answers_text, Path(folder))
        await self._setup.apply(answers)
        name = answers.settings.server_name
        return {
            "server_name": name,
            "owner": f"@{answers.owner.username}:{name}" if answers.owner else "",
            "registration_token": self._setup.registration_token,
        }

    async def claim_code(self) -> dict[str, Any]:
        """The code that claims this server, as ``code``."""
        if self._setup.is_finished:
            raise OwnerError("This Hearth has its owner already: there is nothing to claim.")
        if not self._claim.code:
            raise OwnerError("The claim code is made when Hearth starts: run `hearth serve`, then ask again.")
        return {"code": self._claim.code}

    async def user_add(self, username: str, password: str | None = None, admin: bool = False) -> dict[str, Any]:
        """Make an account.

        Args:
            username: the localpart, or the whole user id.
            password: the password; one is made up if None.
            admin: whether the account is an owner of this server.

        Returns:
            ``user_id``, and ``password`` if it was made up.
        """
        self._must_be_set_up()
        localpart = fields.username(self._localpart(username), self._settings.server_name, "username")
        chosen = fields.password(password, "password") if password is not None else made_up_password()
        try:
            user_id = await self._accounts.create(localpart, chosen, admin=admin)
        except MatrixError as error:
            raise OwnerError(error.message) from error
        return {"user_id": user_id, "password": chosen if password is None else None}

    async def user_list(self) -> list[dict[str, Any]]:
        """Every account: ``user_id`` and the flags of ``MARKS``."""
        self._must_be_set_up()
        accounts = await self._accounts.list()
        return [
            {"user_id": account.user_id, **{mark: getattr(account, mark) for mark in MARKS}} for account in accounts
        ]

    async def report_list(self, limit: int = 50) -> list[dict[str, Any]]:
        """The last reports of events, rooms and users, the last first: the fields of ``storage.reports.Report``."""
        self._must_be_set_up()
        found = await self._reports.latest(max(1, min(limit, MOST_REPORTS)))
        return [msgspec.to_builtins(report) for report in found]

    async def user_reset_password(self, username: str, password: str | None = None) -> dict[str, Any]:
        """Give an account a new password and log all its devices out.

        Args:
            username: the localpart, or the whole user id.
            password: the new password; one is made up if None.

        Returns:
            ``user_id``, and ``password`` if it was made up.
        """
        self._must_be_set_up()
        user_id = f"@{self._localpart(username)}:{self._settings.server_name}"
        chosen = fields.password(password, "password") if password is not None else made_up_password()
        if all(account["user_id"] != user_id for account in await self.user_list()):
            raise OwnerError(f"There is no account {user_id}. `hearth user list` shows those that there are.")
        try:
            await self._accounts.set_password(user_id, chosen, True)
        except MatrixError as error:
            raise OwnerError(error.message) from error
        return {"user_id": user_id, "password": chosen if password is None else None}

    def _must_be_set_up(self) -> None:
        if not self._setup.is_finished:
            raise OwnerError("This Hearth is not set up yet: use the wizard, or `hearth setup --answers FILE`.")

    def _localpart(self, username: str) -> str:
        """The localpart of what the owner wrote: ``alice`` or ``@alice:example.org``."""
        if not username.startswith("@"):
            return username
        localpart, _, server = username[1:].partition(":")
        if server not in ("", self._settings.server_name):
            raise OwnerError(f"{username} is not of this server: names here end in :{self._settings.server_name}.")
        return localpart


def made_up_password() -> str:
    """A password that can be read aloud: five groups such as ``bakotu``."""
    consonants, vowels = SYLLABLES
    return "-".join(
        "".join(secrets.choice(consonants) + secrets.choice(vowels) for _ in range(GROUP)) for _ in range(GROUPS)
    )
