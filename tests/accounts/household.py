"""Everything about accounts put together as the application does it, over a real database."""

from pathlib import Path
from typing import Any

import httpx
from litestar import Controller

from appliance.accounts.account_data import AccountData
from appliance.accounts.accounts import Accounts
from appliance.accounts.devices import Devices
from appliance.accounts.filters import Filters
from appliance.accounts.interactive import Interactive
from appliance.accounts.passwords import Passwords
from appliance.accounts.profiles import Profiles
from appliance.accounts.registration import Registration
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import Login, Sessions
from appliance.api.client.account import Account
from appliance.api.client.account_data import AccountDataApi
from appliance.api.client.capabilities import Capabilities
from appliance.api.client.devices import DevicesApi
from appliance.api.client.filters import FiltersApi
from appliance.api.client.login import LogIn
from appliance.api.client.profile import Profile
from appliance.api.client.push_rules import PushRules
from appliance.api.client.register import Register
from appliance.api.client.sessions import SessionsApi
from appliance.api.client.versions import Versions
from appliance.api.client.well_known import WellKnown
from appliance.server.application import build_litestar
from appliance.server.authentication import Authentication, NoSignedRequests
from appliance.server.endpoints import bind
from appliance.server.limits import Limits
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.registration_tokens import RegistrationToken, insert_registration_token

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
        self.tokens = RegistrationTokens(database, self.clock)
        self.interactive = Interactive(self.accounts, self.tokens, settings, self.clock)
        self.registration = Registration(self.accounts, self.sessions, self.interactive, self.tokens, settings)
        self.profiles = Profiles(database, self.accounts)
        self.filters = Filters(database)
        self.account_data = AccountData(database)

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

    def controllers(self) -> list[type[Controller]]:
        return [
            Versions,
            Capabilities,
            PushRules,
            bind(WellKnown, settings=self.settings, accounts=self.accounts),
            bind(LogIn, accounts=self.accounts, sessions=self.sessions, settings=self.settings),
            bind(SessionsApi, sessions=self.sessions),
            bind(Register, accounts=self.accounts, registration=self.registration),
            bind(DevicesApi, devices=self.devices, sessions=self.sessions, interactive=self.interactive),
            bind(Profile, profiles=self.profiles),
            bind(FiltersApi, filters=self.filters),
            bind(AccountDataApi, account_data=self.account_data),
            bind(Account, accounts=self.accounts, interactive=self.interactive),
        ]

    def client(self) -> httpx.AsyncClient:
        """A client of the endpoints, who asks from 192.0.2.1."""
        authentication = Authentication(self.sessions, NoSignedRequests(), Limits(self.settings))
        litestar = build_litestar(self.controllers(), authentication)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["address"] = "192.0.2.1"
            await litestar(scope, receive, send)

        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://matrix.example.org")


def bearer(login: Login) -> dict[str, str]:
    """The header that proves a login."""
    return {"Authorization": f"Bearer {login.access_token}"}
