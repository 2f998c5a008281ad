"""The end of invitations to rooms that nobody here is in, as the server that brought them tells it."""

from typing import Any

from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.identifiers import is_user_id, server_of
from appliance.protocol.versions import VERSIONS
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Signatures
from appliance.rooms.outside import OutsideMemberships
from appliance.rooms.snapshot import MEMBER


class Retracting:
    """Takes them in.

    Args:
        outside: how users stand to rooms that nobody here is in.
        signatures: checks who signed.
        identity: which server this is.
    """

    def __init__(self, outside: OutsideMemberships, signatures: Signatures, identity: Identity) -> None:
        self._outside = outside
        self._signatures = signatures
        self._identity = identity

    async def take(self, origin: str, room_id: str, pdu: dict[str, Any]) -> str | None:
        """Take in that an invitation, or a knock, of a local user came to its end.

        Nothing of the room's state is known here, so that only the server that brought the invitation is believed, or,
        after a knock, one that names it.

        Args:
            origin: the server that sent the event.
            room_id: the room.
            pdu: the event, whatever it is.

        Returns:
            its id, where it was taken.
        """
        user_id = pdu.get("state_key")
        if pdu.get("type") != MEMBER or not isinstance(user_id, str) or not is_user_id(user_id):
            return None
        if server_of(user_id) != self._identity.server_name:
            return None
        present = self._outside.find(room_id, user_id)
        if present is None or present.membership not in ("invite", "knock"):
            return None
        before = self._outside.event(present)
        try:
            event = Event.from_pdu(VERSIONS[present.version], pdu)
        except InvalidEvent:
            return None
        if event.room_id != room_id or event.membership not in ("leave", "ban"):
            return None
        named = present.event_id in event.auth_events
        by_inviter = present.membership == "invite" and event.sender == before.sender
        if not named or not (by_inviter or present.membership == "knock") or server_of(event.sender) != origin:
            return None
        if not await self._signatures.are_good(event):
            return None
        await self._outside.put(event if event.has_valid_content_hash else event.redacted())
        return event.event_id
