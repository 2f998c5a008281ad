"""Whose list of devices changed for whom: what clients must ask for anew, and whom they need not follow any more.

Client-server API, "Tracking the device list for a user". Nothing is written for each of those who follow: a change is
one row of the stream, and who shares a room with whom at which position is told by the memberships, whose rows are part
of their events' units. So what is answered for two positions is always the same, and a kill can lose none of it.

Most syncs find out in memory that nothing of this happened since their token.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from msgspec import Struct

from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.rooms.standings import Standings, UserRooms
from appliance.storage import device_lists as rows
from appliance.storage.database import Database, Reads

K = TypeVar("K", str, int)
KEPT = 10_000
"""Users and rooms of which it is in memory when something of this kind last happened."""
FEW = 100
"""Users that are looked at one by one on the loop; more are looked at in a thread."""


class Lists(Struct, frozen=True):
    """What a client is told.

    Args:
        changed: the users whose devices or keys changed, or with whom the client's user now shares a room.
        left: the users with whom the client's user shares no room any more.
    """

    changed: list[str]
    left: list[str]


NOTHING = Lists([], [])


class _Recent(Generic[K]):
    """The last positions of what happened lately; below ``floor`` it is not known what happened.

    Args:
        floor: the position up to which nothing is known.
    """

    __slots__ = ("_last", "floor")

    def __init__(self, floor: int) -> None:
        self._last: OrderedDict[K, int] = OrderedDict()
        self.floor = floor

    def note(self, key: K, position: int) -> None:
        """Take note of what is being published."""
        self._last[key] = position
        self._last.move_to_end(key)
        if len(self._last) > KEPT:
            self.floor = self._last.popitem(last=False)[1]

    def since(self, position: int) -> "set[K] | None":
        """To whom something happened after a position; None where that is not known."""
        if position < self.floor:
            return None
        found: set[K] = set()
        for key, last in reversed(self._last.items()):
            if last <= position:
                break
            found.add(key)
        return found


class DeviceLists:
    """Tells what changed of lists of devices; told of events as a contributor.

    Args:
        database: where changes and memberships are.
        standings: who is where.

    Attributes:
        listeners: called on the loop with each user whose list changed, as that is published.
        signers: called so with each user who signed others' keys, which concerns their own devices alone.
    """

    def __init__(self, database: Database, standings: Standings) -> None:
        self._database = database
        self._standings = standings
        self._changes: _Recent[str] = _Recent(database.position)
        self._moves: _Recent[int] = _Recent(database.position)
        self._signatures: _Recent[str] = _Recent(database.position)
        self.listeners: list[Callable[[str], None]] = []
        self.signers: list[Callable[[str], None]] = []

    # What happens --------------------------------------------------------------------------------------------------

    def changed(self, user_id: str, position: int) -> None:
        """A change of a user's list, noted in a unit, is being published."""
        self._changes.note(user_id, position)
        for listener in self.listeners:
            listener(user_id)

    def signed(self, user_id: str, position: int) -> None:
        """A user's signatures of others' keys are being published, which concern their own devices alone."""
        self._signatures.note(user_id, position)
        for listener in self.signers:
            listener(user_id)

    # What is told --------------------------------------------------------------------------------------------------

    async def between(self, user_id: str, since: int, upto: int) -> Lists:
        """What a user is told of what happened in ``since < position <= upto``.

        Args:
            user_id: the local user.
            since: up to where the client knows everything.
            upto: the last position that counts, not after the published one.
        """
        user = self._standings.of(user_id)
        moved = self._moved(user, since)
        changed = self._changes.since(since)
        signed = self._signatures.since(since)
        if changed is not None and not changed and not moved and signed is not None and user_id not in signed:
            return NOTHING
        before, after = _places(user, since, upto)
        question = _Question(user_id, since, upto, before, after, moved & before & after)
        if changed is None or before != after or len(changed) + len(moved) > FEW:
            return await self._database.reading(lambda reader: question.answer(reader, changed))
        return question.answer(self._database, changed)

    def _moved(self, user: UserRooms, since: int) -> set[int]:
        """The rooms of a user in which somebody came or went since a position, or may have."""
        concerned = user.changed_since(since)
        moved = self._moves.since(since)
        if moved is None:
            return concerned | user.joined.keys()
        return concerned | {nid for nid in moved if nid in user.joined}

    # Contributor ---------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: the memberships say it all."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Note that somebody came into a room or went out of it."""
        before, after = step.before.members.memberships, step.after.members.memberships
        for user_id in step.members_changed:
            if (before.get(user_id) == "join") != (after.get(user_id) == "join"):
                self._moves.note(step.room_nid, position)
                return


class _Question(Struct, frozen=True):
    """What is asked, with the rooms that the user was in at the two positions.

    Args:
        user_id: who asks.
        since: the earlier position.
        upto: the later one.
        before: the rooms at the earlier one.
        after: the rooms at the later one.
        moved: those of both in which somebody may have come or gone in between.
    """

    user_id: str
    since: int
    upto: int
    before: AbstractSet[int]
    after: AbstractSet[int]
    moved: AbstractSet[int]

    def answer(self, reads: Reads, changed: Iterable[str] | None) -> Lists:
        """Find the answer.

        Args:
            reads: where to look.
            changed: whose list changed in between; None where that must be looked up.
        """
        if changed is None:
            changed = rows.changed_users(reads, self.since, self.upto)
        came, went, back = self._movements(reads)
        told = {user for user in changed if user == self.user_id or rows.shares(reads, user, self.after, self.upto)}
        told.update(rows.signed_users(reads, self.user_id, self.since, self.upto))
        told.update(self._newly(reads, came - told), back)
        left = {user for user in went - told if not rows.shares(reads, user, self.after, self.upto)}
        return Lists(sorted(told), sorted(left))

    def _movements(self, reads: Reads) -> tuple[set[str], set[str], set[str]]:
        """Who came into a room of the user's, or is in one that the user came into; who is so no more; and who of other
        servers is so again: meanwhile those may have told us nothing of their devices.
        """
        back: set[str] = set()
        came: set[str] = set()
        went: set[str] = set()
        for nid in self.after - self.before:
            came |= rows.joined_at(reads, nid, self.upto)
        for nid in self.before - self.after:
            went |= rows.joined_at(reads, nid, self.since)
        for nid in self.moved:
            inside, outside, returned = rows.moves(reads, nid, self.since, self.upto)
            came |= inside
            went |= outside
            back |= rows.joined_at(reads, nid, self.upto) if self.user_id in returned else returned
        # Whoever came into a first room is newly seen by their own other devices too.
        own, here = {self.user_id}, server_of(self.user_id)
        back = {user for user in back if server_of(user) != here}
        return came if not self.before else came - own, went - own, back

    def _newly(self, reads: Reads, came: set[str]) -> set[str]:
        """Those with whom the user shared no room before; of many no questions are asked, since more may be told."""
        if len(came) > FEW:
            return came
        return {user for user in came if not rows.shares(reads, user, self.before, self.since)}


def _places(user: UserRooms, since: int, upto: int) -> tuple[set[int], set[int]]:
    """The rooms that a user was in at two positions."""
    before, after = set(), set()
    for nid, history in user.histories.items():
        if history.membership_at(since) == "join":
            before.add(nid)
        if history.membership_at(upto) == "join":
            after.add(nid)
    return before, after
