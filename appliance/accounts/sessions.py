"""Sessions: who is behind an access token, and how logins begin, go on and end.

Client-server API, "Using access tokens" to "Soft logout". A token is random and stored as SHA-256 alone. Asking who is
behind one costs a hash and a look into a bounded memory; the database is asked only for what was not seen lately.
"""

import hashlib
import logging
import secrets
import string
from asyncio import Future
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
from msgspec import Struct

from appliance.accounts.clock import Clock, wall_clock
from appliance.accounts.token_memory import Remembered, Session, TokenMemory
from appliance.errors import MatrixError, invalid_param
from appliance.storage import devices, sessions
from appliance.storage.database import Database, Tx

__all__ = ["DeviceChanges", "DeviceListener", "Login", "Session", "Sessions", "check_device", "locked_out"]

log = logging.getLogger(__name__)

ACCESS_TOKEN_MS = 3600 * 1000
"""How long an access token lives where the client can refresh it; without that it lives until it is logged out."""
SEEN_EVERY_MS = 5 * 60 * 1000
"""How often the times at which devices were last seen are written."""
REMEMBERED = 10_000
"""Access tokens whose sessions are kept in memory."""
MAX_DEVICE_ID_BYTES = 512
MAX_DEVICE_NAME = 255
_TOKEN_BYTES = 32
_DEVICE_ID_LETTERS = 10


class Login(Struct, frozen=True, kw_only=True):
    """What a client is given when it logs in or refreshes.

    Args:
        user_id: the user.
        device_id: the device.
        access_token: the new access token.
        expires_in_ms: how long it lives, or None for ever.
        refresh_token: what it can be refreshed with, or None.
    """

    user_id: str
    device_id: str
    access_token: str
    expires_in_ms: int | None
    refresh_token: str | None


class DeviceListener(Protocol):
    """Whoever keeps something about devices."""

    def deleting(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Drop what is kept about a device, in the unit that deletes it."""

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone; called on the loop after the commit."""


class DeviceChanges(Protocol):
    """Whoever tells others of new and renamed devices."""

    def changing(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Note the change of a device, in the unit that makes or renames it."""

    def changed(self, user_id: str, device_id: str) -> None:
        """A device is new or has another name; called on the loop after the commit."""


class Sessions:
    """All logins of this server.

    Args:
        database: hearth.db.
        clock: the time in milliseconds since 1970.

    Attributes:
        listeners: told of every device that is deleted.
        replaced: called on the loop with the user and the device on which a new login ended another, after the commit.
        change_listeners: told of every device that is new or has another name.
    """

    def __init__(self, database: Database, clock: Clock = wall_clock) -> None:
        self._database = database
        self._clock = clock
        self._memory = TokenMemory(REMEMBERED)
        self._seen: dict[int, tuple[int, str]] = {}
        self._written_ts = clock()
        self.listeners: list[DeviceListener] = []
        self.replaced: list[Callable[[str, str], None]] = []
        self.change_listeners: list[DeviceChanges] = []

    # Asking ----------------------------------------------------------------------------------------------------------

    def authenticate(self, token: str) -> Session | None:
        """Who is behind an access token; None where it was never given or its login has ended."""
        token_hash = _hash(token)
        remembered = self._memory.get(token_hash)
        if remembered is None:
            remembered = self._load(token_hash)
            if remembered is None:
                return None
        session, expires_ts = remembered.session, remembered.expires_ts
        if expires_ts is not None and expires_ts <= self._clock():
            return msgspec.structs.replace(session, expired=True)
        return session

    def forget(self, user_id: str) -> None:
        """Forget what is in memory about a user's tokens: something about the account changed."""
        self._memory.forget(user_id)

    def _load(self, token_hash: bytes) -> Remembered | None:
        stored = sessions.find_session(self._database, token_hash)
        if stored is None:
            return None
        if stored.replaces and (stored.expires_ts is None or stored.expires_ts > self._clock()):
            self._end_older(stored)
        session = Session(
            session_id=stored.session_id,
            user_id=stored.user_id,
            device_id=stored.device_id,
            admin=stored.admin,
            guest=stored.guest,
            locked=stored.locked,
            suspended=stored.suspended,
            expired=False,
        )
        remembered = Remembered(session, stored.expires_ts)
        self._memory.put(token_hash, remembered)
        return remembered

    def _end_older(self, stored: sessions.StoredSession) -> None:
        """The first use of a refreshed access token ends the refresh token that it was had for.

        Nobody waits for it: after a crash the next use of the token does it again.
        """
        now = self._clock()

        def work(tx: Tx) -> None:
            sessions.end_older(tx, stored.session_id, stored.created_ts, now)

        self._database.submit(work, published=lambda _: self.forget(stored.user_id)).add_done_callback(_log_failure)

    # Beginning and going on ------------------------------------------------------------------------------------------

    async def login(
        self, user_id: str, device_id: str | None, display_name: str | None, *, refresh: bool = False
    ) -> Login:
        """Begin a session.

        Args:
            user_id: whose.
            device_id: the device to use; made where it is new, and what is logged in on it is ended. Without one, a
                new device.
            display_name: the name of a new device.
            refresh: whether the client can refresh tokens, so that its access token may expire.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` where the device's id or name is too long.
        """
        device_id = device_id or _new_device_id()
        check_device(device_id, display_name)
        now = self._clock()
        access_token, refresh_token = _new_token(), _new_token() if refresh else None
        lifetime = ACCESS_TOKEN_MS if refresh else None

        def work(tx: Tx) -> tuple[bool, bool]:
            before = sessions.is_logged_in(tx, user_id, device_id)
            session_id, is_new = sessions.start_session(tx, user_id, device_id, display_name, now)
            if is_new:
                self.changing(tx, user_id, device_id)
            sessions.insert_tokens(
                tx,
                session_id,
                _hash(access_token),
                _hash(refresh_token) if refresh_token else None,
                now,
                now + lifetime if lifetime else None,
            )
            return before, is_new

        def published(found: tuple[bool, bool]) -> None:
            before, is_new = found
            self.forget(user_id)
            if is_new:
                self.changed(user_id, device_id)
            if before:
                for tell in self.replaced:
                    tell(user_id, device_id)

        await self._database.write(work, published=published)
        return Login(
            user_id=user_id,
            device_id=device_id,
            access_token=access_token,
            expires_in_ms=lifetime,
            refresh_token=refresh_token,
        )

    async def refresh(self, refresh_token: str) -> Login:
        """Trade a refresh token for a new pair of tokens.

        The old one stays good until one of the new pair is used, so that a client that lost the answer can ask again.

        Raises:
            MatrixError: 401 ``M_UNKNOWN_TOKEN``; with ``soft_logout`` where the session goes on and only this token
                was used up, so that the client keeps its keys and logs in again. 401 ``M_USER_LOCKED``.
        """
        old_hash = _hash(refresh_token)
        access_token, successor = _new_token(), _new_token()
        now = self._clock()

        def work(tx: Tx) -> sessions.RefreshToken | None:
            token = sessions.find_refresh_token(tx, old_hash)
            if token is None or token.locked or _ended(token, now):
                return token
            created_ts = max(now, token.created_ts + 1)
            sessions.succeed(tx, old_hash, token, _hash(successor), now)
            sessions.insert_tokens(
                tx, token.session_id, _hash(access_token), _hash(successor), created_ts, now + ACCESS_TOKEN_MS
            )
            return token

        def published(token: sessions.RefreshToken | None) -> None:
            if token is not None:
                self.forget(token.user_id)

        token = await self._database.write(work, published=published)
        if token is None:
            raise MatrixError("M_UNKNOWN_TOKEN", "This refresh token is unknown: please log in again.", 401)
        if token.locked:
            raise locked_out()
        if _ended(token, now):
            raise MatrixError(
                "M_UNKNOWN_TOKEN", "This refresh token was used before: please log in again.", 401, soft_logout=True
            )
        return Login(
            user_id=token.user_id,
            device_id=token.device_id,
            access_token=access_token,
            expires_in_ms=ACCESS_TOKEN_MS,
            refresh_token=successor,
        )

    # Ending ----------------------------------------------------------------------------------------------------------

    async def logout(self, user_id: str, device_id: str) -> None:
        """End the session on a device, and delete the device."""
        await self.delete_devices(user_id, [device_id])

    async def logout_all(self, user_id: str, keep: str | None = None) -> None:
        """End every session of a user and delete the devices, but for one that is kept."""
        await self._database.write(
            lambda tx: self.end_all(tx, user_id, keep), published=lambda gone: self.ended(user_id, gone)
        )

    async def delete_devices(self, user_id: str, device_ids: Iterable[str]) -> None:
        """Delete some devices of a user and end the sessions on them; those that are not there are passed over."""
        wanted = list(dict.fromkeys(device_ids))
        await self._database.write(
            lambda tx: self._delete(tx, user_id, wanted), published=lambda gone: self.ended(user_id, gone)
        )

    def delete(self, tx: Tx, user_id: str, device_ids: Iterable[str]) -> list[str]:
        """Delete some of a user's devices, as a part of somebody else's unit, who then calls ``ended``."""
        return self._delete(tx, user_id, device_ids)

    def end_all(self, tx: Tx, user_id: str, keep: str | None = None) -> list[str]:
        """Delete a user's devices but for one, as a part of somebody else's unit, who then calls ``ended``."""
        return self._delete(tx, user_id, [one for one in devices.device_ids(tx, user_id) if one != keep])

    def changing(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Say that a device is new or gets another name, as a part of the unit, whose owner then calls ``changed``."""
        for listener in self.change_listeners:
            listener.changing(tx, user_id, device_id)

    def changed(self, user_id: str, device_id: str) -> None:
        """Publish that a device is new or has another name."""
        for listener in self.change_listeners:
            listener.changed(user_id, device_id)

    def ended(self, user_id: str, device_ids: Iterable[str]) -> None:
        """Publish that devices were deleted."""
        self.forget(user_id)
        for device_id in device_ids:
            for listener in self.listeners:
                listener.deleted(user_id, device_id)

    def _delete(self, tx: Tx, user_id: str, device_ids: Iterable[str]) -> list[str]:
        gone = [device_id for device_id in device_ids if devices.delete_device(tx, user_id, device_id)]
        for device_id in gone:
            for listener in self.listeners:
                listener.deleting(tx, user_id, device_id)
        return gone

    # Last seen -------------------------------------------------------------------------------------------------------

    def seen(self, session_id: int, address: str) -> None:
        """Note that a session just asked something; written every few minutes."""
        now = self._clock()
        self._seen[session_id] = (now, address)
        if now - self._written_ts >= SEEN_EVERY_MS:
            self._write_seen().add_done_callback(_log_failure)

    def last_seen(self, session_id: int | None) -> tuple[int, str] | None:
        """When and from where a session last asked something, where that is not written yet."""
        return None if session_id is None else self._seen.get(session_id)

    async def close(self) -> None:
        """Write what is only in memory."""
        if self._seen:
            await self._write_seen()

    def _write_seen(self) -> "Future[None]":
        self._written_ts = self._clock()
        rows = [(session_id, ts, address) for session_id, (ts, address) in self._seen.items()]
        self._seen = {}
        return self._database.submit(lambda tx: devices.note_seen(tx, rows))


def check_device(device_id: str, display_name: str | None) -> None:
    """Refuse a device id or name that is too long, with ``M_INVALID_PARAM``."""
    if len(device_id.encode()) > MAX_DEVICE_ID_BYTES:
        raise invalid_param(f"A device id may have at most {MAX_DEVICE_ID_BYTES} bytes.")
    if display_name is not None and len(display_name) > MAX_DEVICE_NAME:
        raise invalid_param(f"A device's name may have at most {MAX_DEVICE_NAME} characters.")


def locked_out() -> MatrixError:
    """401 ``M_USER_LOCKED``: the client keeps what it has until the account is unlocked."""
    return MatrixError("M_USER_LOCKED", "This account is locked.", 401, soft_logout=True)


def _ended(token: sessions.RefreshToken, now: int) -> bool:
    return token.expires_ts is not None and token.expires_ts <= now


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _new_device_id() -> str:
    return "".join(secrets.choice(string.ascii_uppercase) for _ in range(_DEVICE_ID_LETTERS))


def _log_failure(done: "Future[None]") -> None:
    """Take note of a write that nobody waits for; it is made again by the next occasion."""
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("A note about a session could not be written: %s", error)
