"""One user's presence: what their devices say, and what follows from that (module "Presence").

A user is online while a device is and did something lately, unavailable (idle) while a device is there and did
nothing, and offline otherwise. A device is there while it syncs and for half a minute after; between two changes of the
state there is nothing to tell: whoever is online counts as active.
"""

from asyncio import TimerHandle
from typing import Any, Literal

State = Literal["online", "unavailable", "offline"]

IDLE_MS = 5 * 60 * 1000
"""After so long without having done anything, somebody who is online is idle."""
GRACE_MS = 30 * 1000
"""So long a device counts as being there after its last sync."""
REMOTE_MS = 30 * 60 * 1000
"""So long what another server said of its user holds; servers say it again before."""
REFRESH_MS = 25 * 60 * 1000
"""So often other servers are told again of somebody who is still there."""


class _Device:
    """What one device says: what it wants its user to be, the syncs in flight, and until when it counts as there."""

    __slots__ = ("syncing", "until", "wants")

    def __init__(self, wants: State) -> None:
        self.wants = wants
        self.syncing = 0
        self.until = 0


class Person:
    """One user's presence, of this server or of another.

    Attributes:
        state: what others are told.
        status: the user's message, or "".
        last_active: when they last did something; None where that is not known. Milliseconds since 1970.
        serial: the number of the last change.
        told: when other servers were last told.
        timer: looks again when the state may change by itself.
        looks: when it does.
        until: of another server's user: when what is known ends. None for our own.
    """

    __slots__ = ("_devices", "last_active", "looks", "serial", "state", "status", "timer", "told", "until")

    def __init__(self) -> None:
        self.state: State = "offline"
        self.status = ""
        self.last_active: int | None = None
        self.serial = 0
        self.told = 0
        self.timer: TimerHandle | None = None
        self.looks = 0
        self.until: int | None = None
        self._devices: dict[str, _Device] = {}

    def says(self, device_id: str, wants: State, now: int) -> None:
        """A device says what its user is, by a sync or outright."""
        if wants == "offline":
            self._devices.pop(device_id, None)
            return
        device = self._devices.get(device_id)
        if wants == "online" and (device is None or device.wants != "online"):
            self.last_active = now
        if device is None:
            device = self._devices[device_id] = _Device(wants)
        device.wants = wants
        device.until = now + GRACE_MS

    def sync_begins(self, device_id: str) -> None:
        """A device that has said something waits for news from now on."""
        device = self._devices.get(device_id)
        if device is not None:
            device.syncing += 1

    def sync_ends(self, device_id: str, now: int) -> None:
        """It waits no longer."""
        device = self._devices.get(device_id)
        if device is not None:
            device.syncing = max(0, device.syncing - 1)
            device.until = now + GRACE_MS

    def acts(self, now: int) -> None:
        """The user did something, so that no device of theirs is idle."""
        self.last_active = now
        for device in self._devices.values():
            device.wants = "online"

    def loses(self, device_id: str) -> None:
        """A device is gone."""
        self._devices.pop(device_id, None)

    def look(self, now: int) -> State:
        """What the state is now."""
        if self.until is not None:
            return self.state if now < self.until else "offline"
        state: State = "offline"
        recent = self.last_active is not None and now - self.last_active < IDLE_MS
        gone: list[str] = []
        for device_id, device in self._devices.items():
            if not device.syncing and device.until <= now:
                gone.append(device_id)
            elif recent and device.wants == "online":
                state = "online"
            elif state == "offline":
                state = "unavailable"
        for device_id in gone:
            del self._devices[device_id]
        return state

    def next_look(self, now: int) -> int | None:
        """When the state may be another, or others have to be told again; None for never."""
        if self.state == "offline":
            return None
        if self.until is not None:
            return self.until
        moment = self.told + REFRESH_MS
        if self.state == "online" and self.last_active is not None:
            moment = min(moment, self.last_active + IDLE_MS)
        for device in self._devices.values():
            if not device.syncing and device.until < moment:
                moment = device.until
        return max(now, moment)

    def content(self, now: int) -> dict[str, Any]:
        """The content of an ``m.presence`` event."""
        told: dict[str, Any] = {"presence": self.state}
        if self.last_active is not None:
            told["last_active_ago"] = max(0, now - self.last_active)
        if self.state == "online":
            told["currently_active"] = True
        if self.status:
            told["status_msg"] = self.status
        return told
