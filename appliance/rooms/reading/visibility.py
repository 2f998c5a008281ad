"""Who may see an event: judged by the visibility setting and the asker's membership at the event, not now.

Client-server API, module "Room history visibility".
"""

from bisect import bisect_right

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import MEMBER, Step
from appliance.rooms.standings import History
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage.database import Database
from appliance.storage.lru import Lru
from appliance.storage.state import slot_history

HISTORY_VISIBILITY = "m.room.history_visibility"
KNOWN = frozenset(("world_readable", "shared", "invited", "joined"))
DEFAULT = "shared"


class VisibilityHistory:
    """The settings of one room over time: positions, and the value from each on."""

    __slots__ = ("positions", "values")

    def __init__(self, changes: list[tuple[int, str]]) -> None:
        self.positions = [position for position, _ in changes]
        self.values = [value if value in KNOWN else DEFAULT for _, value in changes]

    def was(self, setting: str) -> bool:
        """Whether it was ever so."""
        return setting in self.values

    def at(self, position: int) -> str:
        """The setting in force at a position."""
        index = bisect_right(self.positions, position)
        return self.values[index - 1] if index else DEFAULT


def may_see(event: ClientEvent, user_id: str, history: History | None, settings: VisibilityHistory) -> bool:
    """Whether a user may see an event.

    Args:
        event: the event, which has a position.
        user_id: the asker.
        history: the asker's memberships of the room, None where there never was one.
        settings: the room's visibility settings.
    """
    position = event.position or 0
    rules = {settings.at(position)}
    if event.type == HISTORY_VISIBILITY and event.state_key == "":
        rules.add(settings.at(position - 1))
    if "world_readable" in rules:
        return True
    if history is None:
        return False
    memberships = {history.membership_at(position)}
    if event.type == MEMBER and event.state_key == user_id:
        memberships.add(history.membership_at(position - 1))
    if "join" in memberships:
        return True
    if "invited" in rules and "invite" in memberships:
        return True
    if event.type == MEMBER and event.state_key == user_id:
        # Whoever is invited, kicked or banned sees the event that did it.
        return True
    return "shared" in rules and history.joined_since(position)


class Visibility:
    """The rooms' visibility settings; told of changes as a contributor.

    Args:
        database: where they are.
        store: where events are read.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._rooms: Lru[int, VisibilityHistory] = Lru(500)

    def of(self, room_nid: int) -> VisibilityHistory:
        """The settings of a room over time."""
        settings = self._rooms.get(room_nid)
        if settings is None:
            changes = slot_history(self._database, room_nid, (HISTORY_VISIBILITY, ""))
            events = self._store.events(nid for _, nid in changes if nid is not None)
            settings = VisibilityHistory(
                [
                    (position, str(events[nid].content.get("history_visibility")) if nid in events else DEFAULT)
                    for position, nid in changes
                ]
            )
            self._rooms.put(room_nid, settings)
        return settings

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: the state's own rows say it."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Read a room's settings anew when next asked, once they changed."""
        if (HISTORY_VISIBILITY, "") in step.changes:
            self._rooms.drop(step.room_nid)
