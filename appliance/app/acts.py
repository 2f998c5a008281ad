"""What people do in rooms, put together."""

from collections.abc import Sequence

from appliance.app.clock import now_ms
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.federation.keys import ServerIdentity
from appliance.rooms.acts.admitting import Admitting
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.acts.creation import Creation
from appliance.rooms.acts.delayed import Delayed
from appliance.rooms.acts.departures import Departures
from appliance.rooms.acts.knocking import Knocking
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.relating import Relating
from appliance.rooms.acts.sending import Sending
from appliance.rooms.acts.upgrading import Inheritance, Upgrading
from appliance.rooms.graph.appending import Appender, Contributor


class Acts:
    """Making rooms and events, and who comes and goes.

    Args:
        owning: settings and accounts.
        people: profiles, and what follows somebody from a room to the one that replaces it.
        graph: the events.
        identity: as whom this server speaks.
        delayed: events that wait for their time; a contributor too.
        contributors: whatever adds to the unit of an event.
    """

    def __init__(
        self,
        owning: Owning,
        people: People,
        graph: Graph,
        identity: ServerIdentity,
        delayed: Delayed,
        contributors: Sequence[Contributor],
    ) -> None:
        database, rooms, store, profiles = owning.database, graph.rooms, graph.store, people.profiles
        self.delayed = delayed
        self.appender = Appender(graph.numbers, rooms, store, identity, now_ms, contributors)
        self.appender.form = graph.redactions.form
        self.aliases = Aliases(database, rooms, self.appender, identity)
        self.knocking = Knocking(rooms, self.appender, profiles)
        self.creation = Creation(
            *(database, graph.numbers, rooms, store, self.appender, identity, profiles, owning.settings, now_ms)
        )
        self.admitting = Admitting(rooms, graph.standings, identity, profiles)
        self.membership = Membership(rooms, self.appender, graph.standings, identity, profiles, self.admitting)
        self.sending = Sending(
            *(database, rooms, store, self.appender, graph.transactions, Relating(database, store), identity, profiles)
        )
        self.upgrading = Upgrading(database, rooms, self.appender, self.creation)
        self.departures = Departures(database, self.membership)
        delayed.sending = self.sending
        inheritance = Inheritance(rooms, people.account_data, people.push_rules)
        self.membership.joined_listeners.append(inheritance.joined)
        self.creation.made.append(inheritance.joined)
        profiles.listeners.append(self.membership)
        owning.accounts.deactivated.append(lambda user_id: self.departures.look())
