"""Which threads users follow (MSC4306 "Thread subscriptions", MSC4308 for telling of them)."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from appliance.errors import MatrixError, not_found
from appliance.protocol.relations import THREAD, relation_of
from appliance.rooms.reading.lookup import Reading
from appliance.storage import thread_subscriptions as rows
from appliance.storage.database import Database, Tx
from appliance.storage.lru import Lru
from appliance.storage.thread_subscriptions import Subscription

USERS_KEPT = 1_000
"""Users of whom it is known when their subscriptions last changed, so that most syncs need not ask."""


class Following:
    """Notes which threads users follow.

    Args:
        database: where that is.
        reading: finds events that the user may see.

    Attributes:
        changed: called on the loop after the commit of a change, with the user's id and its position.
    """

    def __init__(self, database: Database, reading: Reading) -> None:
        self._database = database
        self._reading = reading
        self._last: Lru[str, int] = Lru(USERS_KEPT)
        self.changed: list[Callable[[str, int], None]] = []

    async def get(self, user_id: str, room_id: str, root_id: str) -> Subscription:
        """How a user follows a thread; 404 ``M_NOT_FOUND`` where they do not, or may not see it."""
        await self._reading.event(user_id, room_id, root_id)
        found = rows.find(self._database, user_id, room_id, root_id)
        if found is None or not found.subscribed:
            raise not_found("You do not follow this thread.")
        return found

    async def follow(self, user_id: str, room_id: str, root_id: str, cause_id: str | None) -> None:
        """Follow a thread.

        Args:
            user_id: who.
            room_id: the room.
            root_id: the event that the thread begins with.
            cause_id: the event of the thread for which the client does so by itself; None where the user wants it.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for a thread that the user may not see; with a cause, 400
                ``IO.ELEMENT.MSC4306.M_NOT_IN_THREAD``, or 409 ``IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION`` where
                the user ceased to follow it after that event.
        """
        await self._reading.event(user_id, room_id, root_id)
        caused = None if cause_id is None else await self._place_in_thread(user_id, room_id, root_id, cause_id)

        def work(tx: Tx) -> int | None:
            present = rows.find(tx, user_id, room_id, root_id)
            if present is not None and caused is not None and not present.subscribed and caused <= present.position:
                return -1
            if present is not None and present.subscribed and (caused is not None or not present.automatic):
                return None  # what the user chose is not turned into what the client did, nor noted twice
            return rows.put(tx, user_id, room_id, root_id, subscribed=True, automatic=caused is not None)

        if await self._write(user_id, work) == -1:
            raise MatrixError(
                "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
                "You ceased to follow this thread after that event.",
                409,
            )

    async def leave(self, user_id: str, room_id: str, root_id: str) -> None:
        """Follow a thread no more; 404 ``M_NOT_FOUND`` for one that the user may not see."""
        await self._reading.event(user_id, room_id, root_id)

        def work(tx: Tx) -> int | None:
            present = rows.find(tx, user_id, room_id, root_id)
            if present is None or not present.subscribed:
                return None
            return rows.put(tx, user_id, room_id, root_id, subscribed=False, automatic=False)

        await self._write(user_id, work)

    def between(self, user_id: str, after: int, upto: int, limit: int) -> tuple[Sequence[Subscription], int | None]:
        """What changed last in ``after < position <= upto``, the latest first, so many at most.

        Returns:
            the changes, and the position up to which to go on, None where there is no more.
        """
        last = self._last.get(user_id)
        if last is not None and last <= after:
            return (), None
        found = rows.between(self._database, user_id, after, upto, limit + 1)
        if last is None and not found and upto >= self._database.position:
            self._last.put(user_id, after)
        if len(found) <= limit:
            return found, None
        return found[:limit], found[limit].position

    async def _write(self, user_id: str, work: Callable[[Tx], int | None]) -> int | None:
        def published(position: int | None) -> None:
            if position is not None and position > 0:
                self._last.put(user_id, position)
                for callback in self.changed:
                    callback(user_id, position)

        return await self._database.write(work, published=published)

    async def _place_in_thread(self, user_id: str, room_id: str, root_id: str, cause_id: str) -> int:
        """The place in the stream of an event of a thread."""
        refusal = MatrixError("IO.ELEMENT.MSC4306.M_NOT_IN_THREAD", "This event is not in that thread.", 400)
        try:
            cause = await self._reading.event(user_id, room_id, cause_id)
        except MatrixError as error:
            raise refusal from error
        relation = relation_of(orjson.loads(cause.body)["content"])
        if relation is None or (relation.rel_type, relation.parent_id) != (THREAD, root_id) or cause.position is None:
            raise refusal
        return cause.position


def told(subscriptions: Sequence[Subscription]) -> dict[str, Any]:
    """Changes in MSC4308's form, by room and root: ``subscribed`` and ``unsubscribed``; what is empty is left out."""
    found: dict[str, Any] = {}
    for one in subscriptions:
        part = found.setdefault("subscribed" if one.subscribed else "unsubscribed", {})
        stamp: dict[str, Any] = {"bump_stamp": one.position}
        if one.subscribed:
            stamp["automatic"] = one.automatic
        part.setdefault(one.room_id, {})[one.root_id] = stamp
    return found
