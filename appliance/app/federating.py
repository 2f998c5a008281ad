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
from appliance.rooms.incoming.accepting import Accepting
from appliance.rooms.incoming.arriving import Arriving
from appliance.rooms.incoming.completing import Completing
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.settling import Settling


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
        graph = living.graph
        self.intake = Intake(
            database, graph.numbers, graph.rooms, graph.store, living.acts.appender, graph.holding, self.keyring
        )
        settling = Settling(self.intake)
        self.accepting = Accepting(self.intake, settling)
        self.awaited_keys = AwaitedKeys(graph.holding, self.accepting, Completing(self.intake), self.keyring)
        self.arriving = Arriving(self.intake, settling, self.accepting, living.identity, living.upkeep.purging.kept)
        self.arriving.keys_wanted.append(self.awaited_keys.want)
