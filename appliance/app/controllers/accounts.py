"""Every controller of the client-server API that is about accounts and the server itself, bound to what it needs."""

from litestar import Controller

from appliance.accounts.devices import Devices
from appliance.accounts.interactive import Interactive
from appliance.accounts.registration import Registration
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.short_tokens import ShortTokens
from appliance.api.client.account import Account
from appliance.api.client.account_data import AccountDataApi
from appliance.api.client.admin import AdminApi
from appliance.api.client.calls import CallsApi
from appliance.api.client.capabilities import Capabilities
from appliance.api.client.devices import DevicesApi
from appliance.api.client.login import LogIn
from appliance.api.client.openid import OpenIdApi
from appliance.api.client.presence import PresenceApi
from appliance.api.client.profile import Profile
from appliance.api.client.push_rules import PushRulesApi
from appliance.api.client.register import Register
from appliance.api.client.sessions import SessionsApi
from appliance.api.client.shared_secret import Nonces, SharedSecretApi
from appliance.api.client.tags import TagsApi
from appliance.api.client.third_party import ThirdPartyApi
from appliance.api.client.threepids import ThreepidsApi
from appliance.api.client.user_directory import UserDirectoryApi
from appliance.api.client.versions import Versions
from appliance.api.client.well_known import WellKnown
from appliance.app.between import Between
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.server.endpoints import bind
from appliance.server.limits import Limits
from web.fallback import FallbackPage


def account_controllers(
    owning: Owning,
    living: Living,
    between: Between,
    limits: Limits,
    interactive: Interactive,
    tokens: RegistrationTokens,
    short_tokens: ShortTokens,
) -> list[type[Controller]]:
    """The controllers.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        between: rooms that servers share.
        limits: how often anybody may ask.
        interactive: stages that prove who somebody is.
        tokens: what registration may ask for.
        short_tokens: tokens that are good for one thing and a short time.
    """
    accounts, sessions, settings = owning.accounts, owning.sessions, owning.settings
    database, people, signs = owning.database, living.people, living.signs
    registration = Registration(accounts, sessions, interactive, tokens, settings)
    devices = Devices(database, sessions)
    return [
        bind(Account, accounts=accounts, interactive=interactive, settings=settings),
        bind(AdminApi, accounts=accounts, devices=devices, settings=settings),
        bind(AccountDataApi, account_data=people.account_data),
        bind(CallsApi, settings=settings),
        bind(Capabilities, settings=settings),
        bind(DevicesApi, devices=devices, sessions=sessions, interactive=interactive),
        bind(FallbackPage, interactive=interactive, settings=settings),
        bind(
            LogIn,
            accounts=accounts,
            interactive=interactive,
            limits=limits,
            sessions=sessions,
            settings=settings,
            short_tokens=short_tokens,
        ),
        bind(OpenIdApi, settings=settings, short_tokens=short_tokens),
        bind(PresenceApi, presence=signs.presence),
        bind(
            Profile,
            company=signs.company,
            profiles=people.profiles,
            lookups=between.lookups,
            settings=settings,
        ),
        bind(PushRulesApi, push_rules=people.push_rules),
        bind(Register, accounts=accounts, limits=limits, registration=registration),
        bind(SessionsApi, sessions=sessions),
        bind(
            SharedSecretApi,
            accounts=accounts,
            nonces=Nonces(),
            profiles=people.profiles,
            sessions=sessions,
            settings=settings,
        ),
        bind(TagsApi, account_data=people.account_data),
        bind(ThirdPartyApi),
        bind(ThreepidsApi),
        bind(UserDirectoryApi, people=living.shown.people),
        bind(Versions),
        bind(WellKnown, settings=settings, accounts=accounts),
    ]
