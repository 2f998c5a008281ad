"""Accounts: making them, checking and changing passwords, ending them."""

import secrets
import string
from collections.abc import Callable

from appliance.accounts.clock import Clock, wall_clock
from appliance.accounts.passwords import Passwords, wrong_password
from appliance.accounts.sessions import Sessions, locked_out
from appliance.errors import MatrixError, not_found
from appliance.protocol import canonical
from appliance.protocol.identifiers import is_new_localpart, is_user_id
from appliance.settings import Settings
from appliance.storage import accounts, cross_signing, profiles, registration_tokens
from appliance.storage.accounts import Account
from appliance.storage.database import Database, Tx

__all__ = ["Account", "Accounts"]

_GENERATED_LETTERS = 10


class Accounts:
    """The users of this server.

    Args:
        database: hearth.db.
        settings: the server's name, read at use.
        passwords: hashes and checks passwords.
        sessions: where a change of an account ends logins; one of its own, where nobody is logged in anyway.
        clock: the time in milliseconds since 1970.

    Attributes:
        deactivating: called in the unit that ends an account, with the user's id, to delete what is kept about them.
        deactivated: called on the loop with the id of a user whose account was just ended, after the commit.
        locked: the same of a user who was just locked out.
        erased: the ids of those whose messages are hidden from newcomers.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        passwords: Passwords,
        sessions: Sessions | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._database = database
        self._settings = settings
        self._passwords = passwords
        self._sessions = sessions or Sessions(database, clock)
        self._clock = clock
        self.deactivating: list[Callable[[Tx, str], None]] = []
        self.deactivated: list[Callable[[str], None]] = []
        self.locked: list[Callable[[str], None]] = []
        self.erased: set[str] = set(accounts.erased_users(database))

    # Names -----------------------------------------------------------------------------------------------------------

    def user_id_of(self, username: str) -> str:
        """The id that an account with this username gets; capitals become small.

        Raises:
            MatrixError: 400 ``M_INVALID_USERNAME``.
        """
        localpart = username.lower()
        user_id = f"@{localpart}:{self._settings.server_name}"
        # Lower-casing turns a few letters beyond ASCII into ASCII ones: such a name is not what was asked for.
        if not username.isascii() or not is_new_localpart(localpart) or not is_user_id(user_id):
            raise MatrixError(
                "M_INVALID_USERNAME",
                "A username is made of a to z, 0 to 9 and the signs . _ = / + - and is not too long.",
                400,
            )
        return user_id

    def available(self, localpart: str) -> bool:
        """Whether an account can be made with this username.

        Raises:
            MatrixError: 400 ``M_INVALID_USERNAME``.
        """
        return accounts.find_account(self._database, self.user_id_of(localpart)) is None

    def claimable(self, username: str) -> str:
        """The id that an account with this username would get, if it can be made now.

        Raises:
            MatrixError: 400 ``M_INVALID_USERNAME`` or ``M_USER_IN_USE``.
        """
        user_id = self.user_id_of(username)
        if accounts.find_account(self._database, user_id) is not None:
            raise _in_use()
        return user_id

    def generated_localpart(self) -> str:
        """A username that nobody has yet, for a client that does not care."""
        while True:
            localpart = "".join(
                secrets.choice(string.ascii_lowercase + string.digits) for _ in range(_GENERATED_LETTERS)
            )
            if self.available(localpart):
                return localpart

    # Looking ---------------------------------------------------------------------------------------------------------

    def get(self, user_id: str) -> Account | None:
        """One account, also a deactivated one."""
        return accounts.find_account(self._database, user_id)

    def may_write(self, user_id: str) -> bool:
        """Whether a user's account allows them to send anything now."""
        account = self.get(user_id)
        return account is not None and not (account.deactivated or account.locked or account.suspended)

    def first_admin(self) -> str | None:
        """The id of the owner who was here first, or None before there is one."""
        return accounts.oldest_admin(self._database)

    async def list(self) -> "list[Account]":
        """Every account, by id."""
        return await accounts.all_accounts(self._database)

    # Making ----------------------------------------------------------------------------------------------------------

    async def create(
        self,
        localpart: str,
        password: str | None,
        *,
        admin: bool = False,
        guest: bool = False,
        registration_token: str | None = None,
    ) -> str:
        """Make an account, whose display name is the username until its user takes another; a guest has none.

        Args:
            localpart: the username.
            password: its password; None for an account that nobody can log in to by password.
            admin: whether the user is an owner of this server.
            guest: whether the user is a guest.
            registration_token: a token to use up in the same unit.

        Returns:
            The user's id.

        Raises:
            MatrixError: as ``claimable`` and ``Passwords.hash``; 403 ``M_FORBIDDEN`` where the token is not valid
                any more.
        """
        user_id = self.claimable(localpart)
        password_hash = None if password is None else await self._passwords.hash(password)
        now = self._clock()
        account = Account(user_id=user_id, password_hash=password_hash, created_ts=now, admin=admin, guest=guest)

        def work(tx: Tx) -> MatrixError | None:
            # Refusals are answered, not raised: nothing was changed, and the batch need not be undone for them.
            if accounts.is_taken(tx, user_id):
                return _in_use()
            if registration_token is not None and not registration_tokens.use_registration_token(
                tx, registration_token, now
            ):
                return MatrixError("M_FORBIDDEN", "This registration token is no longer valid.", 403)
            accounts.insert_account(tx, account)
            if not guest:
                profiles.put_field(tx, user_id, profiles.DISPLAY_NAME, canonical.encode(localpart).decode())
            return None

        refusal = await self._database.write(work)
        if refusal is not None:
            raise refusal
        return user_id

    # Passwords -------------------------------------------------------------------------------------------------------

    async def check_password(self, user_id: str, password: str) -> bool:
        """Whether a password is a user's; an unknown user takes as long as a wrong password."""
        account = self.get(user_id)
        known = account.password_hash if account else None
        verdict = await self._passwords.verify(known, password)
        if verdict.outdated and known is not None:
            renewed = await self._passwords.hash(password)
            await self._database.write(lambda tx: accounts.replace_hash(tx, user_id, known, renewed))
        return verdict.right

    async def admit(self, user_id: str, password: str) -> Account:
        """The account that somebody may log in to.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` for an unknown user and for a wrong password; with the right password, 403
                ``M_USER_DEACTIVATED`` or 401 ``M_USER_LOCKED``.
        """
        right = await self.check_password(user_id, password)
        account = self.get(user_id)
        if not right or account is None:
            raise wrong_password()
        return _admitted(account)

    def admit_known(self, user_id: str) -> Account:
        """The account of somebody who was proved to be its user by other means than a password; raises as ``admit``."""
        account = self.get(user_id)
        if account is None:
            raise wrong_password()
        return _admitted(account)

    async def set_password(
        self, user_id: str, password: str, logout_devices: bool = True, *, keep: str | None = None
    ) -> None:
        """Change a password.

        Args:
            user_id: whose.
            password: the new one.
            logout_devices: whether to end the user's sessions and delete their devices.
            keep: a device that stays logged in all the same.

        Raises:
            MatrixError: as ``Passwords.hash``; 404 ``M_NOT_FOUND`` for a user that is not there any more.
        """
        password_hash = await self._passwords.hash(password)

        def work(tx: Tx) -> "list[str] | None":
            if not accounts.update_password(tx, user_id, password_hash):
                return None
            return self._sessions.end_all(tx, user_id, keep) if logout_devices else []

        gone = await self._database.write(work, published=lambda ids: self._sessions.ended(user_id, ids or ()))
        if gone is None:
            raise not_found("There is no such user on this server.")

    # Restricting -----------------------------------------------------------------------------------------------------

    async def restrict(self, user_id: str, *, suspended: bool | None = None, locked: bool | None = None) -> None:
        """Suspend or lock a user, or take that back; None leaves it as it is.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for a user that is not, or is no longer, here.
        """

        def work(tx: Tx) -> bool:
            return accounts.mark_restricted(tx, user_id, suspended=suspended, locked=locked)

        def published(done: bool) -> None:
            if done:
                self._sessions.forget(user_id)
            if done and locked:
                for listener in self.locked:
                    listener(user_id)

        if not await self._database.write(work, published=published):
            raise not_found("There is no such user on this server.")

    async def allow_key_reset(self, user_id: str, lasting_ms: int | None) -> int | None:
        """Let a user replace their cross-signing keys once without a proof, for a while; None takes that back.

        Returns:
            until when, milliseconds since 1970.
        """
        until_ts = None if lasting_ms is None else self._clock() + lasting_ms
        await self._database.write(lambda tx: cross_signing.allow_reset(tx, user_id, until_ts))
        return until_ts

    # Ending ----------------------------------------------------------------------------------------------------------

    async def deactivate(self, user_id: str, *, erase: bool = False) -> None:
        """End an account for ever: its sessions, devices, profile, account data and filters go, its id stays taken.

        Args:
            user_id: whose.
            erase: whether the user's messages are to be hidden from whoever joins later; the password's hash is erased
                too, which otherwise stays to tell who has the right password that the account is deactivated.
        """

        def work(tx: Tx) -> "list[str]":
            accounts.mark_deactivated(tx, user_id, erased=erase)
            for delete in self.deactivating:
                delete(tx, user_id)
            return self._sessions.end_all(tx, user_id)

        def published(gone: "list[str]") -> None:
            if erase:
                self.erased.add(user_id)
            self._sessions.ended(user_id, gone)
            for listener in self.deactivated:
                listener(user_id)

        await self._database.write(work, published=published)


def _admitted(account: Account) -> Account:
    if account.deactivated:
        raise MatrixError("M_USER_DEACTIVATED", "This account was deactivated.", 403)
    if account.locked:
        raise locked_out()
    return account


def _in_use() -> MatrixError:
    return MatrixError("M_USER_IN_USE", "This username is taken.", 400)
