"""The signs that people give each other, put together: typing, presence, receipts, threads that they follow."""

from appliance.app.clock import now_ms
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.app.reads import Reads
from appliance.rooms.signs.company import Company
from appliance.rooms.signs.following import Following
from appliance.rooms.signs.presence import Presence
from appliance.rooms.signs.receipts import Receipts
from appliance.rooms.signs.serial import Serial
from appliance.rooms.signs.typing import Typing


class Signs:
    """Typing, presence, receipts and followed threads, and who is in whose company.

    Args:
        owning: settings and sessions.
        people: account data.
        graph: the events.
        reads: what people may see.
    """

    def __init__(self, owning: Owning, people: People, graph: Graph, reads: Reads) -> None:
        database = owning.database
        self.serial = Serial()
        self.typing = Typing(graph.rooms, self.serial)
        self.company = Company(database)
        self.presence = Presence(self.company, self.serial, owning.settings, now_ms)
        owning.sessions.listeners.append(self.presence)
        self.receipts = Receipts(database, graph.rooms, graph.store, people.account_data, now_ms)
        self.following = Following(database, reads.reading)
