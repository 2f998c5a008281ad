"""What notifies whom, put together."""

from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.app.reads import Reads
from appliance.federation.keys import ServerIdentity
from appliance.push.audience import Audiences
from appliance.push.counts import Counts
from appliance.push.judge import Judge
from appliance.push.notifications import Notifications


class Pushing:
    """Push rules as they are applied to events, what is unread, and what has notified.

    Args:
        owning: the database.
        people: their rules.
        graph: the events.
        reads: how people see them.
        identity: as whom this server speaks.
    """

    def __init__(self, owning: Owning, people: People, graph: Graph, reads: Reads, identity: ServerIdentity) -> None:
        database, rules = owning.database, people.push_rules
        self.counts = Counts(database, rules, people.ignored, graph.standings)
        self.judge = Judge(graph.store, Audiences(rules, lambda: identity.server_name), self.counts)
        graph.redactions.emptied.append(self.judge.emptied)
        self.notifications = Notifications(
            *(database, rules, people.ignored, graph.standings, self.counts, graph.store, reads.serving)
        )
