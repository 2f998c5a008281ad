"""What the authorisation rules look at: an event, the state that it is judged by, and the levels in that state."""

from collections.abc import Callable
from typing import Final

from appliance.protocol.power import PowerLevels
from appliance.protocol.slim import AnyEvent
from appliance.protocol.versions import RoomVersion

StateLookup = Callable[[str, str], AnyEvent | None]
"""Finds the state event of a type and state key."""


class NotAllowed(Exception):  # noqa: N818 - a verdict, not a mishap
    """An event that the authorisation rules refuse; the sentence says why, in words for a person."""


class Judged:
    """An event before the rules, with the questions that several rules ask.

    Args:
        event: the event to judge.
        state: the state to judge it by.
        create: the room's create event.
    """

    __slots__ = ("_levels", "create", "event", "state", "version")

    def __init__(self, event: AnyEvent, state: StateLookup, create: AnyEvent) -> None:
        self.event: Final = event
        self.state: Final = state
        self.create: Final = create
        self.version: Final[RoomVersion] = event.version
        self._levels: PowerLevels | None = None

    @property
    def levels(self) -> PowerLevels:
        """The levels in the state; looked up when they are first asked for, as most joins do not need them."""
        if self._levels is None:
            self._levels = PowerLevels(self.version, self.state("m.room.power_levels", ""), self.create)
        return self._levels

    @property
    def sender_power(self) -> float:
        """The power of the event's sender."""
        return self.levels.user(self.event.sender)

    def membership(self, user_id: str) -> str:
        """A user's membership in the state; ``leave`` for one who has none."""
        member = self.state("m.room.member", user_id)
        return (member.membership if member is not None else None) or "leave"

    @property
    def join_rule(self) -> str:
        """The room's join rule; ``invite`` where it has none, and an unknown one where that is no text."""
        event = self.state("m.room.join_rules", "")
        rule = event.content.get("join_rule", "invite") if event is not None else "invite"
        return rule if isinstance(rule, str) else ""


def require(allowed: bool, refusal: str) -> None:
    """Go on only if a rule holds.

    Raises:
        NotAllowed: with the refusal, if it does not.
    """
    if not allowed:
        raise NotAllowed(refusal)
