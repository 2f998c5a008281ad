"""The rooms' events and their state, put together."""

from appliance.app.clock import now_ms
from appliance.app.owning import Owning
from appliance.federation.keys import ServerIdentity
from appliance.rooms.graph.indexing import Index
from appliance.rooms.graph.redactions import Redactions
from appliance.rooms.graph.relations import Relations
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.incoming.holding import Holding
from appliance.rooms.reading.aggregations import Aggregations
from appliance.rooms.reading.ends import Ends
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.room import Rooms
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.storage.numbers import Numbers


class Graph:
    """Events, the state around them, and what is kept beside them.

    Args:
        owning: the database.
        identity: as whom this server speaks.
    """

    def __init__(self, owning: Owning, identity: ServerIdentity) -> None:
        database = owning.database
        self.numbers = Numbers(database)
        self.store = EventStore(database)
        self.rooms = Rooms(database, self.store)
        self.standings = Standings(database, self.store)
        self.transactions = Transactions(database, now_ms)
        self.ends = Ends(database)
        self.visibility = Visibility(database, self.store)
        self.holding = Holding(database, now_ms)
        self.index = Index(database)
        self.relations = Relations(self.store)
        self.aggregations = Aggregations(database, self.store)
        self.relations.changed.append(self.aggregations.forget)
        self.redactions = Redactions(database, self.rooms, self.store, identity, now_ms)
        self.redactions.emptied.extend((self.relations.emptied, self.index.emptied))
        self.redactions.came_late.append(self.ends.forget)
