"""Every controller, bound to what it needs."""

from litestar import Controller

from appliance.accounts.devices import Devices
from appliance.accounts.filters import Filters
from appliance.accounts.interactive import Interactive
from appliance.accounts.registration import Registration
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.short_tokens import ShortTokens
from appliance.api.client.account import Account
from appliance.api.client.account_data import AccountDataApi
from appliance.api.client.admin import AdminApi
from appliance.api.client.calls import CallsApi
from appliance.api.client.capabilities import Capabilities
from appliance.api.client.context import ContextApi
from appliance.api.client.delayed_events import DelayedEventsApi
from appliance.api.client.devices import DevicesApi
from appliance.api.client.directory import DirectoryApi
from appliance.api.client.filters import FiltersApi
from appliance.api.client.knocking import KnockingApi
from appliance.api.client.login import LogIn
from appliance.api.client.membership import MembershipApi
from appliance.api.client.messages import MessagesApi
from appliance.api.client.mutual_rooms import MutualRoomsApi
from appliance.api.client.notifications import NotificationsApi
from appliance.api.client.openid import OpenIdApi
from appliance.api.client.peeking import PeekingApi
from appliance.api.client.presence import PresenceApi
from appliance.api.client.profile import Profile
from appliance.api.client.public_rooms import PublicRoomsApi
from appliance.api.client.push_rules import PushRulesApi
from appliance.api.client.receipts import ReceiptsApi
from appliance.api.client.register import Register
from appliance.api.client.relations import RelationsApi
from appliance.api.client.reporting import ReportingApi
from appliance.api.client.rooms import RoomsApi
from appliance.api.client.search import SearchApi
from appliance.api.client.sending import SendingApi
from appliance.api.client.server_notices import ServerNoticesApi
from appliance.api.client.sessions import SessionsApi
from appliance.api.client.shared_secret import Nonces, SharedSecretApi
from appliance.api.client.sliding_sync import SlidingSyncApi
from appliance.api.client.spaces import SpacesApi
from appliance.api.client.state import StateApi
from appliance.api.client.sync import SyncApi
from appliance.api.client.tags import TagsApi
from appliance.api.client.third_party import ThirdPartyApi
from appliance.api.client.thread_subscriptions import ThreadSubscriptionsApi
from appliance.api.client.threepids import ThreepidsApi
from appliance.api.client.typing import TypingApi
from appliance.api.client.user_directory import UserDirectoryApi
from appliance.api.client.versions import Versions
from appliance.api.client.well_known import WellKnown
from appliance.api.federation.keys import KeysApi
from appliance.api.federation.openid import UserInfoApi
from appliance.api.federation.version import VersionApi
from appliance.app.between import Between
from appliance.app.encrypting import encryption_controllers
from appliance.app.federating import Federating
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.rooms.acts.notices import Notices
from appliance.server.endpoints import bind
from appliance.server.limits import Limits
from appliance.server.waiting import Waiting
from web.fallback import FallbackPage


def client_controllers(
    owning: Owning, living: Living, federating: Federating, between: Between, waiting: Waiting, limits: Limits
) -> list[type[Controller]]:
    """The controllers of the client-server API, and of what else is asked over the same listeners.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        federating: other servers.
        between: rooms that they share.
        waiting: the long polls in flight.
        limits: how often anybody may ask.
    """
    accounts, sessions, settings = owning.accounts, owning.sessions, owning.settings
    database = owning.database
    tokens = RegistrationTokens(database)
    interactive = Interactive(accounts, tokens, settings)
    registration = Registration(accounts, sessions, interactive, tokens, settings)
    filters = Filters(database)
    devices = Devices(database, sessions)
    short_tokens = ShortTokens(database)
    notices = Notices(
        *(accounts, living.account_data, living.profiles, living.rooms),
        *(living.creation, living.membership, living.sending, settings),
    )
    return [
        bind(Account, accounts=accounts, interactive=interactive),
        bind(AdminApi, accounts=accounts, devices=devices, settings=settings),
        bind(AccountDataApi, account_data=living.account_data),
        bind(CallsApi, settings=settings),
        bind(Capabilities, settings=settings),
        bind(
            ContextApi,
            context=living.context,
            reading=living.reading,
            serving=living.serving,
            times=between.times,
        ),
        bind(DelayedEventsApi, delayed=living.delayed),
        bind(DevicesApi, devices=devices, sessions=sessions, interactive=interactive),
        bind(DirectoryApi, aliases=living.aliases),
        bind(FallbackPage, interactive=interactive, settings=settings),
        bind(FiltersApi, filters=filters),
        bind(KeysApi, published=federating.published, notary=federating.notary),
        bind(KnockingApi, aliases=living.aliases, knocking=living.knocking),
        bind(
            LogIn,
            accounts=accounts,
            interactive=interactive,
            limits=limits,
            sessions=sessions,
            settings=settings,
            short_tokens=short_tokens,
        ),
        bind(MembershipApi, membership=living.membership, aliases=living.aliases, notices=notices),
        bind(
            MessagesApi,
            reading=living.reading,
            rooms=living.rooms,
            serving=living.serving,
            store=living.store,
            timeline=living.timeline,
            past=between.reaching,
        ),
        bind(OpenIdApi, settings=settings, short_tokens=short_tokens),
        bind(PresenceApi, presence=living.presence),
        bind(NotificationsApi, notifications=living.notifications),
        bind(
            Profile,
            company=living.company,
            profiles=living.profiles,
            lookups=between.lookups,
            settings=settings,
        ),
        bind(PushRulesApi, push_rules=living.push_rules),
        bind(PublicRoomsApi, directory=living.directory, lookups=between.lookups, settings=settings),
        bind(ReceiptsApi, receipts=living.receipts),
        bind(Register, accounts=accounts, registration=registration),
        bind(MutualRoomsApi, database=database),
        bind(
            PeekingApi,
            database=database,
            notifier=living.notifier,
            reading=living.reading,
            serving=living.serving,
            standings=living.standings,
            store=living.store,
            timeline=living.timeline,
            waiting=waiting,
        ),
        bind(RelationsApi, related=living.related, serving=living.serving),
        bind(ReportingApi, reading=living.reading, reports=owning.reports, rooms=living.rooms),
        bind(RoomsApi, creation=living.creation, membership=living.membership, upgrading=living.upgrading),
        bind(SendingApi, delayed=living.delayed, sending=living.sending),
        bind(
            SearchApi,
            context=living.context,
            reading=living.reading,
            rooms=living.rooms,
            searching=living.searching,
            serving=living.serving,
            store=living.store,
        ),
        bind(ServerNoticesApi, notices=notices),
        bind(SessionsApi, sessions=sessions),
        bind(
            SharedSecretApi,
            accounts=accounts,
            nonces=Nonces(),
            profiles=living.profiles,
            sessions=sessions,
            settings=settings,
        ),
        bind(
            SlidingSyncApi,
            notifier=living.notifier,
            presence=living.presence,
            sliding=living.sliding.sync,
            waiting=waiting,
        ),
        bind(
            SpacesApi,
            aliases=living.aliases,
            facts=living.facts,
            outlook=living.outlook,
            elsewhere=living.outlook_elsewhere,
            spaces=living.spaces,
        ),
        bind(
            StateApi,
            delayed=living.delayed,
            reading=living.reading,
            sending=living.sending,
            serving=living.serving,
            store=living.store,
        ),
        bind(
            SyncApi,
            filters=filters,
            notifier=living.notifier,
            presence=living.presence,
            sync_service=living.sync,
            waiting=waiting,
        ),
        bind(TagsApi, account_data=living.account_data),
        bind(ThirdPartyApi),
        bind(ThreepidsApi),
        bind(ThreadSubscriptionsApi, database=database, following=living.following),
        bind(TypingApi, typing=living.typing),
        bind(UserInfoApi, short_tokens=short_tokens),
        bind(UserDirectoryApi, people=living.people),
        bind(VersionApi),
        bind(Versions),
        bind(WellKnown, settings=settings, accounts=accounts),
        *encryption_controllers(living.encrypting, interactive),
    ]
