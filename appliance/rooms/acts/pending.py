"""Events that are to be sent later, in memory: by name, by room, and in the order in which they are due."""

import heapq
from collections.abc import Iterable

from appliance.storage.delayed_events import DelayedEvent


class Pending:
    """Keeps them. One that begins anew is put again; what stands in the order of before is passed over."""

    def __init__(self) -> None:
        self._events: dict[str, DelayedEvent] = {}
        self._by_room: dict[str, dict[str, DelayedEvent]] = {}
        self._due: list[tuple[int, str]] = []

    def __contains__(self, delay_id: str) -> bool:
        return delay_id in self._events

    def __getitem__(self, delay_id: str) -> DelayedEvent:
        return self._events[delay_id]

    def get(self, delay_id: str) -> DelayedEvent | None:
        """One of them, None where there is none of that name."""
        return self._events.get(delay_id)

    def of_user(self, user_id: str) -> list[DelayedEvent]:
        """A user's, the next one first."""
        own = [event for event in self._events.values() if event.user_id == user_id]
        return sorted(own, key=lambda event: (event.send_ts, event.delay_id))

    def of_room(self, room_id: str) -> Iterable[DelayedEvent]:
        """A room's."""
        return self._by_room.get(room_id, {}).values()

    def put(self, event: DelayedEvent) -> None:
        """Keep one."""
        self._events[event.delay_id] = event
        self._by_room.setdefault(event.room_id, {})[event.delay_id] = event
        heapq.heappush(self._due, (event.send_ts, event.delay_id))

    def drop(self, delay_id: str) -> None:
        """Forget one, if it is there."""
        event = self._events.pop(delay_id, None)
        if event is not None:
            of_room = self._by_room[event.room_id]
            del of_room[delay_id]
            if not of_room:
                del self._by_room[event.room_id]

    def next_ts(self) -> int | None:
        """When the next one is due; None where there is none."""
        while self._due:
            send_ts, delay_id = self._due[0]
            event = self._events.get(delay_id)
            if event is not None and event.send_ts == send_ts:
                return send_ts
            heapq.heappop(self._due)
        return None

    def take(self, now_ms: int) -> DelayedEvent | None:
        """The next one that is due by a moment, which is kept and not given again until it is put again."""
        send_ts = self.next_ts()
        if send_ts is None or send_ts > now_ms:
            return None
        return self._events[heapq.heappop(self._due)[1]]
