"""Who is typing (client-server API, module "Typing notifications"): in memory alone, for half a minute at most.

Every change of a room's list gets the next number of a serial (``serial.py``).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from appliance.rooms.graph.appending import Statement
from appliance.rooms.room import Room, Rooms
from appliance.rooms.signs.serial import Serial
from appliance.rooms.snapshot import Step

LONGEST_MS = 30_000
"""How long somebody types without their client saying so again; what clients ask for beyond that is cut."""
LONGEST_AWAY_MS = 60_000
"""The same for users of other servers, which say so again after forty seconds."""

_ASIDE = frozenset({"m.reaction", "m.room.redaction"})
"""What people send in the middle of typing something else."""


class _Typists:
    """Who is typing in one room, with the timers that end it, and the serial of the last change."""

    __slots__ = ("serial", "timers")

    def __init__(self) -> None:
        self.serial = 0
        self.timers: dict[str, asyncio.TimerHandle] = {}


class Typing:
    """Keeps who is typing; told of events as a contributor, since whoever has sent or left types no more.

    Args:
        rooms: the rooms in memory.
        serial: numbers the changes.

    Attributes:
        changed: called with the room after a change that is not part of a commit.
        said: called with room id, user and whether they type, each time that this begins, goes on or ends.
    """

    def __init__(self, rooms: Rooms, serial: Serial) -> None:
        self._known = rooms
        self._serial = serial
        self.changed: list[Callable[[Room], None]] = []
        self.said: list[Callable[[str, str, bool], None]] = []
        self._rooms: OrderedDict[str, _Typists] = OrderedDict()
        """By room id, the one that changed last at the end."""

    @property
    def boot(self) -> int:
        """The number of this run of the server."""
        return self._serial.boot

    @property
    def serial(self) -> int:
        """The number of the last change in memory."""
        return self._serial.value

    async def say(self, user_id: str, room_id: str, timeout_ms: int | None) -> None:
        """Note that a local user types in a room.

        Args:
            user_id: the user.
            room_id: the room.
            timeout_ms: for how long; None where they type no more.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who is not in the room.
        """
        room = await self._known.joined(room_id, user_id)
        if timeout_ms is None:
            self.stop(room, user_id)
        else:
            self.start(room, user_id, min(timeout_ms, LONGEST_MS))

    def take(self, user_id: str, room: Room, typing: bool) -> None:
        """Note what another server says of a user of its own, who must be in the room."""
        if typing and room.published.members.of(user_id) == "join":
            self.start(room, user_id, LONGEST_AWAY_MS)
        else:
            self.stop(room, user_id)

    def start(self, room: Room, user_id: str, timeout_ms: int) -> None:
        """Somebody types for so many milliseconds; going on to type is no change."""
        typists = self._rooms.setdefault(room.room_id, _Typists())
        timer = typists.timers.get(user_id)
        if timer is not None:
            timer.cancel()
        seconds = max(0, timeout_ms) / 1000
        typists.timers[user_id] = asyncio.get_running_loop().call_later(seconds, self.stop, room, user_id)
        self._say(room.room_id, user_id, True)
        if timer is None:
            self._number(room.room_id)
            self._tell(room)

    def stop(self, room: Room, user_id: str) -> None:
        """Somebody types no more."""
        if self._remove(room.room_id, user_id):
            self._tell(room)

    def now(self) -> dict[str, list[str]]:
        """The users who are typing, by room; without rooms where nobody is."""
        return {room_id: list(one.timers) for room_id, one in self._rooms.items() if one.timers}

    def since(self, boot: int, serial: int) -> dict[str, list[str]]:
        """The users who are typing, by room, in the rooms where that changed; of another run, as ``now``."""
        if boot != self._serial.boot:
            return self.now()
        found: dict[str, list[str]] = {}
        for room_id, typists in reversed(self._rooms.items()):
            if typists.serial <= serial:
                break
            found[room_id] = list(typists.timers)
        return found

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Whoever has sent what they typed, or is no more in the room, types no more."""
        typists = self._rooms.get(step.room_id)
        if typists is None or not typists.timers:
            return
        if not step.event.is_state and step.event.type not in _ASIDE:
            self._remove(step.room_id, step.event.sender)
        for user_id in step.members_changed:
            if step.after.members.of(user_id) != "join":
                self._remove(step.room_id, user_id)

    def _remove(self, room_id: str, user_id: str) -> bool:
        typists = self._rooms.get(room_id)
        timer = typists.timers.pop(user_id, None) if typists else None
        if timer is None:
            return False
        timer.cancel()
        self._say(room_id, user_id, False)
        self._number(room_id)
        return True

    def _say(self, room_id: str, user_id: str, typing: bool) -> None:
        for callback in self.said:
            callback(room_id, user_id, typing)

    def _number(self, room_id: str) -> None:
        self._rooms[room_id].serial = self._serial.next()
        self._rooms.move_to_end(room_id)

    def _tell(self, room: Room) -> None:
        # The room may have been read anew since somebody began to type.
        room = self._known.loaded(room.room_id) or room
        for callback in self.changed:
            callback(room)
