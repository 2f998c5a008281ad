"""The names that rooms of this server go by (client-server API, "Room aliases")."""

from collections.abc import Sequence
from typing import Any

from appliance.errors import MatrixError, forbidden, invalid_param, not_found
from appliance.protocol.identifiers import is_room_alias, server_of
from appliance.rooms.acts.elsewhere import Elsewhere, Nobody
from appliance.rooms.graph.appending import Appender, Draft, Identity
from appliance.rooms.room import Room, Rooms
from appliance.storage import directory as rows
from appliance.storage import rooms as room_rows
from appliance.storage.database import Database

CANONICAL_ALIAS = "m.room.canonical_alias"
MOST_SERVERS = 50
"""Servers that are named as those that know a room."""


class Aliases:
    """Gives rooms aliases, takes them away and looks them up.

    Args:
        database: where they are.
        rooms: the rooms in memory.
        appender: takes a removed alias out of the room's own state.
        identity: whose aliases these are.

    Attributes:
        elsewhere: other servers.
    """

    def __init__(self, database: Database, rooms: Rooms, appender: Appender, identity: Identity) -> None:
        self._database = database
        self._rooms = rooms
        self._appender = appender
        self._identity = identity
        self.elsewhere: Elsewhere = Nobody()

    def room_of(self, alias: str) -> str | None:
        """The id of the room that a local alias leads to, None where it leads nowhere."""
        return room_rows.room_of_alias(self._database, alias)

    async def resolve(self, room: str) -> tuple[str, Sequence[str]]:
        """The id of the room that an id or an alias means, and other servers that know it, as far as they were told.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for an alias that leads nowhere; what asking another server raises.
        """
        if not is_room_alias(room):
            return room, ()
        room_id = self.room_of(room)
        if room_id is None and server_of(room) != self._identity.server_name:
            return await self.elsewhere.room_of(room)
        if room_id is None:
            raise not_found(f"No room is known by the alias {room}.")
        return room_id, ()

    async def find(self, alias: str) -> tuple[str, list[str]]:
        """The room behind an alias, and servers that know it.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no alias, ``M_NOT_FOUND`` for one that leads nowhere.
        """
        _check(alias)
        room_id, others = await self.resolve(alias)
        if others:
            return room_id, list(others)[:MOST_SERVERS]
        room = await self._rooms.find(room_id)
        members = [] if room is None else room.published.members.having("join")
        servers = dict.fromkeys((self._identity.server_name, *map(server_of, members)))
        return room_id, list(servers)[:MOST_SERVERS]

    async def give(self, user_id: str, owner: bool, alias: str, room_id: str) -> None:
        """Give a room an alias.

        Args:
            user_id: the local user who asks.
            owner: whether that is an owner of this server, who need not be in the room.
            alias: the alias.
            room_id: the room.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no alias of this server; 409 ``M_UNKNOWN`` for one that leads
                somewhere already; ``M_FORBIDDEN`` for somebody who is not in the room; ``M_NOT_FOUND`` for a room that
                is not known to the owner.
        """
        _check(alias)
        if server_of(alias) != self._identity.server_name:
            raise invalid_param(f"This server can only give aliases that end in :{self._identity.server_name}.")
        if owner and await self._rooms.find(room_id) is None:
            raise not_found("This server does not know that room.")
        if not owner:
            await self._rooms.joined(room_id, user_id)
        if not await self._database.write(lambda tx: room_rows.add_alias(tx, alias, room_id, user_id)):
            raise MatrixError("M_UNKNOWN", f"The alias {alias} leads to a room already.", 409)

    async def remove(self, user_id: str, owner: bool, alias: str) -> None:
        """Remove an alias, also from among those by which the room calls itself, as far as the user may change that.

        Args:
            user_id: the local user who asks: the alias' maker, or somebody who may set the room's main alias.
            owner: whether that is an owner of this server, who may always do it.
            alias: the alias.

        Raises:
            MatrixError: ``M_NOT_FOUND``, ``M_FORBIDDEN``.
        """
        found = rows.alias(self._database, alias)
        if found is None:
            raise not_found(f"No room is known by the alias {alias}.")
        room = await self._rooms.find(found.room_id)
        if not owner and user_id != found.creator and (room is None or not may_name(room, user_id)):
            raise forbidden("Only whoever made an alias, or may set the main alias of its room, can remove it.")
        if not await self._database.write(lambda tx: rows.remove_alias(tx, alias, found.room_id)):
            raise not_found(f"No room is known by the alias {alias}.")
        if room is not None and room.published.members.of(user_id) == "join":
            await self._unname(user_id, room.room_id, alias)

    async def of_room(self, user_id: str, room_id: str) -> list[str]:
        """The local aliases of a room, for its members; for everybody where everybody may read in it.

        Raises:
            MatrixError: ``M_FORBIDDEN``.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise forbidden("You are not in this room.")
        visibility = room.state_event(room.published, "m.room.history_visibility")
        if visibility is None or visibility.content.get("history_visibility") != "world_readable":
            room.must_be_joined(user_id)
        return room_rows.aliases_of(self._database, room_id)

    async def _unname(self, user_id: str, room_id: str, alias: str) -> None:
        def work(draft: Draft) -> None:
            event = draft.state_event(CANONICAL_ALIAS)
            content = None if event is None else _without(event.content, alias)
            if event is not None and content != event.content:
                draft.add(CANONICAL_ALIAS, user_id, content or {}, "")

        try:
            await self._appender.append(room_id, work)
        except MatrixError as refusal:
            # The alias is gone, which is what was asked for; the room's own word is for others to put right.
            if refusal.status >= 500:
                raise


def may_name(room: Room, user_id: str) -> bool:
    """Whether somebody is in a room and may set its main alias."""
    power = room.power(room.published)
    joined = room.published.members.of(user_id) == "join"
    return joined and power.user(user_id) >= power.event(CANONICAL_ALIAS, True)


def _check(alias: str) -> None:
    if not is_room_alias(alias):
        raise invalid_param(f"{alias!r} is not an alias.")


def _without(content: dict[str, Any], alias: str) -> dict[str, Any]:
    """The content of a canonical alias event that no longer names an alias."""
    kept = {key: value for key, value in content.items() if not (key == "alias" and value == alias)}
    others = content.get("alt_aliases")
    if isinstance(others, list) and alias in others:
        kept["alt_aliases"] = [one for one in others if one != alias]
    if kept.get("alt_aliases") == []:
        del kept["alt_aliases"]
    return kept
