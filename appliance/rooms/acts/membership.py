"""Coming and going: join, invite, leave, kick, ban, unban, forget (client-server API, "Room membership")."""

from collections.abc import Awaitable, Callable
from typing import Any

from appliance.errors import MatrixError, forbidden, not_found
from appliance.protocol.events import Event
from appliance.rooms.acts.creation import People, check_invitee
from appliance.rooms.graph.appending import Appender, Draft, Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.standings import Standings

Content = dict[str, Any]


class Membership:
    """Moves people in and out of rooms.

    Args:
        rooms: the rooms in memory.
        appender: builds the events.
        standings: who was where.
        identity: as whom this server signs.
        people: the local users.

    Attributes:
        joined_listeners: awaited after somebody has joined a room.
        forgotten: called after somebody has forgotten a room.
    """

    def __init__(
        self, rooms: Rooms, appender: Appender, standings: Standings, identity: Identity, people: People
    ) -> None:
        self._rooms = rooms
        self._appender = appender
        self._standings = standings
        self._identity = identity
        self._people = people
        self.joined_listeners: list[Callable[[str, Room], Awaitable[None]]] = []
        self.forgotten: list[Callable[[], None]] = []

    async def join(self, user_id: str, room_id: str, extra: Content | None = None) -> None:
        """Let a user into a room; nothing happens where they are in it already.

        Args:
            user_id: the local user.
            room_id: the room.
            extra: further content of the membership event, such as ``reason``.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a room that this server does not know, ``M_FORBIDDEN``.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise not_found("This server does not know that room, and has nobody to ask for it.")
        if room.published.members.of(user_id) == "join":
            return

        def work(draft: Draft) -> None:
            if draft.snapshot.members.of(user_id) == "join":
                return
            content = {**(extra or {}), "membership": "join", **self._people.member_fields(user_id)}
            authorising = self._authorising_user(draft, user_id)
            if authorising is not None:
                content["join_authorised_via_users_server"] = authorising
            draft.add(MEMBER, user_id, content, user_id)

        await self._appender.append(room_id, work)
        for listener in self.joined_listeners:
            await listener(user_id, room)

    async def invite(self, sender: str, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Invite somebody.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not, or the user is in the room or banned;
                what ``check_invitee`` raises.
        """
        room = await self._rooms.joined(room_id, sender)
        check_invitee(user_id, self._identity, self._people)
        if room.published.members.of(user_id) == "ban":
            raise forbidden(f"{user_id} is banned from this room; lift the ban before inviting.")
        content = {"membership": "invite", **self._people.member_fields(user_id), **_reason(reason)}
        await self._appender.append(room_id, lambda draft: draft.add(MEMBER, sender, content, user_id))

    async def leave(self, user_id: str, room_id: str, reason: str | None = None) -> None:
        """Leave a room, reject an invitation or take back a knock; having left already is no error.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who never had to do with the room, or is banned.
        """
        room = await self._rooms.find(room_id)
        if room is None or user_id not in room.published.members.memberships:
            raise forbidden("You are not in this room.")

        def work(draft: Draft) -> None:
            if draft.snapshot.members.of(user_id) != "leave":
                draft.add(MEMBER, user_id, {"membership": "leave", **_reason(reason)}, user_id)

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
        room = await self._rooms.find(room_id)
        history = None if room is None else self._standings.of(user_id).of(room.nid)
        if room is None or history is None:
            raise MatrixError("M_UNKNOWN", "You never were in this room.", 400)
        if room.published.members.of(user_id) not in ("leave", "ban"):
            raise MatrixError("M_UNKNOWN", "You must leave this room before you can forget it.", 400)
        await self._standings.forget(user_id, room.nid)
        for tell in self.forgotten:
            tell()

    async def profile_changed(self, user_id: str) -> None:
        """Say a user's new name and picture in every room that they are in; a room that refuses is passed over."""
        for room_id in self.joined_rooms(user_id):
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
        kept = {key: value for key, value in present.content.items() if key not in ("displayname", "avatar_url")}
        content = {**kept, **self._people.member_fields(user_id)}
        content.pop("reason", None)
        if content != present.content:
            draft.add(MEMBER, user_id, content, user_id)

    def _authorising_user(self, draft: Draft, user_id: str) -> str | None:
        """Who vouches for a join into a restricted room; None where nobody needs to.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the user is in none of the rooms that would let them in, or nobody here
                may invite.
        """
        room = draft.room
        rules = draft.state_event("m.room.join_rules")
        rule = rules.content.get("join_rule") if rules else "invite"
        restricted = (room.version.restricted and rule == "restricted") or (
            room.version.knock_restricted and rule == "knock_restricted"
        )
        if not restricted or rules is None or draft.snapshot.members.of(user_id) in ("invite", "join"):
            return None
        if not self._admitted(rules, user_id):
            raise forbidden("You are in none of the rooms whose members may join this one.")
        power = room.power(draft.snapshot)
        for member in draft.snapshot.members.having("join"):
            if self._people.exists(member) and power.user(member) >= power.invite:
                return member
        raise MatrixError("M_UNABLE_TO_GRANT_JOIN", "Nobody on this server may let you into this room.", 400)

    def _admitted(self, rules: Event, user_id: str) -> bool:
        allow = rules.content.get("allow")
        joined = set(self.joined_rooms(user_id))
        return isinstance(allow, list) and any(
            isinstance(entry, dict) and entry.get("type") == "m.room_membership" and entry.get("room_id") in joined
            for entry in allow
        )


def _reason(reason: str | None) -> Content:
    return {} if reason is None else {"reason": reason}
