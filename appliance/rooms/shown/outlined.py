"""The part of a room's state by which those outside recognise it: whoever is invited, and whoever knocks."""

from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER, Snapshot
from appliance.storage.state import Slot

TYPES = (
    "m.room.create",
    "m.room.join_rules",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.encryption",
)


def outline(room: Room, snapshot: Snapshot, inviter: str | None = None) -> list[Event]:
    """The events of that part.

    Args:
        room: the room.
        snapshot: the room as it is.
        inviter: whose membership is shown, too.
    """
    slots: list[Slot] = [(event_type, "") for event_type in TYPES]
    if inviter is not None:
        slots.append((MEMBER, inviter))
    return [room.store.event(snapshot.state[slot]) for slot in slots if slot in snapshot.state]
