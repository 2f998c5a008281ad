"""Who may see an event: judged by the visibility setting and the asker's membership at the event, not now.

Client-server API, module "Room history visibility". Most events stand on the room as it was for everybody at their
positions, so that what is known of positions judges them. What is *apart* is judged by the states that are stored
around it (``around.py``).
"""

from bisect import bisect_right
from collections.abc import Set as AbstractSet

from appliance.rooms.graph.appending import Statement
from appliance.rooms.reading.around import DEFAULT, HISTORY_VISIBILITY, KNOWN, Around
from appliance.rooms.snapshot import MEMBER, Step
from appliance.rooms.standings import History
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage import events as event_rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru
from appliance.storage.state import slot_history


class VisibilityHistory:
    """The settings of one room over time: positions, and the value from each on."""

    __slots__ = ("positions", "values")

    def __init__(self, changes: list[tuple[int, str]]) -> None:
        self.positions = [position for position, _ in changes]
        self.values = [value if value in KNOWN else DEFAULT for _, value in changes]

    @property
    def always_shared(self) -> bool:
        """Whether whoever is in the room now may see all that there ever was."""
        return all(value in ("shared", "world_readable") for value in self.values)

    @property
    def first(self) -> str:
        """The first that is known."""
        return self.values[0] if self.values else DEFAULT

    def was(self, setting: str) -> bool:
        """Whether it was ever so."""
        return setting in self.values

    def at(self, position: int) -> str:
        """The setting in force at a position."""
        index = bisect_right(self.positions, position)
        return self.values[index - 1] if index else DEFAULT


def may_see(event: ClientEvent, user_id: str, history: History | None, settings: VisibilityHistory) -> bool:
    """Whether a user may see an event before which the room was as it was for everybody at its position.

    Args:
        event: the event, which has a position and is not apart.
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
    own = event.type == MEMBER and event.state_key == user_id
    if own:
        memberships.add(history.membership_at(position - 1))
    return allows(rules, memberships, own=own) or ("shared" in rules and history.joined_since(position))


def allows(rules: AbstractSet[str], memberships: AbstractSet[str], *, own: bool) -> bool:
    """Whether settings let somebody see an event, apart from what they see since they came in later (``shared``).

    Args:
        rules: the settings at the event; before and after it, where it changes them.
        memberships: how they stood to the room at the event; before and after it, where it changes that.
        own: whether it is a membership of theirs: whoever is invited, kicked or banned sees the event that did it.
    """
    if own or "world_readable" in rules or "join" in memberships:
        return True
    return "invited" in rules and "invite" in memberships


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
        self.around = Around(database, store)

    def sees(self, event: ClientEvent, user_id: str, history: History | None) -> bool:
        """Whether a user may see an event.

        Args:
            event: the event, which has a position.
            user_id: the asker.
            history: the asker's memberships of the room, None where there never was one.
        """
        if event.withheld:
            return False
        if not event.apart:
            return may_see(event, user_id, history, self.of(event.room_nid))
        rules = self.rules(event)
        own = event.type == MEMBER and event.state_key == user_id
        memberships = set() if history is None else self.around.memberships(event, user_id)
        if allows(rules, memberships, own=own and history is not None):
            return True
        return history is not None and "shared" in rules and self._stayed(event, history)

    def sees_all(self, room_nid: int, history: History | None) -> bool:
        """Whether a user may see every event of a room that is neither apart nor withheld, so that nobody need ask for
        each.

        Args:
            room_nid: the room.
            history: their memberships of it, None where there never was one.
        """
        if history is None or not history.changes or history.changes[-1].membership != "join":
            return False
        return history.changes[-1].position <= self._database.position and self.of(room_nid).always_shared

    def membership_at(self, event: ClientEvent, user_id: str, history: History | None) -> str:
        """How a user stood to the room at an event that has a position; for a change of theirs, what it made of it."""
        if history is None:
            return "leave"
        if not event.apart:
            return history.membership_at(event.position or 0)
        if event.type == MEMBER and event.state_key == user_id:
            return self._store.event(event.nid).membership or "leave"
        groups = self.around.groups(event.nid)
        return "leave" if groups is None else self.around.membership(groups[0], user_id)

    def rules(self, event: ClientEvent) -> set[str]:
        """The settings at an event that is apart; before and after it, where it changes them.

        Where the state around it is not known, the first that is known of the room, if that hides nothing from members.
        """
        groups = self.around.groups(event.nid)
        if groups is None:
            first = self.of(event.room_nid).first
            return {first if first in ("world_readable", "shared") else "joined"}
        changes = event.type == HISTORY_VISIBILITY and event.state_key == ""
        return {self.around.setting(group) for group in (groups if changes else groups[:1])}

    def _stayed(self, event: ClientEvent, history: History) -> bool:
        """Whether a user was in the room at some time after an event that is apart, by the order of the history."""
        if history.joined_since(self._database.position):
            return True
        left = [
            change.event_nid
            for before, change in zip(history.changes, history.changes[1:], strict=False)
            if before.membership == "join" and change.membership != "join"
        ]
        return any(row.ordering > event.ordering for row in event_rows.by_nids(self._database, left).values())

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
