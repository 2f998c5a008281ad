"""What the states stored around an event say: how its history was visible, and how people stood to the room.

Groups never change, and their numbers are never given again, so that what was found once is good for ever; a redaction
leaves both settings and memberships as they were.
"""

from collections.abc import Iterable

from appliance.protocol.identifiers import server_of
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import memberships as membership_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Database, Reads
from appliance.storage.lru import Lru

HISTORY_VISIBILITY = "m.room.history_visibility"
KNOWN = frozenset(("world_readable", "shared", "invited", "joined"))
DEFAULT = "shared"
SETTINGS_KEPT, MEMBERSHIPS_KEPT = 5_000, 10_000
MOST_LOOKED_UP = 200
"""Slots beyond which reading the whole state is cheaper."""


class Around:
    """Reads and remembers.

    Args:
        database: where the states are.
        store: where events are read.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._settings: Lru[int, str] = Lru(SETTINGS_KEPT)
        self._memberships: Lru[tuple[int, str], str] = Lru(MEMBERSHIPS_KEPT)
        self._servers: Lru[tuple[int, str], frozenset[str]] = Lru(MEMBERSHIPS_KEPT)

    def groups(self, nid: int) -> tuple[int, int] | None:
        """The states before and after an event; None where they are not known."""
        return state_rows.groups_of(self._database, nid)

    def setting(self, group_nid: int) -> str:
        """The visibility of the history in a state."""
        found = self._settings.get(group_nid)
        if found is None:
            nid = state_rows.slot_in_group(self._database, group_nid, (HISTORY_VISIBILITY, ""))
            value = None if nid is None else self._store.event(nid).content.get("history_visibility")
            found = value if isinstance(value, str) and value in KNOWN else DEFAULT
            self._settings.put(group_nid, found)
        return found

    def membership(self, group_nid: int, user_id: str) -> str:
        """How a user stands to the room in a state."""
        found = self._memberships.get((group_nid, user_id))
        if found is None:
            nid = state_rows.slot_in_group(self._database, group_nid, (MEMBER, user_id))
            found = (None if nid is None else self._store.event(nid).membership) or "leave"
            self._memberships.put((group_nid, user_id), found)
        return found

    def memberships(self, event: ClientEvent, user_id: str) -> set[str]:
        """How a user stood to the room at an event; before and after it, where it changed that."""
        groups = self.groups(event.nid)
        if groups is None:
            return set()
        own = event.type == MEMBER and event.state_key == user_id
        return {self.membership(group, user_id) for group in (groups if own else groups[:1])}

    async def of_server(self, room_nid: int, group_nid: int, server_name: str) -> frozenset[str]:
        """How the users of a server stand to the room in a state: every membership that one of them has."""
        key = (group_nid, server_name)
        found = self._servers.get(key)
        if found is None:
            nids = await self._database.reading(lambda reader: _of_server(reader, room_nid, group_nid, server_name))
            events = self._store.events(nids).values()
            found = frozenset(event.membership for event in events if event.membership is not None)
            self._servers.put(key, found)
        return found


def _of_server(reads: Reads, room_nid: int, group_nid: int, server_name: str) -> Iterable[int]:
    """The numbers of the membership events of a server's users in a state.

    Those are looked for who ever had a membership of the room that was in force; others had one in a forgotten branch
    of its history only.
    """
    slots = [(MEMBER, user_id) for user_id in membership_rows.of_server(reads, room_nid, server_name)]
    if len(slots) <= MOST_LOOKED_UP:
        return list(state_rows.lookup(reads, group_nid, slots).values())
    state = state_rows.group(reads, group_nid)
    return [nid for (kind, key), nid in state.items() if kind == MEMBER and server_of(key) == server_name]
