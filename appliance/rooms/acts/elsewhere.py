"""What people here do in rooms that only other servers know, and to people who are there.

Declared here, done by federation, which the composition root hands in.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from appliance.errors import MatrixError, not_found
from appliance.protocol.identifiers import server_of

Content = dict[str, Any]


class Elsewhere(Protocol):
    """Other servers, as far as rooms need them. What they refuse is raised as a ``MatrixError``."""

    def can_reach(self, server: str) -> bool:
        """Whether this server talks with another one at all."""
        ...

    async def join(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Let a local user into a room through another server; durable when this returns.

        Args:
            user_id: the user.
            room_id: the room.
            content: of the membership.
            servers: which servers may know the room.
        """
        ...

    async def knock(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Let a local user knock at a room that only other servers know; arguments as ``join``."""
        ...

    async def leave(self, user_id: str, room_id: str, content: Content) -> None:
        """Let a local user reject an invitation, or take a knock back; done here whatever others say."""
        ...

    async def invite(self, sender: str, room_id: str, user_id: str, content: Content) -> str:
        """Invite a user of another server into a room; the id of the invitation."""
        ...

    async def silent(self, servers: Collection[str]) -> dict[str, MatrixError]:
        """Those of some servers that do not answer now, asked all at once, each with what is to be said of that."""
        ...

    async def room_of(self, alias: str) -> tuple[str, Sequence[str]]:
        """The id of the room behind another server's alias, and servers that know it."""
        ...


class Nobody:
    """No other server at all."""

    def can_reach(self, server: str) -> bool:
        """No."""
        return False

    async def join(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Refuse."""
        raise not_found("This server does not know that room, and has nobody to ask for it.")

    async def knock(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Refuse."""
        raise not_found("This server does not know that room, and has nobody to ask for it.")

    async def leave(self, user_id: str, room_id: str, content: Content) -> None:
        """Refuse."""
        raise not_found("This server does not know that room, and has nobody to ask for it.")

    async def invite(self, sender: str, room_id: str, user_id: str, content: Content) -> str:
        """Refuse."""
        raise MatrixError("M_UNKNOWN", f"Hearth cannot reach {server_of(user_id)} to invite {user_id}.", 400)

    async def silent(self, servers: Collection[str]) -> dict[str, MatrixError]:
        """None is asked."""
        return {}

    async def room_of(self, alias: str) -> tuple[str, Sequence[str]]:
        """Refuse."""
        raise not_found(f"No room is known by the alias {alias}, and this server cannot ask {server_of(alias)}.")
