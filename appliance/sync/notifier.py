"""Who waits for what: wakes the waiting syncs of those whom a commit concerns, and of nobody else."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from appliance.rooms.graph.appending import Statement
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Step
from appliance.storage.receipts import PRIVATE, Receipt

ANSWERS_FIRST = 0.003
"""Seconds between publishing and waking: many times what an answer that is ready needs to be sent."""


class Company(Protocol):
    """Who is in which room."""

    def rooms_of(self, user_id: str) -> AbstractSet[int]:
        """The numbers of the rooms that a user is in."""
        ...


class Notifier:
    """Keeps the waiting users; told of events as a contributor, of other changes by ``concern``.

    Whom a commit concerns is gathered while it is published and woken afterwards, once the senders have their answers.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._concerned: set[str] = set()
        self._watching: Counter[tuple[int, str]] = Counter()
        self.wakes = 0
        """How many waits have been ended by a change, for tests and metrics."""

    def wait(self, user_id: str) -> "asyncio.Future[None]":
        """A future that ends with the next change for a user. Give it back with ``leave``."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, set()).add(future)
        return future

    def leave(self, user_id: str, future: "asyncio.Future[None]") -> None:
        """Wait no longer."""
        waiting = self._waiting.get(user_id)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[user_id]

    def watch(self, room_nid: int, user_id: str) -> tuple[int, str]:
        """Let events of a room concern somebody who may not be in it. Give what is returned to ``unwatch``."""
        self._watching[room_nid, user_id] += 1
        return room_nid, user_id

    def unwatch(self, watched: tuple[int, str]) -> None:
        """They look at the room no longer."""
        self._watching[watched] -= 1
        if self._watching[watched] <= 0:
            del self._watching[watched]

    def concern(self, user_id: str) -> None:
        """Note that what is being published concerns a user."""
        if user_id in self._waiting:
            self._concerned.add(user_id)

    def concern_all(self, user_ids: Iterable[str]) -> None:
        """The same for several."""
        if self._waiting:
            self._concerned.update(user_id for user_id in user_ids if user_id in self._waiting)

    def is_concerned(self, user_id: str) -> bool:
        """Whether something happened for a user who waits, who will be woken in a moment."""
        return user_id in self._concerned

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Note the members of the room, and whoever's membership it is."""
        if not self._waiting:
            return
        self._concern_members(step.after.members.memberships)
        self._concerned.update(user for user in step.members_changed if user in self._waiting)
        if self._watching:
            self._concerned.update(user for room_nid, user in self._watching if room_nid == step.room_nid)

    def receipt(self, receipt: Receipt, room: Room, position: int) -> None:
        """Note whom a receipt that is being published concerns."""
        if receipt.type == PRIVATE:
            self.concern(receipt.user_id)
        else:
            self._concern_members(room.published.members.memberships)

    def typing(self, room: Room) -> None:
        """Wake the members of a room in which somebody began or ceased to type."""
        self._concern_members(room.published.members.memberships)
        if self._concerned:
            asyncio.get_running_loop().call_soon(self.wake, 0)

    def presence(self, user_ids: Collection[str], rooms: AbstractSet[int], company: Company) -> None:
        """Wake those who are in one of some rooms, whose members' presence changed.

        Args:
            user_ids: who changed.
            rooms: the numbers of the rooms that these are in.
            company: who is in which room.
        """
        for user_id in list(self._waiting):
            if user_id in user_ids or not company.rooms_of(user_id).isdisjoint(rooms):
                self._wake(user_id)

    def devices(self, user_id: str, company: Company) -> None:
        """Note whom it concerns that a user's list of devices changes, which is being published: who shares a room."""
        if not self._waiting:
            return
        rooms = company.rooms_of(user_id)
        for other in self._waiting:
            if other == user_id or not company.rooms_of(other).isdisjoint(rooms):
                self._concerned.add(other)

    def _concern_members(self, memberships: Mapping[str, str]) -> None:
        if len(self._waiting) < len(memberships):
            self._concerned.update(user for user in self._waiting if memberships.get(user) == "join")
        else:
            self._concerned.update(
                user for user, membership in memberships.items() if membership == "join" and user in self._waiting
            )

    def wake_soon(self, position: int) -> None:
        """Wake whoever was noted, after a moment in which those who sent get their answers.

        A client whose own event comes by sync before the answer to its sending has two events for one: some stumble
        over that (matrix-js-sdk in threads), and none expects it. So answers go first.
        """
        if self._concerned:
            asyncio.get_running_loop().call_later(ANSWERS_FIRST, self.wake, position)

    def wake(self, position: int) -> None:
        """Wake whoever was noted, now."""
        concerned, self._concerned = self._concerned, set()
        for user_id in concerned:
            self._wake(user_id)

    def wake_all(self) -> None:
        """Wake everybody: the server stops."""
        for user_id in list(self._waiting):
            self._wake(user_id)

    def _wake(self, user_id: str) -> None:
        for future in self._waiting.pop(user_id, ()):
            if not future.done():
                future.set_result(None)
                self.wakes += 1
