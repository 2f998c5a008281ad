"""Reading rooms, put together."""

from appliance.app.clock import now_ms
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.rooms.reading.context import Context
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.present import Present
from appliance.rooms.reading.related import Related
from appliance.rooms.reading.searching import Searching
from appliance.rooms.reading.serving import Serving
from appliance.rooms.reading.sheets import Sheets
from appliance.rooms.reading.timeline import Timeline


class Reads:
    """What people may see of rooms, and in which form.

    Args:
        owning: accounts.
        people: whom somebody ignores.
        graph: the events.
    """

    def __init__(self, owning: Owning, people: People, graph: Graph) -> None:
        database, store, rooms, standings = owning.database, graph.store, graph.rooms, graph.standings
        ignored = people.ignored
        self.timeline = Timeline(database, store, standings, graph.visibility, ignored, graph.ends)
        self.serving = Serving(
            store,
            standings,
            graph.transactions,
            graph.visibility,
            graph.aggregations,
            ignored,
            owning.accounts.erased,
            now_ms,
        )
        self.reading = Reading(database, rooms, store, standings, self.timeline)
        sheets = Sheets(store, standings, graph.transactions, graph.visibility, owning.accounts.erased, now_ms)
        self.present = Present(rooms, self.reading, store, self.serving, sheets)
        self.context = Context(database, store, self.reading, self.timeline)
        self.related = Related(database, store, self.reading, self.timeline, ignored)
        self.searching = Searching(
            database, store, rooms, standings, self.timeline, graph.aggregations, ignored, graph.index
        )
