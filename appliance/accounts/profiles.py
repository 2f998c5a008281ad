"""Profiles: the display name, the avatar, and whatever else people tell about themselves.

Client-server API, "Profiles". A profile holds named fields, each any JSON, 64 KiB in all.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from appliance.accounts.accounts import Accounts
from appliance.accounts.invite_rules import InviteRules
from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, missing_param, not_found
from appliance.protocol import canonical
from appliance.protocol.identifiers import MAX_ID_BYTES, is_namespaced_id, is_server_name
from appliance.settings import Settings
from appliance.storage import profiles
from appliance.storage.database import Database, Tx

log = logging.getLogger(__name__)

MAX_PROFILE_BYTES = 64 * 1024
MAX_DISPLAY_NAME = 255
MAX_URL = 1000
MAX_TIME_ZONE = 255

MEMBER_FIELDS = ("displayname", "avatar_url")
"""The fields that a user's membership in each room repeats."""


class ProfileListener(Protocol):
    """Whoever repeats a user's name and avatar elsewhere."""

    async def profile_changed(self, user_id: str) -> None:
        """A user's display name or avatar is another now. Nobody waits for this, as it may take its time."""


class Profiles:
    """The profiles of this server's users.

    Args:
        database: hearth.db.
        accounts: knows who there is.
        invite_rules: by whom they want to be invited.
        settings: who may look, read at use.

    Attributes:
        listeners: told of every change of a display name or an avatar.
    """

    def __init__(self, database: Database, accounts: Accounts, invite_rules: InviteRules, settings: Settings) -> None:
        self._database = database
        self._accounts = accounts
        self._invite_rules = invite_rules
        self._settings = settings
        self.listeners: list[ProfileListener] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._failed = False

    def exists(self, user_id: str) -> bool:
        """Whether there is such a user here, not deactivated."""
        account = self._accounts.get(user_id)
        return account is not None and not account.deactivated

    def check_invitation(self, user_id: str, sender: str) -> None:
        """Refuse an invitation that a local user does not want, with 403 ``M_INVITE_BLOCKED``."""
        self._invite_rules.check(user_id, sender)

    def is_guest(self, user_id: str) -> bool:
        """Whether that is a guest of this server."""
        account = self._accounts.get(user_id)
        return account is not None and account.guest

    def member_fields(self, user_id: str) -> dict[str, Any]:
        """Display name and avatar, as far as they are set, as membership events repeat them."""
        return {name: value for name, value in self.fields(user_id).items() if name in MEMBER_FIELDS}

    def fields(self, user_id: str) -> dict[str, Any]:
        """Every field of a local user's profile; empty for anybody else."""
        return {
            name: msgspec.json.decode(value) for name, value in profiles.find_profile(self._database, user_id).items()
        }

    def profile(self, user_id: str) -> dict[str, Any]:
        """Every field of a user's profile, none being set included.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for a user who is not, or is no longer, on this server.
        """
        if not self.exists(user_id):
            raise not_found("There is no such user, or nothing is known about them.")
        return self.fields(user_id)

    def check_reader(self, asker: str, user_id: str, shares: Callable[[str, str], bool]) -> None:
        """Refuse somebody who may not look at a user's profile, as the owner's setting says.

        Args:
            asker: the user who asks; empty for nobody known.
            user_id: whose profile.
            shares: whether the two are in a room together, asked only where that matters.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN``.
        """
        readers = self._settings.profiles_readers
        if asker == user_id or readers == "everybody":
            return
        if not asker:
            raise forbidden("Only users may look at profiles here: log in first.")
        if readers == "roommates" and not shares(asker, user_id):
            raise forbidden("You may look at the profiles of those alone with whom you share a room.")

    def tells_servers(self) -> bool:
        """Whether other servers may look at any profile, and not only at those of users in rooms of theirs."""
        return self._settings.profiles_readers != "roommates"

    def field(self, user_id: str, name: str) -> Any:
        """The value of one field.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for such a user, or a field that is not set.
        """
        profile = self.profile(user_id)
        if name not in profile:
            raise not_found("This field of the profile is not set.")
        return profile[name]

    async def put(self, user_id: str, name: str, body: dict[str, Any]) -> None:
        """Set one field. An empty display name or avatar removes it.

        Args:
            user_id: whose profile; a local user.
            name: the field.
            body: an object with the field's new value under its name.

        Raises:
            MatrixError: 400 ``M_KEY_TOO_LARGE``, ``M_INVALID_PARAM``, ``M_MISSING_PARAM``, ``M_BAD_JSON`` (a value that
                the field cannot have) or ``M_PROFILE_TOO_LARGE``.
        """
        _check_name(name)
        if name not in body:
            raise missing_param(f"{name} is missing in the body of the request.")
        value = _checked(name, body[name])
        if name in MEMBER_FIELDS and value == "":
            await self.delete(user_id, name)
            return
        encoded = canonical.encode(value).decode()

        def work(tx: Tx) -> int:
            kept = profiles.profile_in(tx, user_id)
            if kept.get(name) == encoded:
                return 0
            if _size({**kept, name: encoded}) >= MAX_PROFILE_BYTES:
                return -1
            profiles.put_field(tx, user_id, name, encoded)
            return _mark(tx, user_id, name)

        if await self._database.write(work, published=lambda serial: self._changed(user_id, serial)) == -1:
            raise MatrixError("M_PROFILE_TOO_LARGE", "A profile may have at most 64 KiB in all.", 400)

    async def delete(self, user_id: str, name: str) -> None:
        """Remove one field, if it is set.

        Raises:
            MatrixError: 400 ``M_KEY_TOO_LARGE`` or ``M_INVALID_PARAM``.
        """
        _check_name(name)

        def work(tx: Tx) -> int:
            return _mark(tx, user_id, name) if profiles.delete_field(tx, user_id, name) else 0

        await self._database.write(work, published=lambda serial: self._changed(user_id, serial))

    def start(self) -> None:
        """Tell of what was changed before a kill and did not get everywhere."""
        for user_id, serial in profiles.untold(self._database):
            self._changed(user_id, serial)

    async def tell_again(self) -> int:
        """Tell once more of what did not get everywhere; a chore of the housekeeping, in one go."""
        if self._failed:
            self._failed = False
            self.start()
        return 0

    def _changed(self, user_id: str, serial: int) -> None:
        """Tell the listeners of a change; 0 or less stands for none that concerns them."""
        if serial > 0:
            task = asyncio.ensure_future(self._tell(user_id, serial))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, user_id: str, serial: int) -> None:
        try:
            for listener in self.listeners:
                await listener.profile_changed(user_id)
            await self._database.write(lambda tx: profiles.mark_told(tx, user_id, serial))
        except Exception:
            log.exception("The change of a profile did not get everywhere; that is tried again later.")
            self._failed = True

    async def settled(self) -> None:
        """Wait until every listener has done what the changes so far asked of it."""
        while self._telling:
            await asyncio.wait(set(self._telling))


def _mark(tx: Tx, user_id: str, name: str) -> int:
    """Note a change that rooms have to say too; 0 for a field that they do not repeat."""
    return profiles.mark_untold(tx, user_id) if name in MEMBER_FIELDS else 0


def _check_name(name: str) -> None:
    if len(name.encode()) > MAX_ID_BYTES:
        raise MatrixError("M_KEY_TOO_LARGE", f"A profile field's name may have at most {MAX_ID_BYTES} bytes.", 400)
    if not is_namespaced_id(name):
        raise invalid_param("A profile field is named displayname, avatar_url, m.tz or like org.example.field.")


def _checked(name: str, value: Any) -> Any:
    """A value that the field can have, with the specification's rules for the fields that it knows."""
    limit = {"displayname": MAX_DISPLAY_NAME, "avatar_url": MAX_URL, "m.tz": MAX_TIME_ZONE}.get(name)
    if limit is None:
        return value
    if value is None and name in MEMBER_FIELDS:
        return ""
    if not isinstance(value, str):
        raise bad_json(f"{name} must be a string.")
    if len(value) > limit:
        raise invalid_param(f"{name} may have at most {limit} characters.")
    if name == "avatar_url" and value and not _is_mxc(value):
        raise invalid_param("avatar_url must be an address like mxc://example.org/media.")
    return value


def _is_mxc(value: str) -> bool:
    server, slash, media = value.removeprefix("mxc://").partition("/")
    return value.startswith("mxc://") and bool(slash and media) and "/" not in media and is_server_name(server)


def _size(kept: dict[str, str]) -> int:
    """The bytes of a profile as one JSON object."""
    return 2 + sum(len(name) + len(value.encode()) + 4 for name, value in kept.items())
