"""Keeping the ends of a room's graph few, whoever forks it.

The next event of our own stands on all ends, and can stand on 20. Where nobody here says anything, somebody here is
made to: an event without a content, of a type that other servers use for the same and no client shows, brings the ends
together. That is done so often only that a flood of forks does not make us flood others. Beyond, the latest end of each
server is kept first, so that whoever forks too much forgets their own forks and not what others sent: what is no end is
not built upon by us, and counts again as soon as somebody else builds upon it.
"""

import time
from collections.abc import Callable, Sequence

from appliance.errors import MatrixError
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Appender, Draft
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MAX_PARENTS, Extremity
from appliance.storage.lru import Lru

DUMMY = "org.matrix.dummy_event"
AT_ONCE, SECONDS = 10, 60
"""How often ends are brought together in one room: so many times at once, and one more for each so many seconds."""


class Merging:
    """Brings ends together.

    Args:
        appender: makes the event.
        clock: seconds, from any beginning.
    """

    def __init__(self, appender: Appender, clock: Callable[[], float] = time.monotonic) -> None:
        self._appender = appender
        self._clock = clock
        self._spent: Lru[int, list[float]] = Lru(500)

    def look(self, room: Room) -> None:
        """Bring the ends of a room together where there are too many; with its lock held."""
        if len(room.head.extremities) < MAX_PARENTS or not self._may_again(room.nid):
            return
        sender = self._speaker(room)
        if sender is None:
            return
        draft = Draft(room, self._appender)
        try:
            draft.add(DUMMY, sender, {})
        except MatrixError:
            return
        self._appender.commit(draft)

    def _speaker(self, room: Room) -> str | None:
        """Somebody of this server who may say something in a room."""
        power = room.power(room.head)
        here = self._appender.server_name
        for user_id in room.head.members.having("join"):
            if server_of(user_id) == here and power.user(user_id) >= power.event(DUMMY, False):
                return user_id
        return None

    def _may_again(self, room_nid: int) -> bool:
        """Whether it was not done too often."""
        now = self._clock()
        spent = [when for when in self._spent.get(room_nid) or [] if now - when < AT_ONCE * SECONDS]
        if len(spent) >= AT_ONCE:
            return False
        self._spent.put(room_nid, [*spent, now])
        return True


def surplus(end: Extremity, others: Sequence[Extremity], sender_of: Callable[[int], str]) -> set[int]:
    """The numbers of the ends that are kept no longer beside a new one, where there are too many.

    Of each server's the latest is kept first, then the next, as long as there is room.

    Args:
        end: the new one, which is kept.
        others: the others.
        sender_of: who sent the event of a number.
    """
    if len(others) < MAX_PARENTS:
        return set()
    places = {server_of(sender_of(end.nid)): 1}
    ranked: list[tuple[int, int]] = []
    for nid in sorted((one.nid for one in others), reverse=True):
        server = server_of(sender_of(nid))
        places[server] = places.get(server, 0) + 1
        ranked.append((places[server], -nid))
    return {-nid for _, nid in sorted(ranked)[MAX_PARENTS - 1 :]}
