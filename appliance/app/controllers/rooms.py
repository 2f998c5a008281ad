"""Every controller of the client-server API that is about rooms and sync, bound to what it needs."""

from litestar import Controller

from appliance.accounts.filters import Filters
from appliance.api.client.context import ContextApi
from appliance.api.client.delayed_events import DelayedEventsApi
from appliance.api.client.directory import DirectoryApi
from appliance.api.client.filters import FiltersApi
from appliance.api.client.following import Following
from appliance.api.client.knocking import KnockingApi
from appliance.api.client.membership import MembershipApi
from appliance.api.client.messages import MessagesApi
from appliance.api.client.mutual_rooms import MutualRoomsApi
from appliance.api.client.notifications import NotificationsApi
from appliance.api.client.peeking import PeekingApi
from appliance.api.client.public_rooms import PublicRoomsApi
from appliance.api.client.receipts import ReceiptsApi
from appliance.api.client.relations import RelationsApi
from appliance.api.client.reporting import ReportingApi
from appliance.api.client.rooms import RoomsApi
from appliance.api.client.search import SearchApi
from appliance.api.client.sending import SendingApi
from appliance.api.client.server_notices import ServerNoticesApi
from appliance.api.client.sliding_sync import SlidingSyncApi
from appliance.api.client.spaces import SpacesApi
from appliance.api.client.state import StateApi
from appliance.api.client.sync import SyncApi
from appliance.api.client.thread_subscriptions import ThreadSubscriptionsApi
from appliance.api.client.typing import TypingApi
from appliance.app.between import Between
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.rooms.acts.notices import Notices
from appliance.server.endpoints import bind
from appliance.server.waiting import Waiting
from appliance.sync.marks import Marks
from appliance.sync.sliding.deployed import Requests


def room_controllers(owning: Owning, living: Living, between: Between, waiting: Waiting) -> list[type[Controller]]:
    """The controllers.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        between: rooms that servers share.
        waiting: the long polls in flight.
    """
    database, settings = owning.database, owning.settings
    people, graph, reads, signs, shown = living.people, living.graph, living.reads, living.signs, living.shown
    acts, syncing = living.acts, living.syncing
    filters = Filters(database)
    following = Following(living.notifier, Marks(living.notifier), waiting, living.encrypting.inbox.settling)
    notices = Notices(
        *(owning.accounts, people.account_data, people.profiles, graph.rooms),
        *(acts.creation, acts.membership, acts.sending, settings),
    )
    return [
        bind(
            ContextApi,
            context=reads.context,
            reading=reads.reading,
            serving=reads.serving,
            times=between.times,
        ),
        bind(DelayedEventsApi, delayed=acts.delayed),
        bind(DirectoryApi, aliases=acts.aliases),
        bind(FiltersApi, filters=filters),
        bind(KnockingApi, aliases=acts.aliases, knocking=acts.knocking),
        bind(MembershipApi, membership=acts.membership, aliases=acts.aliases, notices=notices),
        bind(
            MessagesApi,
            present=reads.present,
            reading=reads.reading,
            serving=reads.serving,
            store=graph.store,
            timeline=reads.timeline,
            past=between.reaching,
        ),
        bind(NotificationsApi, notifications=living.pushing.notifications),
        bind(PublicRoomsApi, directory=shown.directory, lookups=between.lookups, settings=settings),
        bind(ReceiptsApi, receipts=signs.receipts),
        bind(MutualRoomsApi, database=database),
        bind(
            PeekingApi,
            database=database,
            notifier=living.notifier,
            reading=reads.reading,
            serving=reads.serving,
            standings=graph.standings,
            store=graph.store,
            timeline=reads.timeline,
            waiting=waiting,
        ),
        bind(RelationsApi, related=reads.related, serving=reads.serving),
        bind(ReportingApi, reading=reads.reading, reports=owning.reports, rooms=graph.rooms),
        bind(RoomsApi, creation=acts.creation, membership=acts.membership, upgrading=acts.upgrading),
        bind(SendingApi, delayed=acts.delayed, sending=acts.sending),
        bind(
            SearchApi,
            context=reads.context,
            reading=reads.reading,
            rooms=graph.rooms,
            searching=reads.searching,
            serving=reads.serving,
            store=graph.store,
        ),
        bind(ServerNoticesApi, notices=notices),
        bind(
            SlidingSyncApi,
            encryption=living.encrypting.parts,
            following=following,
            lineage=living.syncing.lineage,
            presence=signs.presence,
            requests=Requests(),
            sliding=syncing.sliding,
        ),
        bind(
            SpacesApi,
            aliases=acts.aliases,
            facts=shown.facts,
            outlook=shown.outlook,
            elsewhere=shown.outlook_elsewhere,
            spaces=shown.spaces,
        ),
        bind(
            StateApi,
            delayed=acts.delayed,
            present=reads.present,
            reading=reads.reading,
            sending=acts.sending,
            serving=reads.serving,
            store=graph.store,
        ),
        bind(
            SyncApi,
            encryption=living.encrypting.parts,
            filters=filters,
            following=following,
            lineage=living.syncing.lineage,
            presence=signs.presence,
            sync_service=syncing.sync,
        ),
        bind(ThreadSubscriptionsApi, database=database, following=signs.following),
        bind(TypingApi, typing=signs.typing),
    ]
