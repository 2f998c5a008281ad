"""Invitations that other servers bring to our users (server-server API, "Inviting to a room")."""

from collections.abc import Sequence
from typing import Any, Protocol

from appliance.errors import MatrixError, forbidden, invalid_param, not_found
from appliance.federation.access import RoomAccess
from appliance.protocol.client_form import stripped
from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.identifiers import is_room_id, is_user_id, server_of
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.rooms.acts.creation import People
from appliance.rooms.graph.appending import Identity
from appliance.rooms.incoming.accepting import Signatures
from appliance.rooms.outside import MOST_SHOWN, OutsideMemberships
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import MEMBER

MOST_SHOWN_BYTES = 65_536
"""Of what one event that a room shows of itself may have."""


class Blocking(Protocol):
    """Knows whose invitations a user does not want."""

    def blocks_invite(self, user_id: str, sender: str) -> bool:
        """Whether a local user does not want to be invited by somebody."""
        ...


class Invitations:
    """Takes invitations.

    Args:
        rooms: the rooms in memory.
        access: which servers may ask.
        outside: how users stand to rooms that nobody here is in.
        signatures: checks who signed.
        identity: as whom this server signs.
        people: the local users.
        blocking: whose invitations they do not want.
    """

    def __init__(
        self,
        rooms: Rooms,
        access: RoomAccess,
        outside: OutsideMemberships,
        signatures: Signatures,
        identity: Identity,
        people: People,
        blocking: Blocking,
    ) -> None:
        self._rooms = rooms
        self._access = access
        self._outside = outside
        self._signatures = signatures
        self._identity = identity
        self._people = people
        self._blocking = blocking

    async def take(
        self, server: str, room_id: str, event_id: str, version: str, pdu: object, shown: object
    ) -> dict[str, Any]:
        """Take an invitation for a local user, and sign it.

        Args:
            server: who brings it.
            room_id: the room.
            event_id: the invitation.
            version: the identifier of the room's version.
            pdu: the invitation.
            shown: what the room shows of itself.

        Returns:
            the invitation with this server's signature.

        Raises:
            MatrixError: ``M_INCOMPATIBLE_ROOM_VERSION``, ``M_INVALID_PARAM``, ``M_NOT_FOUND`` for an unknown user,
                ``M_FORBIDDEN``, ``M_INVITE_BLOCKED``.
        """
        known = VERSIONS.get(version)
        if known is None:
            raise MatrixError(
                "M_INCOMPATIBLE_ROOM_VERSION", f"Hearth knows no room version {version}.", 400, room_version=version
            )
        event = await self._checked(server, room_id, event_id, known, pdu)
        visible = await self._shown(event, shown)
        user_id = event.state_key or ""
        room = await self._rooms.find(room_id)
        followed = room is not None and self._access.is_in(room, self._identity.server_name)
        if room is not None and followed and not self._access.is_allowed(room, server):
            raise forbidden("This room's access control list keeps your server out.")
        if not self._people.exists(user_id):
            raise not_found(f"There is no user {user_id} here.")
        if self._blocking.blocks_invite(user_id, event.sender):
            raise MatrixError("M_INVITE_BLOCKED", f"{user_id} does not take invitations from you.", 403)
        signed = event.with_signature(self._identity.server_name, self._identity.key)
        # Of a room that is followed here it comes like all other events, too.
        if not followed:
            present = self._outside.find(room_id, user_id)
            if present is None or present.event_id != event.event_id:
                await self._outside.put(signed, visible, server)
        return signed.pdu

    async def _checked(self, server: str, room_id: str, event_id: str, version: RoomVersion, pdu: object) -> Event:
        try:
            event = Event.from_pdu(version, pdu)
        except InvalidEvent as problem:
            raise invalid_param(str(problem)) from problem
        if not is_room_id(room_id) or event.room_id != room_id or event.event_id != event_id:
            raise invalid_param("The event is another one than the path names.")
        if event.type != MEMBER or event.membership != "invite":
            raise invalid_param("The event is not an invitation.")
        if server_of(event.sender) != server:
            raise invalid_param("The invitation is not by a user of the server that brings it.")
        key = event.state_key
        if key is None or not is_user_id(key) or server_of(key) != self._identity.server_name:
            raise invalid_param("The invitation is not for a user of this server.")
        if not event.has_valid_content_hash or not await self._signatures.are_good(event):
            raise invalid_param("The invitation is not signed as it must be.")
        return event

    async def _shown(self, event: Event, shown: object) -> list[dict[str, Any]]:
        """What the room shows of itself, stripped.

        From room version 12 on it should be whole events. Synapse sent stripped ones there, too, until July 2026, and
        Dendrite does: those are taken as in older rooms. What comes whole must be right.

        Raises:
            MatrixError: ``M_MISSING_PARAM`` or ``M_INVALID_PARAM`` where that is not so in such a room, or where the
                create event is missing.
        """
        listed = shown if isinstance(shown, list) else []
        loose = loosely_stripped(listed)
        if not event.version.hash_room_ids:
            return loose
        if not listed:
            raise MatrixError("M_MISSING_PARAM", "invite_room_state must hold the room's create event.", 400)
        if all("signatures" not in one for one in listed if isinstance(one, dict)) and _has_create(loose):
            return loose
        whole, are_good = await room_events(self._signatures, event, listed)
        visible = [stripped(one) for one in whole]
        if not are_good or not _has_create(visible):
            raise invalid_param("invite_room_state must hold whole, signed events of the room, the create event too.")
        return visible


def _has_create(visible: Sequence[dict[str, Any]]) -> bool:
    return any(one["type"] == "m.room.create" for one in visible)


async def room_events(signatures: Signatures, about: Event, listed: Sequence[object]) -> tuple[list[Event], bool]:
    """Those of what another server shows of a room that are whole events of its state, signed as they must be.

    Args:
        signatures: checks who signed.
        about: a membership of the room.
        listed: what is shown.

    Returns:
        the events, and whether there is nothing bad among what is shown. What cannot be checked now, as its server is
        gone, is not bad, and is left out.
    """
    found: list[Event] = []
    are_good = len(listed) <= MOST_SHOWN
    for pdu in listed[:MOST_SHOWN]:
        try:
            event = Event.from_pdu(about.version, pdu)
        except InvalidEvent:
            are_good = False
            continue
        if event.room_id != about.room_id or event.state_key is None:
            are_good = False
        # Where a create event's hash is the room's id, it can be no other one.
        elif (event.version.hash_room_ids and event.type == "m.room.create") or await signatures.are_good(event):
            found.append(event if event.has_valid_content_hash else event.redacted())
        elif not signatures.lacking(event):
            are_good = False
    return found, are_good


def loosely_stripped(listed: Sequence[object]) -> list[dict[str, Any]]:
    """What another server shows of a room, as far as it looks like state events: older servers send no whole ones."""
    found: list[dict[str, Any]] = []
    for one in listed[:MOST_SHOWN]:
        if not isinstance(one, dict) or len(repr(one)) > MOST_SHOWN_BYTES:
            continue
        texts = [one.get(field) for field in ("type", "state_key", "sender")]
        if all(isinstance(text, str) for text in texts) and isinstance(one.get("content"), dict):
            found.append({field: one[field] for field in ("type", "state_key", "sender", "content")})
    return found
