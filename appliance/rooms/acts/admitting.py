"""Who is let into restricted rooms, and who of this server vouches for them (client-server API, "Restricted rooms")."""

from typing import Any

from appliance.errors import MatrixError, forbidden
from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.rooms.acts.creation import People
from appliance.rooms.graph.appending import Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import Snapshot
from appliance.rooms.standings import Standings


class Admitting:
    """Looks whether a user may come in by a condition of a room, and finds who vouches for it.

    Args:
        rooms: the rooms in memory.
        standings: who is where.
        identity: which server this is.
        people: the local users.
    """

    def __init__(self, rooms: Rooms, standings: Standings, identity: Identity, people: People) -> None:
        self._rooms = rooms
        self._standings = standings
        self._identity = identity
        self._people = people

    async def authoriser(self, room: Room, snapshot: Snapshot, user_id: str) -> str | None:
        """Who of this server vouches for a join; None where nobody needs to.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who meets none of the conditions; ``M_UNABLE_TO_AUTHORISE_JOIN``
                where this server cannot tell; ``M_UNABLE_TO_GRANT_JOIN`` where nobody here may invite.
        """
        rules = room.state_event(snapshot, "m.room.join_rules")
        rule = rules.content.get("join_rule") if rules else "invite"
        restricted = (room.version.restricted and rule == "restricted") or (
            room.version.knock_restricted and rule == "knock_restricted"
        )
        if not restricted or rules is None or snapshot.members.of(user_id) in ("invite", "join"):
            return None
        await self._check(rules, user_id)
        power = room.power(snapshot)
        for member in snapshot.members.having("join"):
            if self._people.exists(member) and power.user(member) >= power.invite:
                return member
        raise MatrixError("M_UNABLE_TO_GRANT_JOIN", "Nobody on this server may let you into this room.", 400)

    async def _check(self, rules: Event, user_id: str) -> None:
        """Refuse somebody who meets none of the conditions, as far as this server can tell."""
        unknown = False
        for room_id in allowed_rooms(rules.content):
            room = await self._rooms.find(room_id)
            if room is not None and room.is_followed_by(self._identity.server_name):
                if room.published.members.of(user_id) == "join":
                    return
            elif server_of(user_id) != self._identity.server_name:
                unknown = True
        if unknown:
            raise MatrixError(
                "M_UNABLE_TO_AUTHORISE_JOIN", "This server is not in all the rooms whose members may join.", 400
            )
        raise forbidden("You are in none of the rooms whose members may join this one.")


def allowed_rooms(rules: dict[str, Any]) -> list[str]:
    """The ids of the rooms whose members may come in, by the content of a room's join rules; a few hundred at most."""
    allow = rules.get("allow")
    found = [
        entry.get("room_id")
        for entry in (allow if isinstance(allow, list) else ())
        if isinstance(entry, dict) and entry.get("type") == "m.room_membership"
    ]
    return [room_id for room_id in found if isinstance(room_id, str)][:200]
