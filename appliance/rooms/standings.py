"""How each user stands to each room, now and at any position: the first of the contributors.

Sync, joined rooms, visibility and ``unsigned.membership`` all ask this. A user's whole history of memberships is read
once, when the user first asks, and kept up to date from then on.
"""

from bisect import bisect_right

from msgspec import Struct

from appliance.rooms.appending import Statement
from appliance.rooms.snapshot import MEMBER, Step
from appliance.storage import memberships as rows
from appliance.storage.database import Database, Tx
from appliance.storage.lru import Lru

USERS_KEPT = 300


class Change(Struct, frozen=True):
    """A change of membership: when (position), to what, by which event."""

    position: int
    membership: str
    event_nid: int


class History:
    """One user's memberships of one room, earliest first."""

    __slots__ = ("changes", "room_id", "room_nid")

    def __init__(self, room_nid: int, room_id: str, changes: list[Change]) -> None:
        self.room_nid = room_nid
        self.room_id = room_id
        self.changes = changes

    def at(self, position: int) -> Change | None:
        """The last change at or before a position, None where there was none."""
        index = bisect_right(self.changes, position, key=lambda change: change.position)
        return self.changes[index - 1] if index else None

    def membership_at(self, position: int) -> str:
        """The membership at a position; ``leave`` before the first."""
        change = self.at(position)
        return change.membership if change else "leave"

    def left_at(self, position: int) -> int | None:
        """When the user last left the room, as of a position; None where they never were in it before that."""
        left, inside = None, False
        for change in self.changes:
            if change.position > position:
                break
            if inside and change.membership != "join":
                left = change.position
            inside = change.membership == "join"
        return left

    def joined_since(self, position: int) -> bool:
        """Whether the user was in the room at a position or came in later."""
        if self.membership_at(position) == "join":
            return True
        return any(change.membership == "join" and change.position > position for change in self.changes)


class UserRooms:
    """All rooms that a user has or had to do with.

    Args:
        histories: by room number.
        forgotten: numbers of the rooms that the user forgot.
    """

    __slots__ = ("_changed", "forgotten", "histories", "joined")

    def __init__(self, histories: dict[int, History], forgotten: set[int]) -> None:
        self.histories = histories
        self.forgotten = forgotten
        self.joined = {nid: history for nid, history in histories.items() if _present(history) == "join"}
        self._changed = sorted((change.position, nid) for nid, one in histories.items() for change in one.changes)

    def of(self, room_nid: int) -> History | None:
        """The user's history with one room, None where there is none."""
        return self.histories.get(room_nid)

    def remembered(self, room_nid: int) -> History | None:
        """The same for what the user may still read: None for a room that they forgot."""
        return None if room_nid in self.forgotten else self.histories.get(room_nid)

    def changed_since(self, position: int) -> set[int]:
        """The numbers of the rooms in which the user's membership changed after a position."""
        return {nid for _, nid in self._changed[bisect_right(self._changed, (position, 2**63)) :]}

    def having(self, membership: str) -> list[History]:
        """The rooms in which the user has a membership now."""
        return [history for history in self.histories.values() if _present(history) == membership]

    def take_in(self, room_nid: int, room_id: str, change: Change) -> None:
        """Note a change that was just published; one that was read from the database already changes nothing."""
        history = self.histories.setdefault(room_nid, History(room_nid, room_id, []))
        if not history.changes or history.changes[-1].position < change.position:
            history.changes.append(change)
            self._changed.append((change.position, room_nid))
        if _present(history) == "join":
            self.joined[room_nid] = history
        else:
            self.joined.pop(room_nid, None)
        self.forgotten.discard(room_nid)


def _present(history: History) -> str:
    return history.changes[-1].membership if history.changes else "leave"


class Standings:
    """The users' standings; a contributor that keeps the membership tables.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users: Lru[str, UserRooms] = Lru(USERS_KEPT)

    def of(self, user_id: str) -> UserRooms:
        """A user's rooms. May hold changes that are committed and not yet published: ask by position."""
        user = self._users.get(user_id)
        if user is None:
            user = self._load(user_id)
            self._users.put(user_id, user)
        return user

    async def forget(self, user_id: str, room_nid: int) -> None:
        """Note that a user forgot a room."""
        await self._database.write(
            lambda tx: rows.forget(tx, room_nid, user_id),
            # In the order of commits: an invitation that comes right after makes the room known again.
            published=lambda _: self.of(user_id).forgotten.add(room_nid),
        )

    def prepare(self, step: Step) -> Statement | None:
        """Store the standing that a membership event makes."""
        event = step.event
        if event.type != MEMBER or event.state_key is None:
            return None
        user_id, membership = event.state_key, event.membership or "leave"
        previous = step.before.members.memberships.get(user_id)
        nid, sender = step.nid, event.sender

        def statement(tx: Tx, position: int) -> None:
            rows.put(tx, step.room_nid, user_id, membership, previous, nid, sender, position)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Bring a user's history up to date, if it is in memory."""
        event = step.event
        if event.type != MEMBER or event.state_key is None:
            return
        user = self._users.get(event.state_key)
        if user is None:
            return
        change = Change(position, event.membership or "leave", step.nid)
        user.take_in(step.room_nid, step.room_id, change)

    def _load(self, user_id: str) -> UserRooms:
        histories: dict[int, History] = {}
        forgotten: set[int] = set()
        for standing in rows.of_user(self._database, user_id):
            histories[standing.room_nid] = History(standing.room_nid, standing.room_id, [])
            if standing.forgotten:
                forgotten.add(standing.room_nid)
        for room_nid, position, membership, event_nid in rows.history_of_user(self._database, user_id):
            histories[room_nid].changes.append(Change(position, membership, event_nid))
        return UserRooms(histories, forgotten)
