"""Registration: how people make accounts for themselves, as far as the owner lets them."""

from typing import Any

from msgspec import Struct

from appliance.accounts.accounts import Accounts
from appliance.accounts.bodies import as_struct
from appliance.accounts.interactive import DUMMY, REGISTRATION_TOKEN, TERMS, Flows, Interactive
from appliance.accounts.passwords import check_new_password
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import Login, Sessions, check_device
from appliance.errors import MatrixError, forbidden
from appliance.settings import Settings


class _Wish(Struct):
    """What a request for an account says; ``auth`` is the interactive authentication's."""

    username: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    refresh_token: bool = False


class Registration:
    """Lets people make accounts.

    Args:
        accounts: makes the account.
        sessions: logs in to it.
        interactive: asks for what the settings ask of newcomers.
        tokens: knows registration tokens.
        settings: who may make an account, read at use.
    """

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        interactive: Interactive,
        tokens: RegistrationTokens,
        settings: Settings,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._interactive = interactive
        self._tokens = tokens
        self._settings = settings

    async def register(self, endpoint: str, body: dict[str, Any]) -> tuple[str, Login | None]:
        """Make an account and log in to it.

        Args:
            endpoint: the method and path of the request.
            body: its body.

        Returns:
            The new user's id, and the login unless it was declined.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` where registration is closed; 400 ``M_USER_IN_USE``,
                ``M_INVALID_USERNAME``, ``M_MISSING_PARAM`` (no password), ``M_INVALID_PARAM``; 401 as ``Interactive``.
        """
        flows = self._flows()
        self._check(as_struct(body, _Wish))
        proof = await self._interactive.prove(endpoint=endpoint, asker="", flows=flows, body=body)
        wish = as_struct(proof.body, _Wish)
        self._check(wish)
        user_id = await self._accounts.create(
            wish.username or self._accounts.generated_localpart(),
            check_new_password(wish.password),
            registration_token=proof.registration_token,
        )
        if wish.inhibit_login:
            return user_id, None
        return user_id, await self._sessions.login(
            user_id, wish.device_id, wish.initial_device_display_name, refresh=wish.refresh_token
        )

    async def register_guest(self, body: dict[str, Any]) -> tuple[str, Login]:
        """Make an account for a guest, whose name the server chooses, and log in to it.

        Args:
            body: the request's; of what it wishes, only the device's name counts.

        Raises:
            MatrixError: 403 ``M_GUEST_ACCESS_FORBIDDEN`` where this server takes no guests.
        """
        if not self._settings.registration_guests:
            raise MatrixError("M_GUEST_ACCESS_FORBIDDEN", "This server takes no guests.", 403)
        wish = as_struct(body, _Wish)
        check_device("", wish.initial_device_display_name)
        user_id = await self._accounts.create(self._accounts.generated_localpart(), None, guest=True)
        return user_id, await self._sessions.login(user_id, None, wish.initial_device_display_name)

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
            check_new_password(wish.password)
        check_device(wish.device_id or "", wish.initial_device_display_name)
