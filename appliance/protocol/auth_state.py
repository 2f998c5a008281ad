"""What the authorisation rules look at: an event, the state that it is judged by, and the levels in that state."""

from collections.abc import Callable
from typing import Final

from appliance.protocol.events import Event
from appliance.protocol.power import PowerLevels

StateLookup = Callable[[str, str], Event | None]
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

    __slots__ = ("create", "event", "levels", "sender_power", "state", "version")

    def __init__(self, event: Event, state: StateLookup, create: Event) -> None:
        self.event: Final = event
        self.state: Final = state
        self.create: Final = create
        self.version: Final = event.version
        self.levels: Final = PowerLevels(event.version, state("m.room.power_levels", ""), create)
        self.sender_power: Final = self.levels.user(event.sender)

    def membership(self, user_id: str) -> str:
        """A user's membership in the state; ``leave`` for one who has none."""
        member = self.state("m.room.member", user_id)
        return (member.membership if member is not None else None) or "leave"

    @property
    def join_rule(self) -> str:
        """The room's join rule; ``invite`` where it has none."""
        event = self.state("m.room.join_rules", "")
        rule = event.content.get("join_rule") if event is not None else None
        return rule if isinstance(rule, str) else "invite"


def require(allowed: bool, refusal: str) -> None:
    """Go on only if a rule holds.

    Raises:
        NotAllowed: with the refusal, if it does not.
    """
    if not allowed:
        raise NotAllowed(refusal)
