"""The first set-up, from an empty folder to a server with an owner; each step is kept as soon as it is taken.

The wizard takes the steps one by one, ``hearth setup --answers`` all at once; both come through here. The steps:

    claim → name → reach → certificate → owner → joining → done

Going back is possible until the name is locked in, which making the owner's account does: from then on there is a user
id with the name in it. How the server is reached can be changed until the end. Every answer is in the table ``setup``
(and in the settings, once others must act on it), so that a set-up that was left, or killed, goes on where it was.
"""

import asyncio
import enum
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from appliance.errors import MatrixError, OwnerError
from appliance.owner import fields, rules
from appliance.owner.answers import Answers
from appliance.owner.claim import Claim
from appliance.owner.fields import AnswerError
from appliance.settings import RegistrationMode, Settings
from appliance.storage import setup as rows
from appliance.storage.database import Database, Tx
from appliance.storage.registration_tokens import RegistrationToken, insert_registration_token
from appliance.storage.settings import write_settings

log = logging.getLogger("hearth.owner")

SHOWN_AFTER_MS = 30 * 60 * 1000
"""How long the last page can be seen, by the browser that finished, after the end of the set-up."""


class Step(enum.IntEnum):
    """The steps, in their order."""

    CLAIM = 0
    NAME = 1
    REACH = 2
    CERTIFICATE = 3
    OWNER = 4
    JOINING = 5
    DONE = 6


class OwnerAccounts(Protocol):
    """What the set-up needs of the accounts."""

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        """Make an account and return its user id; ``MatrixError`` with ``M_USER_IN_USE`` where there is one."""

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        """Give an account another password."""


class SigningKeys(Protocol):
    """What the set-up needs of the server's keys."""

    async def ensure(self) -> Any:
        """See to it that there is a signing key, kept in hearth.db."""


class Draft(Struct, kw_only=True):
    """What was answered so far.

    Args:
        settings: the settings as they will be.
        named: whether the name was given.
        reached: whether it was said how the server is reached.
        certified: whether the page about the certificate was left behind, with a certificate or without.
        owner: the owner's user id, once the account exists; from then on the name is locked in.
        pending: the user name whose account is being made: one that exists after a kill between the two is ours.
        finished_ts: when the set-up ended, milliseconds since 1970; 0 before.
        session: SHA-256 of the wizard's session that claimed the server, in hex.
        token: the registration token made at the end, where accounts take one.
    """

    settings: Settings
    named: bool = False
    reached: bool = False
    certified: bool = False
    owner: str = ""
    pending: str = ""
    finished_ts: int = 0
    session: str = ""
    token: str = ""


class Setup:
    """The state of the set-up and its steps.

    Args:
        database: hearth.db.
        settings: the live settings, shared with all services; changed here once an answer is kept.
        accounts: where the owner's account is made.
        keys: where the signing key is made.
        claim: the claim code, removed at the end.
        now: milliseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        accounts: OwnerAccounts,
        keys: SigningKeys,
        claim: Claim,
        now: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._database = database
        self._settings = settings
        self._accounts = accounts
        self._keys = keys
        self._claim = claim
        self._now = now
        self._lock = asyncio.Lock()
        kept = rows.load(database).get("draft")
        self._draft = msgspec.json.decode(kept, type=Draft) if kept else Draft(settings=_copy(settings))
        self.on_reach: list[Callable[[], None]] = []
        """Called when it was said, or said anew, how the server is reached; the settings tell."""
        self.on_finished: list[Callable[[], None]] = []
        """Called once, when the set-up has ended and that is kept."""

    # What it is like -------------------------------------------------------------------------------------------

    @property
    def draft(self) -> Draft:
        """The answers so far; to be read only."""
        return self._draft

    @property
    def step(self) -> Step:
        """The first step that is still to be taken."""
        draft = self._draft
        if self.is_finished:
            return Step.DONE
        taken = (bool(draft.session), draft.named, draft.reached, draft.certified, bool(draft.owner), False)
        return Step(taken.index(False))

    @property
    def is_finished(self) -> bool:
        """Whether the set-up has ended: from now on Hearth serves."""
        return self._draft.finished_ts > 0

    @property
    def state(self) -> str:
        """A word for ``/health``: unclaimed, claimed, or ready."""
        if self.is_finished:
            return "ready"
        return "claimed" if self._draft.session else "unclaimed"

    @property
    def registration_token(self) -> str:
        """The token that the end of the set-up made, where accounts take one; else ""."""
        return self._draft.token

    @property
    def is_name_locked(self) -> bool:
        """Whether the server's name can no longer be changed."""
        return bool(self._draft.owner) or self.is_finished

    @property
    def is_open(self) -> bool:
        """Whether the wizard still has something to show: the set-up itself, or its last page for a while."""
        return not self.is_finished or self._now() - self._draft.finished_ts < SHOWN_AFTER_MS

    def is_session(self, secret: str) -> bool:
        """Whether this is the secret of the browser that claimed the server last."""
        return bool(secret) and hmac.compare_digest(_hash(secret), self._draft.session)

    # The steps -------------------------------------------------------------------------------------------------

    async def claim(self, code: str, address: str) -> str:
        """Claim the server with the claim code; also to go on in another browser.

        Args:
            code: as typed.
            address: the IP address of the browser.

        Returns:
            The secret of the wizard's new session, or "" where the code is wrong.
        """
        if self.is_finished or not await self._claim.check(code, address):
            return ""
        return await self.renew_session()

    async def renew_session(self) -> str:
        """Begin a new session of the wizard, which ends the one before; returns its secret."""
        secret = secrets.token_urlsafe(32)
        async with self._lock:
            self._refuse_when_finished()
            await self._keep(session=_hash(secret))
        return secret

    async def name(self, server_name: str) -> None:
        """Give the server its name, for now."""
        async with self._lock:
            self._refuse_when_finished()
            if server_name == self._draft.settings.server_name and self._draft.named:
                return
            if self.is_name_locked:
                raise OwnerError(f"The name is locked in: this server is {self._settings.server_name}.")
            fields.server_name(server_name)
            settings = _copy(self._draft.settings)
            settings.server_name = server_name
            # What was chosen to reach it stays as a suggestion, to be looked at again under the new name.
            await self._keep(settings=settings, named=True, reached=False, certified=False)

    async def reach(self, settings: Settings) -> None:
        """Say how the server is reached; the settings are kept and followed from now on.

        Args:
            settings: the whole settings, of which only the public host and what begins with ``tls_`` is taken.

        Raises:
            AnswerError: for what cannot be, with the key.
        """
        async with self._lock:
            self._refuse_when_finished()
            wanted = _copy(self._draft.settings)
            for field in Settings.__struct_fields__:
                if field == "public_host" or field.startswith("tls_"):
                    setattr(wanted, field, getattr(settings, field))
            if wanted.tls_mode == "lan":
                wanted.federation_enabled = False
            elif self._draft.settings.tls_mode == "lan":
                wanted.federation_enabled = True
            await self._keep(settings=await self._checked(wanted), reached=True, certified=False, follow=True)
        _tell(self.on_reach)

    async def leave_certificate(self) -> None:
        """Go on from the certificate's page, whether there is one yet or not."""
        async with self._lock:
            self._refuse_when_finished()
            await self._keep(certified=True)

    async def owner(self, username: str, password: str) -> None:
        """Make the owner's account, and with it lock in the name and make the server's signing key.

        Raises:
            AnswerError: where the user name or the password cannot be, or the name is another account's already.
        """
        async with self._lock:
            self._refuse_when_finished()
            await self._make_owner(username, password)

    async def joining(self, mode: RegistrationMode, federation: bool) -> None:
        """Say who may make an account and whether other servers are talked with, and end the set-up."""
        async with self._lock:
            if self.is_finished:
                return
            if not self._draft.owner and mode != "open":
                raise OwnerError("The owner's account comes first.")
            settings = _copy(self._draft.settings)
            settings.registration_mode = mode
            settings.federation_enabled = federation
            await self._finish(await self._checked(settings))
        _tell(self.on_finished)

    async def apply(self, answers: Answers) -> None:
        """Take all answers at once. Where it was killed half-way, the same answers again bring it to its end.

        Raises:
            OwnerError: where the set-up has ended, or has locked in another name; nothing is changed then.
        """
        async with self._lock:
            self._refuse_when_finished()
            if self.is_name_locked and self._draft.settings.server_name != answers.settings.server_name:
                raise OwnerError(
                    f"server_name: The name is locked in already: this server is {self._draft.settings.server_name}."
                )
            settings = await self._checked(answers.settings)
            if answers.owner and self._draft.owner not in ("", f"@{answers.owner.username}:{settings.server_name}"):
                raise OwnerError(f"owner.username: This server has an owner already: {self._draft.owner}.")
            await self._keep(settings=settings, named=True, reached=True, certified=True, follow=True)
            if answers.owner:
                await self._make_owner(answers.owner.username, answers.owner.password)
            await self._finish(settings)
        _tell(self.on_reach)
        _tell(self.on_finished)

    # Below: under the lock -------------------------------------------------------------------------------------

    def _refuse_when_finished(self) -> None:
        if self.is_finished:
            raise OwnerError(f"This Hearth is set up already: it is {self._settings.server_name}.")

    async def _checked(self, settings: Settings) -> Settings:
        """Settings that are good as a whole, and whose own certificate, if they name one, can be served."""
        good = rules.checked(settings)
        if good.tls_certificate:
            # A proxy hands federation on under a name that only it knows.
            names = good.certificate_names if good.tls_mode == "files" else []
            await asyncio.to_thread(_check_certificate, good, names, self._now())
        return good

    async def _make_owner(self, username: str, password: str) -> None:
        server = self._draft.settings.server_name
        if self._draft.owner == f"@{username}:{server}":
            return
        if self._draft.owner:
            raise OwnerError(f"The owner's account is made already: {self._draft.owner}.")
        fields.username(username, server)
        fields.password(password)
        await self._keys.ensure()
        ours = self._draft.pending == username
        await self._keep(pending=username, follow=True)
        try:
            user_id = await self._accounts.create(username, password, admin=True)
        except MatrixError as error:
            if error.errcode != "M_USER_IN_USE":
                raise AnswerError("owner.username", error.message) from error
            if not ours:
                await self._keep(pending="")
                raise AnswerError(
                    "owner.username", f"There is an account {username} already: take another name."
                ) from error
            # It was made just before Hearth was killed; the password is the one that was typed now.
            user_id = f"@{username}:{server}"
            await self._accounts.set_password(user_id, password, True)
        await self._keep(owner=user_id, pending="")

    async def _finish(self, settings: Settings) -> None:
        """Keep the last answers and the mark that all is done, in one unit."""
        await self._keys.ensure()
        now = self._now()
        token = secrets.token_hex(8) if settings.registration_mode == "token" else ""

        def invite(tx: Tx) -> None:
            if token:
                insert_registration_token(
                    tx, RegistrationToken(token=token, uses_allowed=None, uses=0, expires_ts=None, created_ts=now)
                )

        await self._keep(settings=settings, finished_ts=now, token=token, follow=True, also=invite)
        self._claim.remove()

    async def _keep(self, *, follow: bool = False, also: Callable[[Tx], None] | None = None, **changes: Any) -> None:
        """Store the draft with changes, and only then take it over.

        Args:
            follow: whether the drafted settings become the server's.
            also: what else belongs into the same unit.
            changes: fields of the draft.
        """
        draft = msgspec.structs.replace(self._draft, **changes)
        text = msgspec.json.encode(draft).decode()

        def work(tx: Tx) -> None:
            rows.save(tx, "draft", text)
            if follow:
                write_settings(tx, draft.settings)
            if also is not None:
                also(tx)

        def published(_: None) -> None:
            self._draft = draft
            if follow:
                for field in Settings.__struct_fields__:
                    setattr(self._settings, field, getattr(draft.settings, field))

        await self._database.write(work, published=published)


def _copy(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings)


def _check_certificate(settings: Settings, names: list[str], now: int) -> None:
    # Loads cryptography, which nobody needs who brings no certificate.
    from appliance.tls.inspection import check_files

    try:
        check_files(Path(settings.tls_certificate), Path(settings.tls_key), names, now)
    except OwnerError as error:
        raise AnswerError("tls.certificate", error.message) from error


def _tell(listeners: list[Callable[[], None]]) -> None:
    """Tell others what is kept by now: what they make of it cannot undo it."""
    for listener in listeners:
        try:
            listener()
        except Exception:
            log.exception("What follows a step of the set-up failed.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
