"""The owner's commands about accounts, for the command line and the socket; results are plain JSON values.

A password is never in a result, unless it was made up here and has to be shown once.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from appliance.errors import MatrixError, OwnerError
from appliance.owner import fields
from appliance.owner.commands import Command, SetUp, must_be_set_up
from appliance.settings import Settings

SYLLABLES = "bdfghjkmnprstvz", "aeiou"
"""What made-up passwords are spelled with: easy to read aloud and to type on a phone."""
GROUPS, GROUP = 5, 2
"""Five groups of two syllables: (15 · 5) ** 10, that is 62 bits."""
RESET_MINUTES, MOST_RESET_MINUTES = 10, 24 * 60
"""For how long new cross-signing keys are allowed, if nothing else is said, and at most."""
MARKS = ("admin", "guest", "locked", "suspended", "deactivated")
"""What a list of accounts says of each beside its name."""


class People(Protocol):
    """The accounts, as far as they are needed here."""

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        """Make an account and give its user id."""

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        """Change a password."""

    async def list(self) -> Sequence[Any]:
        """Every account: ``user_id`` and the flags of ``MARKS``."""

    async def restrict(self, user_id: str, *, suspended: bool | None = None, locked: bool | None = None) -> None:
        """Suspend or lock a user, or take that back."""

    async def deactivate(self, user_id: str, *, erase: bool = False) -> None:
        """End an account for ever."""

    async def allow_key_reset(self, user_id: str, lasting_ms: int | None) -> int | None:
        """Let a user replace their cross-signing keys once without a proof; answers until when."""


class AccountCommands:
    """The owner's commands about accounts.

    Args:
        setup: the wizard's state.
        accounts: the accounts.
        settings: the settings.
        running: whether a server runs, which takes ended accounts out of their rooms.
    """

    def __init__(self, setup: SetUp, accounts: People, settings: Settings, *, running: bool) -> None:
        self._setup = setup
        self._accounts = accounts
        self._settings = settings
        self._running = running

    def as_mapping(self) -> Mapping[str, Command]:
        """Every command by the name that the socket knows."""
        return {
            "user_add": self.user_add,
            "user_list": self.user_list,
            "user_reset_password": self.user_reset_password,
            "user_restrict": self.user_restrict,
            "user_deactivate": self.user_deactivate,
            "user_allow_key_reset": self.user_allow_key_reset,
        }

    async def user_add(self, username: str, password: str | None = None, admin: bool = False) -> dict[str, Any]:
        """Make an account.

        Args:
            username: the localpart, or the whole user id.
            password: the password; one is made up if None.
            admin: whether the account is an owner of this server.

        Returns:
            ``user_id``, and ``password`` if it was made up.
        """
        must_be_set_up(self._setup)
        localpart = fields.username(self._localpart(username), self._settings.server_name, "username")
        chosen = fields.password(password, "password") if password is not None else made_up_password()
        try:
            user_id = await self._accounts.create(localpart, chosen, admin=admin)
        except MatrixError as error:
            raise OwnerError(error.message) from error
        return {"user_id": user_id, "password": chosen if password is None else None}

    async def user_list(self) -> list[dict[str, Any]]:
        """Every account: ``user_id`` and the flags of ``MARKS``."""
        must_be_set_up(self._setup)
        accounts = await self._accounts.list()
        return [
            {"user_id": account.user_id, **{mark: getattr(account, mark) for mark in MARKS}} for account in accounts
        ]

    async def user_reset_password(self, username: str, password: str | None = None) -> dict[str, Any]:
        """Give an account a new password and log all its devices out.

        Args:
            username: the localpart, or the whole user id.
            password: the new password; one is made up if None.

        Returns:
            ``user_id``, and ``password`` if it was made up.
        """
        must_be_set_up(self._setup)
        user_id = await self._known(username)
        chosen = fields.password(password, "password") if password is not None else made_up_password()
        try:
            await self._accounts.set_password(user_id, chosen, True)
        except MatrixError as error:
            raise OwnerError(error.message) from error
        return {"user_id": user_id, "password": chosen if password is None else None}

    async def user_restrict(
        self, username: str, *, suspended: bool | None = None, locked: bool | None = None
    ) -> dict[str, Any]:
        """Suspend an account, which may then read but not write, or lock it out, or take that back.

        Args:
            username: the localpart, or the whole user id.
            suspended: whether it is suspended; None leaves it as it is.
            locked: whether it is locked out; None leaves it as it is.

        Returns:
            ``user_id``.
        """
        user_id = await self._known(username)
        await self._accounts.restrict(user_id, suspended=suspended, locked=locked)
        return {"user_id": user_id}

    async def user_deactivate(self, username: str, *, erase: bool = False) -> dict[str, Any]:
        """End an account for ever: it is logged out, leaves its rooms, and its name stays taken.

        Args:
            username: the localpart, or the whole user id.
            erase: whether its messages are to be hidden from whoever joins later.

        Returns:
            ``user_id``.
        """
        user_id = await self._known(username)
        if not self._running:
            raise OwnerError(
                f"No Hearth is running here, and only a running one can take {user_id} out of its rooms and delete its "
                "keys. Nothing was changed: start it, then order this again. `hearth user lock` works at once."
            )
        await self._accounts.deactivate(user_id, erase=erase)
        return {"user_id": user_id}

    async def user_allow_key_reset(self, username: str, minutes: int | None = RESET_MINUTES) -> dict[str, Any]:
        """Let an account replace its cross-signing keys once without proving by password whose it is.

        Whoever has no password, or does not know it, can do so in no other way. It is for the owner to be sure that it
        is that person who asks.

        Args:
            username: the localpart, or the whole user id.
            minutes: for how long that is allowed; None takes it back.

        Returns:
            ``user_id``, and ``until_ts``, milliseconds since 1970, or None.
        """
        if minutes is not None and not 1 <= minutes <= MOST_RESET_MINUTES:
            raise OwnerError(f"A new identity can be allowed for 1 to {MOST_RESET_MINUTES} minutes.")
        user_id = await self._known(username)
        lasting_ms = None if minutes is None else minutes * 60_000
        return {"user_id": user_id, "until_ts": await self._accounts.allow_key_reset(user_id, lasting_ms)}

    async def _known(self, username: str) -> str:
        """The user id of an account that is in use."""
        user_id = f"@{self._localpart(username)}:{self._settings.server_name}"
        account = next((one for one in await self.user_list() if one["user_id"] == user_id), None)
        if account is None:
            raise OwnerError(f"There is no account {user_id}. `hearth user list` shows those that there are.")
        if account["deactivated"]:
            raise OwnerError(f"The account {user_id} was ended for ever; its name stays taken. Nothing was changed.")
        return user_id

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
