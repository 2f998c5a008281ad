"""Rooms of other servers as they look from outside, for spaces and summaries."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from appliance.rooms.standings import Standings
from appliance.storage.database import Database


class Neighbour(Struct, frozen=True):
    """A room of other servers.

    Args:
        summary: what it shows of itself (definitions/room_summary.yaml).
        children_state: the rooms in it, as stripped events; None where that is not known.
    """

    summary: Mapping[str, Any]
    children_state: Sequence[dict[str, Any]] | None


class Neighbours(Protocol):
    """Knows rooms of other servers; federation does."""

    async def look(self, room_id: str, servers: Sequence[str]) -> Neighbour | None:
        """What other servers show of a room, None where none of them shows anything; within some seconds."""
        ...


class NoNeighbours:
    """No other server at all."""

    async def look(self, room_id: str, servers: Sequence[str]) -> Neighbour | None:
        """Nothing."""
        return None


class OutlookElsewhere:
    """Says of which rooms of other servers somebody may be told, as those do for their own users.

    Args:
        database: where the position of the stream is known.
        standings: who is where.
    """

    def __init__(self, database: Database, standings: Standings) -> None:
        self._database = database
        self._standings = standings

    def membership(self, user_id: str, room_id: str) -> str:
        """How a user stands to a room; ``leave`` where they never had to do with it."""
        history = self._standings.of(user_id).by_id(room_id) if user_id else None
        return "leave" if history is None else history.membership_at(self._database.position)

    def allows(self, user_id: str, summary: Mapping[str, Any]) -> bool:
        """Whether somebody may be told of a room, by what it shows of itself."""
        membership = self.membership(user_id, str(summary.get("room_id")))
        if summary.get("world_readable") is True or membership in ("join", "invite"):
            return True
        if membership == "ban":
            return False
        rule = summary.get("join_rule", "public")
        if rule in ("public", "knock", "knock_restricted"):
            return True
        allowed = summary.get("allowed_room_ids")
        if rule != "restricted" or not user_id or not isinstance(allowed, list):
            return False
        joined = {history.room_id for history in self._standings.of(user_id).joined.values()}
        return any(isinstance(one, str) and one in joined for one in allowed)
