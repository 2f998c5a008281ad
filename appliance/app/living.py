"""Rooms and sync, put together out of their parts."""

from appliance.app.acts import Acts
from appliance.app.clock import now_ms
from appliance.app.encrypting import Encrypting
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.app.pushing import Pushing
from appliance.app.reaching import Reaching
from appliance.app.reads import Reads
from appliance.app.shown import Shown
from appliance.app.signs import Signs
from appliance.app.syncing import Syncing
from appliance.app.upkeep import Upkeep
from appliance.federation.keys import ServerIdentity
from appliance.federation.neighbours import Neighbours
from appliance.rooms.acts.delayed import Delayed
from appliance.rooms.graph.appending import Contributor
from appliance.rooms.graph.times import Times
from appliance.sync.notifier import Notifier


class Living:
    """Rooms and sync: what people talk in.

    Args:
        owning: settings, keys and accounts.
    """

    def __init__(self, owning: Owning) -> None:
        database = owning.database
        self.identity = identity = ServerIdentity(owning.settings, owning.keys)
        self.notifier = Notifier()
        self.people = People(owning)
        self.graph = Graph(owning, identity)
        self.reaching = Reaching(owning, identity, self.graph.store)
        self.reads = Reads(owning, self.people, self.graph)
        self.signs = Signs(owning, self.people, self.graph, self.reads)
        self.pushing = Pushing(owning, self.people, self.graph, self.reads, identity)
        self.shown = Shown(owning, self.people, self.graph, identity)
        self.neighbours = Neighbours(database, identity, self.signs.company.rooms_of)
        self.encrypting = Encrypting(owning, self.graph.standings, self.signs.company, self.notifier)
        self.syncing = Syncing(
            *(owning, self.people, self.graph, self.reads, self.signs, self.pushing, self.shown, self.encrypting)
        )
        delayed = Delayed(database, self.graph.rooms, now_ms, owning.accounts.may_write)
        self.acts = Acts(owning, self.people, self.graph, identity, delayed, self._contributors(delayed))
        self.upkeep = Upkeep(owning, self.graph, self.shown, self.syncing, self.encrypting)
        self.acts.membership.forgotten.append(self.upkeep.housekeeping.look)
        self.upkeep.housekeeping.others.append(self.people.profiles.tell_again)
        self._tell_each_other()
        self._wake()
        database.on_published.append(self.notifier.wake_soon)

    def _contributors(self, delayed: Delayed) -> tuple[Contributor, ...]:
        """Whoever adds to the unit of an event, in the order in which they do, and in which they are told."""
        graph, signs, shown, encrypting, syncing = self.graph, self.signs, self.shown, self.encrypting, self.syncing
        return (
            graph.standings,
            graph.transactions,
            self.pushing.judge,
            graph.relations,
            Times(),
            graph.ends,
            graph.redactions,
            graph.index,
            graph.visibility,
            syncing.activity,
            syncing.bumps,
            signs.typing,
            signs.company,
            signs.presence,
            delayed,
            shown.facts,
            shown.directory,
            shown.people,
            shown.children,
            encrypting.lists,
            encrypting.remote_lists,
            self.notifier,
            self.neighbours,
            self.reaching.outbox,
        )

    def _tell_each_other(self) -> None:
        """What changes here makes others look, before anybody is woken."""
        people, signs, counts = self.people, self.signs, self.pushing.counts
        people.account_data.changed.extend((people.ignored.changed, people.invite_rules.changed))
        signs.receipts.changed.append(lambda receipt, room, position: counts.forget(receipt.user_id, room.nid))
        signs.receipts.changed.append(lambda receipt, room, position: signs.presence.acted(receipt.user_id))

    def _wake(self) -> None:
        """Whoever waits for what changes is woken."""
        notifier, signs, company = self.notifier, self.signs, self.signs.company
        signs.typing.changed.append(notifier.typing)
        signs.presence.changed.append(lambda users: notifier.presence(users, company.rooms_of_all(users), company))
        signs.receipts.changed.append(notifier.receipt)
        signs.following.changed.append(lambda user_id, position: notifier.concern(user_id))
        self.people.account_data.changed.append(lambda user_id, position: notifier.concern(user_id))
