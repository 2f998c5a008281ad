"""What rooms show of themselves to those outside, put together."""

from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.people import People
from appliance.federation.keys import ServerIdentity
from appliance.rooms.shown.directory import Directory
from appliance.rooms.shown.facts import Outlook, RoomFacts
from appliance.rooms.shown.outlying import OutlookElsewhere
from appliance.rooms.shown.people import PeopleDirectory
from appliance.rooms.shown.spaces import Children, Spaces


class Shown:
    """Summaries, the directory of rooms, spaces, and the directory of people.

    Args:
        owning: settings.
        people: profiles.
        graph: the events.
        identity: as whom this server speaks.
    """

    def __init__(self, owning: Owning, people: People, graph: Graph, identity: ServerIdentity) -> None:
        database, rooms, store = owning.database, graph.rooms, graph.store
        self.facts = RoomFacts(database, rooms, store)
        self.directory = Directory(database, rooms, self.facts)
        self.children = Children(database, store)
        self.outlook = Outlook(database, graph.standings)
        self.outlook_elsewhere = OutlookElsewhere(database, graph.standings)
        self.spaces = Spaces(self.facts, self.children, self.outlook, self.outlook_elsewhere)
        self.people = PeopleDirectory(database, store, identity, people.profiles, owning.settings)
