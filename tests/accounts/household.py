"""Everything about accounts put together as the application does it, over a real database."""

from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from litestar import Controller, Litestar

from appliance.accounts.account_data import AccountData
from appliance.accounts.accounts import Accounts
from appliance.accounts.devices import Devices
from appliance.accounts.filters import Filters
from appliance.accounts.ignored import Ignored
from appliance.accounts.interactive import Interactive
from appliance.accounts.invite_rules import InviteRules
from appliance.accounts.passwords import Passwords
from appliance.accounts.profiles import Profiles
from appliance.accounts.push_rules import PushRules
from appliance.accounts.registration import Registration
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import Login, Sessions
from appliance.accounts.short_tokens import ShortTokens
from appliance.api.client.account import Account
from appliance.api.client.account_data import AccountDataApi
from appliance.api.client.capabilities import Capabilities
from appliance.api.client.devices import DevicesApi
from appliance.api.client.filters import FiltersApi
from appliance.api.client.login import LogIn
from appliance.api.client.profile import Profile
from appliance.api.client.push_rules import PushRulesApi
from appliance.api.client.register import Register
from appliance.api.client.sessions import SessionsApi
from appliance.api.client.versions import Versions
from appliance.api.client.well_known import WellKnown
from appliance.federation.lookups import Lookups
from appliance.federation.remote import Remote
from appliance.rooms.signs.company import Company
from appliance.server.application import build_litestar
from appliance.server.authentication import Authentication, NoSignedRequests
from appliance.server.endpoints import bind
from appliance.server.limits import Limits
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.registration_tokens import RegistrationToken, insert_registration_token
from web.fallback import FallbackPage

START = 1_700_000_000_000
V3 = "/_matrix/client/v3"


class Household:
    """The services, and the controllers over them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.now = START
        self.passwords = Passwords(settings)
        self.sessions = Sessions(database, self.clock)
        self.accounts = Accounts(database, settings, self.passwords, self.sessions, self.clock)
        self.devices = Devices(database, self.sessions)
        self.limits = Limits(settings, clock=lambda: self.now / 1000)
        self.short_tokens = ShortTokens(database, self.clock)
        self.tokens = RegistrationTokens(database, self.clock)
        self.interactive = Interactive(self.accounts, self.tokens, settings, self.clock)
        self.registration = Registration(self.accounts, self.sessions, self.interactive, self.tokens, settings)
        rules = InviteRules(database, Ignored(database))
        self.profiles = Profiles(database, self.accounts, rules, settings)
        self.company = Company(database)
        self.filters = Filters(database)
        self.account_data = AccountData(database)
        self.push_rules = PushRules(database, self.account_data)
        self.lookups = Lookups(Remote(Alone()), lambda server: False)

    @classmethod
    async def open(cls, path: Path, settings: Settings) -> "Household":
        return cls(await Database.open(path), settings)

    async def close(self) -> None:
        await self.profiles.settled()
        await self.sessions.close()
        self.passwords.close()
        await self.database.close()

    def clock(self) -> int:
        return self.now

    async def login(self, name: str, *, device_id: str | None = None, refresh: bool = False) -> Login:
        """Make an account whose password is its name backwards, if there is none, and log in."""
        if self.accounts.available(name):
            await self.accounts.create(name, name[::-1])
        user_id = self.accounts.user_id_of(name)
        return await self.sessions.login(user_id, device_id, "a device", refresh=refresh)

    async def add_token(self, token: str, *, uses_allowed: int | None = None, expires_ts: int | None = None) -> None:
        row = RegistrationToken(token, uses_allowed, 0, expires_ts, self.now)
        await self.database.write(lambda tx: insert_registration_token(tx, row))

    def client(self) -> httpx.AsyncClient:
        """A client of the endpoints, who asks from 192.0.2.1."""
        litestar = application()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["address"] = "192.0.2.1"
            token = _present.set(self)
            try:
                await litestar(scope, receive, send)
            finally:
                _present.reset(token)

        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://matrix.example.org")


class Alone:
    """Asks nobody."""

    async def request(self, *question: Any, **more: Any) -> dict[str, Any]:
        raise AssertionError(question)


_present: ContextVar[Household] = ContextVar("household")


class Present:
    """Stands for one service of the household that is being asked: putting Litestar together takes longer than most
    tests, so all of a process share one.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_present.get(), self._service), name)


def bound(controller: type[Controller], *services: str) -> type[Controller]:
    return bind(controller, **{service: Present(service) for service in services})


@cache
def application() -> Litestar:
    controllers: list[type[Controller]] = [
        Versions,
        bound(Capabilities, "settings"),
        bound(PushRulesApi, "push_rules"),
        bound(WellKnown, "settings", "accounts"),
        bound(LogIn, "accounts", "interactive", "limits", "sessions", "settings", "short_tokens"),
        bound(SessionsApi, "sessions"),
        bound(Register, "accounts", "limits", "registration"),
        bound(DevicesApi, "devices", "sessions", "interactive"),
        bound(Profile, "company", "profiles", "lookups", "settings"),
        bound(FiltersApi, "filters"),
        bound(AccountDataApi, "account_data"),
        bound(Account, "accounts", "interactive", "settings"),
        bound(FallbackPage, "interactive", "settings"),
    ]
    sessions: Any = Present("sessions")
    limits = Limits(Settings(limits_enabled=False))
    return build_litestar(controllers, Authentication(sessions, NoSignedRequests(), limits))


def bearer(login: Login) -> dict[str, str]:
    """The header that proves a login."""
    return {"Authorization": f"Bearer {login.access_token}"}
