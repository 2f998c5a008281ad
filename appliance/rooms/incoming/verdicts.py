"""What may become of an event that was made elsewhere, who checks signatures, and which of several events is first."""

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from appliance.protocol.events import Event, InvalidEvent
from appliance.rooms.incoming.naming import Unacceptable


class Verdict(enum.Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """It was here already; nothing changed."""
    REJECTED = "rejected"
    SOFT_FAILED = "soft failed"
    WAITING = "waiting"
    """It waits for events that it names, or for the keys of those who signed it."""


class Signatures(Protocol):
    """Checks signatures; federation knows the keys."""

    async def are_good(self, event: Event) -> bool:
        """Whether every server that must have signed an event did so with a key that was valid then."""
        ...

    def lacking(self, event: Event) -> str:
        """The server without whose keys it cannot be said for now whether an event that is not good is bad; "" where
        it is known to be bad.
        """
        ...


class ManySignatures(Signatures, Protocol):
    """Checks many signatures together: keys are asked for once, and the sums are done off the loop."""

    async def good_among(self, events: Sequence[Event]) -> Collection[str]:
        """The ids of those of the events of which ``are_good`` would say so."""
        ...


class NeedsKeys(Unacceptable):
    """An event of which it cannot be said for now whether it is signed.

    Args:
        event: the event as it was received.
        server: whose keys are lacking.
    """

    def __init__(self, event: Event, server: str) -> None:
        super().__init__(f"The event cannot be checked, since the keys of {server} cannot be had at the moment.")
        self.event = event
        self.server = server


Outcome = Verdict | InvalidEvent | Unacceptable
"""A verdict, or why an event was refused without one."""


def vouchers_first(events: Mapping[str, Event]) -> list[Event]:
    """Events in an order in which those that they name as allowing them come first; of a circle, none comes."""
    lacks = {event_id: sum(one in events for one in set(event.auth_events)) for event_id, event in events.items()}
    names: dict[str, list[str]] = {}
    for event_id, event in events.items():
        for other in set(event.auth_events):
            names.setdefault(other, []).append(event_id)
    ready = [event_id for event_id, lack in lacks.items() if not lack]
    for event_id in ready:  # grows while it is walked
        for other in names.get(event_id, ()):
            lacks[other] -= 1
            if not lacks[other]:
                ready.append(other)
    return [events[event_id] for event_id in ready]
