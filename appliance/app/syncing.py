"""Sync and sliding sync, put together."""

from appliance.app.clock import now_ms
from appliance.app.encrypting import Encrypting
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.app.pushing import Pushing
from appliance.app.reads import Reads
from appliance.app.shown import Shown
from appliance.app.signs import Signs
from appliance.sync.account_data import AccountDataStream
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import Ephemeral
from appliance.sync.lineage import Lineage
from appliance.sync.presence import PresenceStream
from appliance.sync.sections import Sections
from appliance.sync.service import Sync
from appliance.sync.sliding.bumps import Bumps
from appliance.sync.sliding.connections import Connections
from appliance.sync.sliding.encryption import EncryptionExtension, ToDeviceExtension
from appliance.sync.sliding.extensions import AccountDataExtension, Extension, ReceiptsExtension, TypingExtension
from appliance.sync.sliding.lists import Lists
from appliance.sync.sliding.moments import Moments
from appliance.sync.sliding.order import Orders
from appliance.sync.sliding.own import OwnData
from appliance.sync.sliding.rooms import RoomResults
from appliance.sync.sliding.service import SlidingSync
from appliance.sync.sliding.subscriptions import NAME as SUBSCRIPTIONS
from appliance.sync.sliding.subscriptions import ThreadSubscriptionsExtension


class Syncing:
    """Both ways to keep up with rooms, and what they are made of.

    Args:
        owning: sessions.
        people: account data, and whose invitations are let through.
        graph: the events.
        reads: what people may see.
        signs: typing, presence, receipts.
        pushing: what is unread.
        shown: what rooms show of themselves.
        encrypting: keys and messages to devices.
    """

    def __init__(
        self,
        owning: Owning,
        people: People,
        graph: Graph,
        reads: Reads,
        signs: Signs,
        pushing: Pushing,
        shown: Shown,
        encrypting: Encrypting,
    ) -> None:
        database = owning.database
        self.lineage = Lineage(database, signs.serial)
        self.activity = Activity(database)
        self.bumps = Bumps(database)
        self.sections = Sections(database, graph.store, graph.ends, reads.timeline, reads.serving, pushing.counts)
        self.stream = AccountDataStream(database)
        self.ephemeral = Ephemeral(database, signs.typing, signs.serial)
        self.sync = Sync(
            *(database, graph.rooms, graph.standings, self.activity, self.sections, self.stream, self.ephemeral),
            *(PresenceStream(signs.presence), encrypting.parts, people.invite_rules),
        )
        own = OwnData(database)
        self.connections = Connections(database, now_ms)
        owning.sessions.listeners.append(self.connections)
        orders = Orders(graph.standings, self.activity, graph.store, people.invite_rules)
        lists = Lists(graph.standings, self.activity, orders, shown.facts, shown.children, own)
        results = RoomResults(
            *(graph.store, graph.ends, reads.timeline, reads.serving, self.sections, self.bumps, pushing.counts)
        )
        extensions: dict[str, Extension] = {
            "account_data": AccountDataExtension(database, self.stream),
            "receipts": ReceiptsExtension(database, self.ephemeral),
            "typing": TypingExtension(),
            "to_device": ToDeviceExtension(encrypting.parts, self.lineage),
            "e2ee": EncryptionExtension(encrypting.parts),
            SUBSCRIPTIONS: ThreadSubscriptionsExtension(signs.following),
        }
        moments = Moments(database, graph.rooms, self.activity, lists, self.stream, self.ephemeral)
        self.sliding = SlidingSync(self.activity, lists, moments, results, self.connections, extensions)
        people.account_data.changed.extend((self.stream.note, own.note, orders.note))
        signs.receipts.changed.append(self.ephemeral.note)
