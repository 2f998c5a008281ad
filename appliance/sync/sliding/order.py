"""The rooms that a user has to do with, in the order in which lists show them.

That order changes with every event, and by little: the room in which something happened comes to the front. So it is
kept for each user, and only what happened since is looked at. Where a membership changed it is made anew.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from appliance.accounts.invite_rules import InviteRules
from appliance.rooms.standings import Change, History, Standings, UserRooms
from appliance.rooms.store import EventStore
from appliance.storage.lru import Lru
from appliance.sync.activity import Activity
from appliance.sync.sliding.wishes import Filters

STAYING = frozenset(("join", "invite", "knock"))
MOST_ACTIVE = 200
"""Rooms with news that are looked through for those of a user: beyond that, all is looked at."""
USERS_KEPT = 100
MOST_FILTERS = 20
"""Ways of choosing rooms that are remembered for a user: clients have some ten lists."""


class Candidate(Struct, frozen=True):
    """A room that a user has to do with.

    Args:
        history: their memberships of it.
        change: the last of them that counts.
        rank: what it is sorted by: the position of the last thing that happened in it for them.
        lasting: whether it stays in lists; one that they left themselves is told once more and then no longer.
    """

    history: History
    change: Change
    rank: int
    lasting: bool = True


class Order:
    """The rooms at a moment; it goes on, and whoever waits in between must not rely on what ``ranked`` said before.

    Args:
        user: the user's rooms, of which it was made.
        upto: the position up to which it is right.
        candidates: the rooms, by number.

    Attributes:
        ranked: their numbers, in the order in which lists show them.
        lasting: whether all of them stay in lists.
    """

    def __init__(self, user: UserRooms, upto: int, candidates: dict[int, Candidate]) -> None:
        self.user = user
        self.upto = upto
        self.forgotten = len(user.forgotten)
        self.candidates = candidates
        self.ranked = sorted(candidates, key=lambda nid: (-candidates[nid].rank, nid))
        self.lasting = True
        self._chosen: dict[Filters, tuple[tuple[object, ...], frozenset[int]]] = {}

    def with_leaving(self, leaving: Mapping[int, Candidate]) -> "Order":
        """The same with rooms that are told once more."""
        other = Order(self.user, self.upto, {**self.candidates, **leaving})
        other.lasting = False
        return other

    def go_on(self, upto: int, active: Iterable[int], activity: Activity) -> None:
        """Bring those rooms to the front in which something happened, the latest last."""
        for nid in active:
            one = self.candidates.get(nid)
            if one is not None and one.change.membership == "join":
                self.candidates[nid] = Candidate(one.history, one.change, activity.since(nid))
                self.ranked.remove(nid)
                self.ranked.insert(0, nid)
        self.upto = upto

    def chosen(self, filters: Filters, basis: tuple[object, ...], passes: Callable[[Candidate], bool]) -> list[int]:
        """The rooms that a list shows, in order.

        Args:
            filters: which they are.
            basis: what the choice depends on beside memberships: it is made anew once that is another.
            passes: judges a room.
        """
        known = self._chosen.get(filters)
        if known is None or known[0] != basis:
            known = basis, frozenset(nid for nid, one in self.candidates.items() if passes(one))
            if len(self._chosen) >= MOST_FILTERS:
                self._chosen.clear()
            self._chosen[filters] = known
        return [nid for nid in self.ranked if nid in known[1]]


class Orders:
    """Keeps the orders of users.

    Args:
        standings: who is where.
        activity: when something happened in each room.
        store: the events in memory.
        invitations: which invitations somebody wants to see.
    """

    def __init__(self, standings: Standings, activity: Activity, store: EventStore, invitations: InviteRules) -> None:
        self._standings = standings
        self._activity = activity
        self._store = store
        self._invitations = invitations
        self._kept: Lru[str, Order] = Lru(USERS_KEPT)

    def note(self, user_id: str, position: int) -> None:
        """Make a user's order anew when next asked: some of their account data changed, and with it perhaps whose
        invitations they want to see.
        """
        self._kept.drop(user_id)

    def of(self, user_id: str, upto: int, since: int | None, told: Mapping[int, object]) -> Order:
        """The rooms that may be told of.

        Those that the user is in, is invited to, knocks at, or was removed from. One that they left themselves only
        where the connection told of it, and once.

        Args:
            user_id: who asks.
            upto: the published position, up to which memberships count.
            since: the position up to which the client knows them; None for nothing.
            told: the rooms that the connection told of.
        """
        user = self._standings.of(user_id)
        order = self._at(user_id, user, upto)
        if since is None:
            return order
        leaving = {}
        for nid in user.changed_since(since):
            if nid in told and nid not in order.candidates:
                change = user.histories[nid].at(upto)
                if change is not None and change.position > since and change.membership not in STAYING:
                    leaving[nid] = Candidate(user.histories[nid], change, change.position, False)
        return order.with_leaving(leaving) if leaving else order

    def _at(self, user_id: str, user: UserRooms, upto: int) -> Order:
        if user.changed_since(upto):
            # Committed and not published yet: such an order is good for now alone.
            return Order(user, upto, self._candidates(user_id, user, upto))
        order = self._kept.get(user_id)
        if (
            order is not None
            and order.user is user
            and order.forgotten == len(user.forgotten)
            and not user.changed_since(order.upto)
        ):
            active = self._activity.changed_since(order.upto, MOST_ACTIVE)
            if active is not None:
                order.go_on(upto, reversed(active), self._activity)
                return order
        order = Order(user, upto, self._candidates(user_id, user, upto))
        self._kept.put(user_id, order)
        return order

    def _candidates(self, user_id: str, user: UserRooms, upto: int) -> dict[int, Candidate]:
        found: dict[int, Candidate] = {}
        for nid, history in user.histories.items():
            change = history.at(upto)
            if change is None:
                continue
            if change.membership == "join":
                found[nid] = Candidate(history, change, max(self._activity.since(nid), change.position))
            elif change.membership == "invite" and self._invitations.hides_invite(
                user_id, self._store.event(change.event_nid).sender
            ):
                continue
            elif change.membership in STAYING or (
                nid not in user.forgotten and self._was_removed(user_id, history, change)
            ):
                found[nid] = Candidate(history, change, change.position)
        return found

    def _was_removed(self, user_id: str, history: History, change: Change) -> bool:
        """Whether somebody else took the user out of a room that they were in."""
        if not any(one.membership == "join" for one in history.changes):
            return False
        return change.membership == "ban" or self._store.event(change.event_nid).sender != user_id
