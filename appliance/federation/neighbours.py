"""Which servers share rooms with a user; a contributor, since people come and go."""

from collections import Counter
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet

from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Identity, Statement
from appliance.rooms.snapshot import Step
from appliance.storage import destinations as rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru

ROOMS_KEPT = 1000


class Neighbours:
    """The servers in rooms, by the rooms' numbers.

    Args:
        database: where memberships are.
        identity: which server is no neighbour, being this one.
        rooms_of: the numbers of the rooms that a user is in.

    Attributes:
        met: called with a local user who came into a room, and the servers there with which they shared none.
        came: called with the number of a room and another server, when the first of its users comes into it.
    """

    def __init__(self, database: Database, identity: Identity, rooms_of: Callable[[str], Collection[int]]) -> None:
        self._database = database
        self._identity = identity
        self._rooms_of = rooms_of
        self._servers: Lru[int, Counter[str]] = Lru(ROOMS_KEPT)
        self._counted = 0
        """The position of the last event that was published; ahead of the database's while a batch is."""
        self.met: list[Callable[[str, Collection[str]], None]] = []
        self.came: list[Callable[[int, str], None]] = []

    def of_room(self, room_nid: int) -> AbstractSet[str]:
        """The servers of those who are in a room, this one included; not to be changed."""
        found = self._servers.get(room_nid)
        if found is None:
            # The database may know of more already, which will be counted when it is published.
            upto = max(self._database.position, self._counted)
            found = Counter(rows.servers_in(self._database, room_nid, upto))
            self._servers.put(room_nid, found)
        return found.keys()

    def of_user(self, user_id: str) -> set[str]:
        """The other servers that share a room with a user."""
        found: set[str] = set()
        for room_nid in self._rooms_of(user_id):
            found |= self.of_room(room_nid)
        found.discard(self._identity.server_name)
        return found

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Note who came and went."""
        self._count(step)
        self._counted = position
        here = self._identity.server_name
        for user_id in step.members_changed:
            if step.after.members.of(user_id) != "join":
                continue
            if server_of(user_id) == here:
                self._meet(user_id, step.room_nid)
            elif self.came and step.before.members.of(user_id) != "join":
                self._come(server_of(user_id), step.room_nid)

    def _meet(self, user_id: str, room_nid: int) -> None:
        """Say which servers a local user has not shared a room with until now."""
        servers = self.of_room(room_nid) - {self._identity.server_name}
        for other_nid in self._rooms_of(user_id) if servers else ():
            if other_nid != room_nid:
                servers -= self.of_room(other_nid)
        for listener in self.met if servers else ():
            listener(user_id, servers)

    def _come(self, server: str, room_nid: int) -> None:
        """Say that a server has come into a room, unless more of its users were there already."""
        self.of_room(room_nid)
        counted = self._servers.get(room_nid)
        if counted is not None and counted[server] == 1:
            for listener in self.came:
                listener(room_nid, server)

    def _count(self, step: Step) -> None:
        found = self._servers.get(step.room_nid)
        if found is None:
            return
        for user_id in step.members_changed:
            change = (step.after.members.of(user_id) == "join") - (step.before.members.of(user_id) == "join")
            if change:
                server = server_of(user_id)
                found[server] += change
                if found[server] <= 0:
                    del found[server]
