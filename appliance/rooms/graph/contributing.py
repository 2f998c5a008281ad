"""Who has something to store with an event: what contributors are, and how they are asked."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from appliance.rooms.snapshot import Step
from appliance.storage.database import Tx

Statement = Callable[[Tx, int], None]
"""Part of a unit: runs on the writer, is given the event's position."""


class Contributor(Protocol):
    """Somebody who has rows of their own to store with an event."""

    def prepare(self, step: Step) -> Statement | None:
        """What to store in the event's unit; called on the loop, under the room's lock, before the commit."""
        ...

    def published(self, step: Step, position: int) -> None:
        """Told after the commit, in the order of positions; must not fail and must not wait."""
        ...


@runtime_checkable
class PastContributor(Protocol):
    """A contributor that has something to store with events of the past as well, which were fetched from elsewhere.

    They are never live: nobody is told of them, nothing of what the room is now changes (before and after are the room
    as it is), and their positions are below zero.
    """

    def prepare_past(self, step: Step) -> Statement | None:
        """What to store in the event's unit, behind all events of that unit; as ``Contributor.prepare``."""
        ...

    def published_past(self, step: Step, position: int) -> None:
        """Told after the commit; as ``Contributor.published``."""
        ...
