"""Cases for the rules about memberships, each of which is tried in every room version."""

from collections.abc import Callable
from typing import Any

import pytest

from appliance.protocol.events import Event
from tests.protocol.room import ALICE, Room, versions

Arrange = Callable[[Room], Event]

ALL = versions(1)
NONE: list[str] = []


class Cases:
    """A list of cases that a module gathers and then tries."""

    def __init__(self) -> None:
        self.gathered: list[tuple[Arrange, list[str]]] = []

    def __call__(self, allowed: list[str]) -> Callable[[Arrange], Arrange]:
        """Register a case: a room is arranged, an event comes back, and the named versions allow it."""

        def register(arrange: Arrange) -> Arrange:
            self.gathered.append((arrange, allowed))
            return arrange

        return register

    def tried(self) -> pytest.MarkDecorator:
        """The parameters ``arrange`` and ``allowed`` of a test."""
        names = [arrange.__name__ for arrange, _ in self.gathered]
        return pytest.mark.parametrize(("arrange", "allowed"), self.gathered, ids=names)


def judge(version: str, arrange: Arrange, allowed: list[str]) -> None:
    """Try one case in one version."""
    room = Room(version)
    refusal = room.refusal(arrange(room))
    if version in allowed:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.endswith(".")


def membership(room: Room, user_id: str, value: Any, sender: str | None = None, **more: Any) -> Event:
    """A membership event that is not in the room yet."""
    return room.make("m.room.member", sender or user_id, {"membership": value, **more}, user_id)


def powers(room: Room, users: dict[str, int], **more: Any) -> None:
    """Set power levels; Alice has 100 where she may be named."""
    own = {} if room.version.creators_above_all else {ALICE: 100}
    room.set("m.room.power_levels", {"users": {**own, **users}, **more})
