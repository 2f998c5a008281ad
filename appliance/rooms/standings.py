"""How each user stands to each room, now and at any position: the first of the contributors.

Sync, joined rooms, visibility and ``unsigned.membership`` all ask this. A user's whole history of memberships is read
once, when the user first asks, and kept up to date from then on.
"""

from bisect import bisect_right

from msgspec import Struct

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import MEMBER, Step
from appliance.rooms.store import EventStore
from appliance.storage import memberships as rows
from appliance.storage.database import Database
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
        if self.changes and self.changes[-1].position <= position:
            return self.changes[-1]
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

    def came_in(self, since: int, upto: int) -> bool:
        """Whether the user joined in ``since < position <= upto``, having been out before that."""
        if not self.changes or self.changes[-1].position <= since:
            return False
        inside = self.membership_at(since) == "join"
        for change in self.changes:
            if since < change.position <= upto:
                if change.membership == "join" and not inside:
                    return True
                inside = change.membership == "join"
        return False

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

    __slots__ = ("_by_id", "_changed", "forgotten", "histories", "joined")

    def __init__(self, histories: dict[int, History], forgotten: set[int]) -> None:
        self.histories = histories
        self.forgotten = forgotten
        self.joined = {nid: history for nid, history in histories.items() if _present(history) == "join"}
        self._by_id = {history.room_id: history for history in histories.values()}
        self._changed = sorted((change.position, nid) for nid, one in histories.items() for change in one.changes)

    def of(self, room_nid: int) -> History | None:
        """The user's history with one room, None where there is none."""
        return self.histories.get(room_nid)

    def by_id(self, room_id: str) -> History | None:
        """The user's history with the room of an id, also with one that nobody here is in."""
        return self._by_id.get(room_id)

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
        history = self.histories.get(room_nid)
        if history is None:
            history = self.histories[room_nid] = self._by_id[room_id] = History(room_nid, room_id, [])
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
        store: where membership events are read.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
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
        """Store the standings that an event, or the resolution that it brought about, changes."""
        changed = [
            (
                user_id,
                step.after.members.of(user_id),
                step.before.members.memberships.get(user_id),
                *self._by(step, user_id),
            )
            for user_id in step.members_changed
        ]
        if not changed:
            return None

        return lambda tx, position: rows.put_all(tx, step.room_nid, changed, position)

    def published(self, step: Step, position: int) -> None:
        """Bring the histories of those concerned up to date, as far as they are in memory."""
        for user_id in step.members_changed:
            user = self._users.get(user_id)
            if user is not None:
                change = Change(position, step.after.members.of(user_id), self._by(step, user_id)[0])
                user.take_in(step.room_nid, step.room_id, change)

    def take_in(self, user_id: str, room_nid: int, room_id: str, change: Change) -> None:
        """Note a change that no event of a room made, once it is committed."""
        user = self._users.get(user_id)
        if user is not None:
            user.take_in(room_nid, room_id, change)

    def _by(self, step: Step, user_id: str) -> tuple[int, str]:
        """The number and the sender of the event that made a membership; the step's own where a slot became empty."""
        nid = step.after.state.get((MEMBER, user_id), step.nid)
        return nid, step.event.sender if nid == step.nid else self._store.event(nid).sender

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
