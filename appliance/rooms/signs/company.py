"""Who is in a room with whom: asked by what is told to people who share a room; a contributor."""

from collections.abc import Iterable

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage.database import Database
from appliance.storage.lru import Lru
from appliance.storage.memberships import joined_rooms_of

USERS_KEPT = 20_000


class Company:
    """The rooms that users are in, of this server and of others, as a set of numbers each.

    Args:
        database: where memberships are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rooms: Lru[str, set[int]] = Lru(USERS_KEPT)

    def rooms_of(self, user_id: str) -> set[int]:
        """The numbers of the rooms that a user is in; not to be changed."""
        rooms = self._rooms.get(user_id)
        if rooms is None:
            rooms = set(joined_rooms_of(self._database, user_id))
            self._rooms.put(user_id, rooms)
        return rooms

    def share(self, one: str, other: str) -> bool:
        """Whether two users are in a room together; everybody is in their own company."""
        return one == other or not self.rooms_of(one).isdisjoint(self.rooms_of(other))

    def rooms_of_all(self, user_ids: Iterable[str]) -> set[int]:
        """The numbers of the rooms that any of some users is in."""
        return set().union(*(self.rooms_of(user_id) for user_id in user_ids))

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Note who came and went."""
        for user_id in step.members_changed:
            rooms = self._rooms.get(user_id)
            if rooms is None:
                continue
            if step.after.members.of(user_id) == "join":
                rooms.add(step.room_nid)
            else:
                rooms.discard(step.room_nid)
