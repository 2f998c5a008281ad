"""Knocking: asking those in a room to be let in (client-server API, "Knocking on rooms").

They let the user in with an invitation, or turn them away by removing them; leaving takes a knock back.
"""

from collections.abc import Sequence
from typing import Any

from appliance.errors import forbidden
from appliance.rooms.acts.creation import People
from appliance.rooms.acts.elsewhere import Elsewhere, Nobody
from appliance.rooms.graph.appending import Appender, Draft
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import MEMBER

REFUSALS = {
    "join": "You are in this room already.",
    "invite": "You are invited to this room: join it.",
    "ban": "You are banned from this room.",
}


class Knocking:
    """Knocks.

    Args:
        rooms: the rooms in memory.
        appender: builds the events.
        people: the local users.

    Attributes:
        elsewhere: other servers.
    """

    def __init__(self, rooms: Rooms, appender: Appender, people: People) -> None:
        self._rooms = rooms
        self._appender = appender
        self._people = people
        self.elsewhere: Elsewhere = Nobody()

    async def knock(self, user_id: str, room_id: str, reason: str | None = None, servers: Sequence[str] = ()) -> None:
        """Knock; who knocks already may do so again, with other words.

        Args:
            user_id: the local user.
            room_id: the room.
            reason: what they say.
            servers: other servers that may know the room.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that is not known; ``M_FORBIDDEN`` where the room is not for
                knocking, or the user is in it, invited or banned.
        """
        content: dict[str, Any] = {"membership": "knock", **self._people.member_fields(user_id)}
        if reason is not None:
            content["reason"] = reason
        room = await self._rooms.find(room_id)
        if room is None or not room.is_followed_by(self._appender.server_name):
            await self.elsewhere.knock(user_id, room_id, content, servers)
            return

        def work(draft: Draft) -> None:
            refusal = REFUSALS.get(draft.snapshot.members.of(user_id))
            if refusal is not None:
                raise forbidden(refusal)
            present = draft.state_event(MEMBER, user_id)
            if present is None or present.content != content:
                draft.add(MEMBER, user_id, content, user_id)

        await self._appender.append(room_id, work)
