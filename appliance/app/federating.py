"""Other servers, put together: asking them, knowing their keys, and taking in what they send."""

from appliance.app.clock import now_ms
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.federation.awaited_keys import AwaitedKeys
from appliance.federation.keyring import Keyring
from appliance.federation.keys import PublishedKeys
from appliance.federation.notary import Notary
from appliance.federation.overview import Overview
from appliance.federation.signed import SignedRequests
from appliance.rooms.graph.resolving import Resolving
from appliance.rooms.incoming.accepting import Accepting
from appliance.rooms.incoming.arriving import Arriving
from appliance.rooms.incoming.completing import Completing
from appliance.rooms.incoming.judging import Judging


class Federating:
    """Other servers.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
    """

    def __init__(self, owning: Owning, living: Living) -> None:
        database, settings = owning.database, owning.settings
        reaching = living.reaching
        self.policy, self.client = reaching.policy, reaching.client
        self.keyring = Keyring(database, settings, self.client, owning.keys, reaching.policy, now_ms)
        self.signed = SignedRequests(settings, reaching.policy, self.keyring)
        self.signed.contacts.append(reaching.standing.contacted)
        self.published = PublishedKeys(living.identity, owning.keys, now_ms)
        self.notary = Notary(living.identity, self.published, self.keyring, now_ms)
        self.overview = Overview(
            database, settings, reaching.policy, reaching.standing, reaching.outbox.waiting_for, now_ms
        )
        self.judging = Judging(database, living.graph.numbers, living.graph.store, Resolving(database))
        self.accepting = Accepting(
            database,
            living.graph.numbers,
            living.graph.rooms,
            living.graph.store,
            living.acts.appender,
            self.judging,
            living.graph.holding,
            self.keyring,
        )
        self.completing = Completing(
            database,
            living.graph.numbers,
            living.graph.rooms,
            living.graph.store,
            living.acts.appender,
            living.graph.holding,
            self.keyring,
        )
        self.awaited_keys = AwaitedKeys(living.graph.holding, self.accepting, self.completing, self.keyring)
        self.arriving = Arriving(
            database,
            living.graph.numbers,
            living.graph.rooms,
            living.graph.store,
            living.acts.appender,
            self.accepting,
            living.identity,
            self.keyring,
            living.graph.holding,
            living.upkeep.purging.kept,
        )
        self.arriving.keys_wanted.append(self.awaited_keys.want)
