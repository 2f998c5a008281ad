"""Registration: how people make accounts for themselves, as far as the owner lets them."""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from appliance.accounts.accounts import Accounts
from appliance.accounts.bodies import as_struct
from appliance.accounts.clock import Clock, wall_clock
from appliance.accounts.interactive import (
    DUMMY,
    MAX_SESSIONS,
    REGISTRATION_TOKEN,
    SESSION_MS,
    TERMS,
    Flows,
    Interactive,
)
from appliance.accounts.passwords import check_new_password
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import Login, Sessions, check_device
from appliance.errors import MatrixError, forbidden
from appliance.protocol import canonical
from appliance.settings import Settings
from appliance.storage.lru import Lru


class _Wish(Struct):
    """What a request for an account says; ``auth`` is the interactive authentication's."""

    username: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    refresh_token: bool = False


class _Made(Struct, frozen=True):
    """An account that was made, for whoever asks for it again, since the answer was lost on the way.

    Args:
        user_id: the new user.
        wish: what was asked for, without the password.
        device_id: the device that was logged in, None where that was declined.
        asked: marks of the requests that made it.
        ends_ts: until when it counts.
    """

    user_id: str
    wish: _Wish
    device_id: str | None
    asked: frozenset[bytes]
    ends_ts: int


class Registration:
    """Lets people make accounts.

    Args:
        accounts: makes the account.
        sessions: logs in to it.
        interactive: asks for what the settings ask of newcomers.
        tokens: knows registration tokens.
        settings: who may make an account, read at use.
        clock: the time in milliseconds since 1970.
    """

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        interactive: Interactive,
        tokens: RegistrationTokens,
        settings: Settings,
        clock: Clock = wall_clock,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._interactive = interactive
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._made: Lru[str, _Made] = Lru(MAX_SESSIONS)
        """By the session of interactive authentication."""

    async def register(self, endpoint: str, body: dict[str, Any]) -> tuple[str, Login | None]:
        """Make an account and log in to it.

        Args:
            endpoint: the method and path of the request.
            body: its body.

        Returns:
            The new user's id, and the login unless it was declined.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` where registration is closed; 400 ``M_USER_IN_USE``,
                ``M_INVALID_USERNAME``, ``M_MISSING_PARAM`` (no password), ``M_WEAK_PASSWORD``, ``M_INVALID_PARAM``;
                401 as ``Interactive``.
        """
        flows = self._flows()
        made = self._made_before(body)
        if made is not None:
            return await self._log_in(made.user_id, made.wish, made.device_id)
        self._check(as_struct(body, _Wish))
        proof = await self._interactive.prove(endpoint=endpoint, asker="", flows=flows, body=body)
        wish = as_struct(proof.body, _Wish)
        self._check(wish)
        user_id = await self._accounts.create(
            wish.username or self._accounts.generated_localpart(),
            self._good(wish.password),
            registration_token=proof.registration_token,
        )
        _, login = await self._log_in(user_id, wish, wish.device_id)
        session = _session_of(body)
        if session is not None:
            asked = frozenset((_mark(body), _mark(proof.body)))
            device_id = None if login is None else login.device_id
            wish = msgspec.structs.replace(wish, password=None)
            self._made.put(session, _Made(user_id, wish, device_id, asked, self._clock() + SESSION_MS))
        return user_id, login

    async def _log_in(self, user_id: str, wish: _Wish, device_id: str | None) -> tuple[str, Login | None]:
        if wish.inhibit_login:
            return user_id, None
        name = wish.initial_device_display_name
        return user_id, await self._sessions.login(user_id, device_id, name, refresh=wish.refresh_token)

    def _made_before(self, body: dict[str, Any]) -> _Made | None:
        """The account that the same request has made before: the same session, and all that is asked for the same.

        The password must be among that, since a session's id alone stands in addresses of pages, too.
        """
        session = _session_of(body)
        made = None if session is None or "password" not in body else self._made.get(session)
        if made is None or made.ends_ts <= self._clock() or _mark(body) not in made.asked:
            return None
        account = self._accounts.get(made.user_id)
        return None if account is None or account.deactivated or account.locked else made

    def check_guests(self) -> None:
        """Refuse guests where this server takes none, with 403 ``M_GUEST_ACCESS_FORBIDDEN``."""
        if not self._settings.registration_guests:
            raise MatrixError("M_GUEST_ACCESS_FORBIDDEN", "This server takes no guests.", 403)

    async def register_guest(self, body: dict[str, Any]) -> tuple[str, Login]:
        """Make an account for a guest, whose name the server chooses, and log in to it.

        Args:
            body: the request's; of what it wishes, only the device's name counts.

        Raises:
            MatrixError: 403 ``M_GUEST_ACCESS_FORBIDDEN`` where this server takes no guests.
        """
        self.check_guests()
        wish = as_struct(body, _Wish)
        check_device("", wish.initial_device_display_name)
        user_id = await self._accounts.create(self._accounts.generated_localpart(), None, guest=True)
        return user_id, await self._sessions.login(user_id, None, wish.initial_device_display_name)

    def _good(self, password: str | None) -> str:
        """A password that may be kept."""
        return check_new_password(password, self._settings.passwords_shortest)

    def _flows(self) -> Flows:
        """What newcomers have to go through."""
        mode = self._settings.registration_mode
        if mode == "closed":
            raise forbidden("Registration is closed on this server: its owner makes the accounts.")
        stages = [REGISTRATION_TOKEN] if mode == "token" else []
        if self._settings.registration_terms:
            stages.append(TERMS)
        return (tuple(stages or [DUMMY]),)

    def token_valid(self, token: str) -> bool:
        """Whether a registration token is valid now.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` where registration is closed.
        """
        if self._settings.registration_mode == "closed":
            raise forbidden("Registration is closed on this server.")
        return self._tokens.valid(token)

    def _check(self, wish: _Wish) -> None:
        """Refuse before anybody proves anything; without a username or a password, that comes later."""
        if wish.username is not None:
            self._accounts.claimable(wish.username)
        if wish.password is not None:
            self._good(wish.password)
        check_device(wish.device_id or "", wish.initial_device_display_name)


def _session_of(body: dict[str, Any]) -> str | None:
    """The session of interactive authentication that a request names."""
    auth = body.get("auth")
    session = auth.get("session") if isinstance(auth, dict) else None
    return session if isinstance(session, str) else None


def _mark(body: dict[str, Any]) -> bytes:
    """A mark of what a request asks for, whatever it proves by."""
    asked = canonical.encode({name: value for name, value in body.items() if name != "auth"})
    return hashlib.sha256(asked).digest()
