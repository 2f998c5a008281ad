"""What the owner can order from outside the browser: one set of functions for the command line, which runs them itself
under the data folder's lock, and for ``hearth.sock`` of a running server.

Arguments and results are plain JSON values, so that they pass through the socket as they are. A password is never in a
result, unless it was made up here and has to be shown once.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from appliance.errors import OwnerError
from appliance.owner.answers import Answers, parse_answers
from appliance.settings import Settings

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
        claim: the claim code.
        settings: the settings.
        reports: what users reported.
    """

    def __init__(self, setup: SetUp, claim: Code, settings: Settings, reports: Complaints) -> None:
        self._reports = reports
        self._setup = setup
        self._claim = claim
        self._settings = settings

    def as_mapping(self) -> Mapping[str, Command]:
        """Every command by the name that the socket knows."""
        return {
            "setup": self.setup,
            "claim_code": self.claim_code,
            "report_list": self.report_list,
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

    async def report_list(self, limit: int = 50) -> list[dict[str, Any]]:
        """The last reports of events, rooms and users, the last first: the fields of ``storage.reports.Report``."""
        must_be_set_up(self._setup)
        found = await self._reports.latest(max(1, min(limit, MOST_REPORTS)))
        return [msgspec.to_builtins(report) for report in found]

    def _must_be_set_up(self) -> None:
        if not self._setup.is_finished:
            raise OwnerError("This Hearth is not set up yet: use the wizard, or `hearth setup --answers FILE`.")


def must_be_set_up(setup: SetUp) -> None:
    """Raise an ``OwnerError`` where there are no accounts yet."""
    if not setup.is_finished:
        raise OwnerError("This Hearth is not set up yet: use the wizard, or `hearth setup --answers FILE`.")
