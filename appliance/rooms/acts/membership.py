"""Coming and going: join, invite, leave, kick, ban, unban, forget (client-server API, "Room membership")."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from appliance.errors import MatrixError, forbidden
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.identifiers import server_of
from appliance.rooms.acts.admitting import Admitting
from appliance.rooms.acts.creation import People, check_invitee
from appliance.rooms.acts.elsewhere import Elsewhere, Nobody
from appliance.rooms.acts.guests import admit, guests_forbidden
from appliance.rooms.graph.appending import Appender, Draft, Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.standings import Standings

Content = dict[str, Any]
AT_ONCE = 10
"""Rooms in which a change of a profile is said at the same time."""
_OF_THE_JOIN = frozenset(("displayname", "avatar_url", "reason", AUTHORISER))
"""What a membership says that does not hold for the next one. Whoever vouched for a join does not vouch for more: what
names them without their server's signature is dropped by everybody."""


class Membership:
    """Moves people in and out of rooms.

    Args:
        rooms: the rooms in memory.
        appender: builds the events.
        standings: who was where.
        identity: as whom this server signs.
        people: the local users.
        admitting: who is let into restricted rooms.

    Attributes:
        joined_listeners: awaited after somebody has joined a room.
        forgotten: called after somebody has forgotten a room.
        elsewhere: other servers.
    """

    def __init__(
        self,
        rooms: Rooms,
        appender: Appender,
        standings: Standings,
        identity: Identity,
        people: People,
        admitting: Admitting,
    ) -> None:
        self._rooms = rooms
        self._appender = appender
        self._standings = standings
        self._identity = identity
        self._people = people
        self._admitting = admitting
        self.joined_listeners: list[Callable[[str, Room], Awaitable[None]]] = []
        self.forgotten: list[Callable[[], None]] = []
        self.elsewhere: Elsewhere = Nobody()

    async def join(self, user_id: str, room_id: str, extra: Content | None = None, servers: Sequence[str] = ()) -> None:
        """Let a user into a room; nothing happens where they are in it already.

        Args:
            user_id: the local user.
            room_id: the room.
            extra: further content of the membership event, such as ``reason``.
            servers: other servers that may know the room.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that nobody knows who could be asked, ``M_FORBIDDEN``,
                ``M_GUEST_ACCESS_FORBIDDEN``.
        """
        content = {**(extra or {}), "membership": "join", **self._people.member_fields(user_id)}
        room = await self._rooms.find(room_id)
        if room is not None and room.published.members.of(user_id) == "join":
            return
        if room is None or not (room.is_followed_by(self._identity.server_name) or room.is_deserted()):
            if self._people.is_guest(user_id):
                raise guests_forbidden()
            await self.elsewhere.join(user_id, room_id, content, servers)
        else:
            await self._join_here(user_id, room, content, servers)
        room = await self._rooms.find(room_id)
        if room is not None:
            for listener in self.joined_listeners:
                await listener(user_id, room)

    async def _join_here(self, user_id: str, room: Room, content: Content, servers: Sequence[str]) -> None:
        """Let a user into a room that is followed here."""
        try:
            authorising = await self._admitting.authoriser(room, room.published, user_id)
        except MatrixError as refusal:
            if refusal.errcode != "M_UNABLE_TO_GRANT_JOIN":
                raise
            # Somebody of another server may be able to vouch for it.
            await self.elsewhere.join(user_id, room.room_id, content, servers)
            return

        def work(draft: Draft) -> None:
            membership = draft.snapshot.members.of(user_id)
            if membership == "join":
                return
            admit(draft, user_id, self._people)
            vouched = {} if authorising is None or membership == "invite" else {AUTHORISER: authorising}
            draft.add(MEMBER, user_id, {**content, **vouched}, user_id)

        await self._appender.append(room.room_id, work)

    async def invite(self, sender: str, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Invite somebody.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not, or the user is in the room or banned;
                what ``check_invitee`` raises.
        """
        room = await self._rooms.joined(room_id, sender)
        check_invitee(user_id, self._identity, self._people, self.elsewhere)
        self._people.check_invitation(user_id, sender)
        if room.published.members.of(user_id) == "ban":
            raise forbidden(f"{user_id} is banned from this room; lift the ban before inviting.")
        content = {"membership": "invite", **self._people.member_fields(user_id), **_reason(reason)}
        if server_of(user_id) != self._identity.server_name:
            await self.elsewhere.invite(sender, room_id, user_id, content)
            return
        await self._appender.append(room_id, lambda draft: draft.add(MEMBER, sender, content, user_id))

    async def leave(self, user_id: str, room_id: str, reason: str | None = None) -> None:
        """Leave a room, reject an invitation or take back a knock; having left already is no error.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who never had to do with the room, or is banned.
        """
        content = {"membership": "leave", **_reason(reason)}
        room = await self._rooms.find(room_id)
        known = room is not None and user_id in room.published.members.memberships
        if room is None or not room.is_followed_by(self._identity.server_name) or not known:
            await self.elsewhere.leave(user_id, room_id, content)
            return

        def work(draft: Draft) -> None:
            if draft.snapshot.members.of(user_id) != "leave":
                draft.add(MEMBER, user_id, content, user_id)

        await self._appender.append(room_id, work)

    async def kick(self, sender: str, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Remove somebody who is in the room, is invited or knocks.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not, or there is nobody to remove.
        """
        await self._rooms.joined(room_id, sender)

        def work(draft: Draft) -> None:
            if draft.snapshot.members.of(user_id) not in ("join", "invite", "knock"):
                raise forbidden(f"{user_id} is not in this room.")
            draft.add(MEMBER, sender, {"membership": "leave", **_reason(reason)}, user_id)

        await self._appender.append(room_id, work)

    async def ban(self, sender: str, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Ban somebody, whether they are in the room or not.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not.
        """
        await self._rooms.joined(room_id, sender)
        content = {"membership": "ban", **_reason(reason)}
        await self._appender.append(room_id, lambda draft: draft.add(MEMBER, sender, content, user_id))

    async def unban(self, sender: str, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Lift a ban.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not, or there is no ban.
        """
        await self._rooms.joined(room_id, sender)

        def work(draft: Draft) -> None:
            if draft.snapshot.members.of(user_id) != "ban":
                raise forbidden(f"{user_id} is not banned from this room.")
            draft.add(MEMBER, sender, {"membership": "leave", **_reason(reason)}, user_id)

        await self._appender.append(room_id, work)

    async def forget(self, user_id: str, room_id: str) -> None:
        """Forget a room that one has left.

        Raises:
            MatrixError: ``M_UNKNOWN`` for a room that the user is still in or never was in.
        """
        await self._rooms.find(room_id)
        history = self._standings.of(user_id).by_id(room_id)
        if history is None or not history.changes:
            raise MatrixError("M_UNKNOWN", "You never were in this room.", 400)
        if history.changes[-1].membership not in ("leave", "ban"):
            raise MatrixError("M_UNKNOWN", "You must leave this room before you can forget it.", 400)
        await self._standings.forget(user_id, history.room_nid)
        for tell in self.forgotten:
            tell()

    async def profile_changed(self, user_id: str) -> None:
        """Say a user's new name and picture in every room that they are in; a room that refuses is passed over."""
        waiting = self.joined_rooms(user_id)
        while waiting:
            # Several at a time share a commit, and leave room for others.
            some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            await asyncio.gather(*(self._say_profile_in(room_id, user_id) for room_id in some))

    async def _say_profile_in(self, room_id: str, user_id: str) -> None:
        try:
            await self._appender.append(room_id, lambda draft: self._say_profile(draft, user_id))
        except MatrixError as refusal:
            if refusal.status >= 500:
                raise

    def joined_rooms(self, user_id: str) -> list[str]:
        """The ids of the rooms that a user is in."""
        return [history.room_id for history in self._standings.of(user_id).having("join")]

    def _say_profile(self, draft: Draft, user_id: str) -> None:
        present = draft.state_event(MEMBER, user_id)
        if present is None or present.membership != "join":
            return
        kept = {key: value for key, value in present.content.items() if key not in _OF_THE_JOIN}
        content = {**kept, **self._people.member_fields(user_id)}
        if content != present.content:
            draft.add(MEMBER, user_id, content, user_id)


def _reason(reason: str | None) -> Content:
    return {} if reason is None else {"reason": reason}
